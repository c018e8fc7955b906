import numpy as np
import pytest
from PIL import Image

from fer_edge.evaluation.calibration import calibration_bins
from fer_edge.evaluation.canvas import DOTS_PER_INCH
from fer_edge.evaluation.figures import (
    confusion_matrix_figure,
    learning_rate_curve,
    reliability_diagram,
    training_curves,
)
from fer_edge.evaluation.pictures import activation_maps, first_layer_filters, mistakes_figure

ROWS = [
    {
        "epoch": epoch,
        "train_loss": 2.0 / epoch,
        "train_accuracy": 0.1 * epoch,
        "validation_loss": 2.1 / epoch,
        "validation_accuracy": 0.09 * epoch,
    }
    for epoch in range(1, 6)
]
RANDOM = np.random.default_rng(0)
FACES = RANDOM.integers(0, 256, (9, 48, 48), dtype=np.uint8)
LABELS = np.arange(9) % 7
PROBABILITIES = RANDOM.dirichlet(np.ones(7), 9)
CONFUSION = RANDOM.integers(0, 50, (7, 7))

DRAWINGS = {
    "curves": lambda path: training_curves(ROWS, path),
    "learning rate": lambda path: learning_rate_curve([0.1, 0.2, 0.1], path, [0.95, 0.85, 0.95]),
    "confusion": lambda path: confusion_matrix_figure(CONFUSION, path),
    "reliability": lambda path: reliability_diagram(calibration_bins(RANDOM.random(50), RANDOM.random(50) < 0.5), path),
    "mistakes": lambda path: mistakes_figure(FACES, LABELS, PROBABILITIES, path, [f"{n}.jpg" for n in range(9)]),
    "filters": lambda path: first_layer_filters(RANDOM.normal(size=(16, 1, 3, 3)), path),
    "activation": lambda path: activation_maps(FACES, FACES / 255, PROBABILITIES, path, ["face"] * 9),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_picture_is_a_png_with_something_on_it(tmp_path, name):
    path = tmp_path / "picture.png"
    DRAWINGS[name](path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width >= 5 * DOTS_PER_INCH
        grey = np.asarray(picture.convert("L"))
    assert (grey == 255).mean() > 0.05  # paper
    assert (grey < 200).mean() > 0.01  # ink
    assert list(tmp_path.iterdir()) == [path]


def test_pictures_follow_their_numbers(tmp_path):
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    confusion_matrix_figure(CONFUSION, first)
    confusion_matrix_figure(CONFUSION.T, second)
    assert first.read_bytes() != second.read_bytes()


def test_a_run_without_mistakes_says_so_in_its_picture(tmp_path):
    path = tmp_path / "none.png"
    mistakes_figure(FACES, PROBABILITIES.argmax(axis=1), PROBABILITIES, path)
    assert path.stat().st_size > 0


def test_drawing_leaves_no_global_state_of_matplotlib_behind(tmp_path):
    training_curves(ROWS, tmp_path / "curves.png")
    from matplotlib import _pylab_helpers

    assert _pylab_helpers.Gcf.get_all_fig_managers() == []
