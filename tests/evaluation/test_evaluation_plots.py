import numpy as np
import pytest
from PIL import Image

from fer_edge.evaluation.calibration import calibration_bins
from fer_edge.evaluation.face_plots import plot_activation_maps, plot_filters, plot_mistakes
from fer_edge.evaluation.plot_style import DOTS_PER_INCH, FONT, plottable, text_properties
from fer_edge.evaluation.plots import (
    plot_confusion_matrix,
    plot_learning_rate,
    plot_reliability,
    plot_training_curves,
)
from fer_edge.labels import FER2013

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
NAMES = FER2013.names
RANDOM = np.random.default_rng(0)
FACES = RANDOM.integers(0, 256, (9, 48, 48), dtype=np.uint8)
LABELS = np.arange(9) % 7
PROBABILITIES = RANDOM.dirichlet(np.ones(7), 9)
CONFUSION = RANDOM.integers(0, 50, (7, 7))

PLOTS = {
    "curves": lambda path: plot_training_curves(ROWS, path),
    "learning rate": lambda path: plot_learning_rate([0.1, 0.2, 0.1], path, [0.95, 0.85, 0.95]),
    "confusion": lambda path: plot_confusion_matrix(CONFUSION, NAMES, path),
    "reliability": lambda path: plot_reliability(calibration_bins(RANDOM.random(50), RANDOM.random(50) < 0.5), path),
    "mistakes": lambda path: plot_mistakes(FACES, LABELS, PROBABILITIES, NAMES, path, [f"{n}.jpg" for n in range(9)]),
    "filters": lambda path: plot_filters(RANDOM.normal(size=(16, 1, 3, 3)), path),
    "activation": lambda path: plot_activation_maps(FACES, FACES / 255, PROBABILITIES, NAMES, path, ["face"] * 9),
}


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_is_a_png_with_something_on_it(tmp_path, name):
    path = tmp_path / "picture.png"
    PLOTS[name](path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width >= 5 * DOTS_PER_INCH
        grey = np.asarray(picture.convert("L"))
    assert (grey == 255).mean() > 0.05  # paper
    assert (grey < 200).mean() > 0.01  # ink
    assert list(tmp_path.iterdir()) == [path]


def test_plots_follow_their_numbers(tmp_path):
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    plot_confusion_matrix(CONFUSION, NAMES, first)
    plot_confusion_matrix(CONFUSION.T, NAMES, second)
    assert first.read_bytes() != second.read_bytes()


def test_a_run_without_mistakes_says_so_in_its_plot(tmp_path):
    path = tmp_path / "none.png"
    plot_mistakes(FACES, PROBABILITIES.argmax(axis=1), PROBABILITIES, NAMES, path)
    assert path.stat().st_size > 0


def test_drawing_leaves_no_global_state_of_matplotlib_behind(tmp_path):
    plot_training_curves(ROWS, tmp_path / "curves.png")
    from matplotlib import _pylab_helpers

    assert _pylab_helpers.Gcf.get_all_fig_managers() == []


ODD_NAMES = ("うれしい", "غاضب", "$x$ <b>", "a name that is much longer than there is room for", "a, b")


@pytest.mark.parametrize("num_classes", [2, 5, 8, 20, 60])
def test_plots_take_any_number_of_classes_and_names_in_any_script(tmp_path, num_classes, recwarn):
    names = [*ODD_NAMES, *(f"class {number}" for number in range(5, num_classes))][:num_classes]
    labels = np.arange(9) % num_classes
    probabilities = RANDOM.dirichlet(np.ones(num_classes), 9)
    plot_confusion_matrix(RANDOM.integers(0, 50, (num_classes, num_classes)), names, tmp_path / "confusion.png")
    if num_classes == len(ODD_NAMES):  # no other number changes anything here
        plot_mistakes(FACES, labels, probabilities, names, tmp_path / "mistakes.png")
        plot_activation_maps(FACES, FACES / 255, probabilities, names, tmp_path / "maps.png", ["face"] * 9)
    for path in tmp_path.iterdir():
        with Image.open(path) as picture:
            assert max(picture.size) < 20 * DOTS_PER_INCH
    assert not [str(warning.message) for warning in recwarn if "Glyph" in str(warning.message)]


def test_signs_are_escaped_only_where_no_font_has_them(monkeypatch):
    assert plottable("happy été $x$") == "happy été $x$"
    assert plottable("a \U000e0fff →") == "a \\U000e0fff →"  # no character
    assert plottable("abcdef", 4) == "abc…"
    from matplotlib import font_manager

    monkeypatch.setattr(font_manager.fontManager, "ttflist", [])
    assert plottable("喜 b") == "\\u559c b"
    assert text_properties("b $")["family"] == [FONT]


def test_what_follows_a_name_from_right_to_left_stays_behind_it():
    # The font that comes with matplotlib has Arabic; the marks keep the number from moving to the left of the name.
    assert plottable("غاضب") == "\u200eغاضب\u200e"
