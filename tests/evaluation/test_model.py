import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_edge.backends import Backend, evaluation, open_model
from fer_edge.backends.evaluation import evaluate_model
from fer_edge.data.load import load_faces
from fer_edge.data.sample import write_sample
from fer_edge.runtime.classifier import Classifier

MODEL = Path(__file__).parent.parent / "fixtures" / "tiny.onnx"
FACES = "sample:140"


@pytest.fixture(scope="module")
def validation():
    return load_faces(FACES).validation


def test_figures_are_those_of_the_models_own_answers(validation):
    done = evaluate_model(MODEL, source=FACES)
    expected = Classifier.load(MODEL).probabilities(validation.faces[:, :, :, np.newaxis])
    np.testing.assert_allclose(done.probabilities, expected, atol=1e-6)
    assert done.metrics.accuracy == (expected.argmax(axis=1) == validation.labels).mean()
    assert done.to_dict()["model"] == str(MODEL)
    assert done.to_dict()["precision"] == "fp32"
    assert not done.is_training_data_set


@pytest.mark.parametrize(("views", "sides"), [("flip", [48] * 2), ("ten-crop", [43] * 10)])
def test_views_are_averaged(monkeypatch, validation, views, sides):
    asked = []
    answer = Backend.run

    def listen(self, pixels):
        found = answer(self, pixels)
        asked.append((pixels, found.probabilities))
        return found

    monkeypatch.setattr(Backend, "run", listen)
    done = evaluate_model(MODEL, source=FACES, augmentation=views)
    assert [pixels.shape[1] for pixels, _ in asked] == sides
    np.testing.assert_allclose(done.probabilities, np.mean([found for _, found in asked], axis=0), atol=1e-6)
    np.testing.assert_array_equal(asked[1][0], asked[0][0][:, :, ::-1])


def test_faces_are_split_by_the_seed_of_the_run(monkeypatch, tmp_path):
    write_sample(tmp_path / "faces", 140)
    for path in ("validation", "test"):
        shutil.rmtree(tmp_path / "faces" / path)
    trained_with_5 = open_model(MODEL)
    data = replace(trained_with_5.metadata.training_data, seed=5)
    trained_with_5.metadata = replace(trained_with_5.metadata, training_data=data)
    monkeypatch.setattr(evaluation, "open_model", lambda path, **_: trained_with_5)
    done = evaluate_model(MODEL, source=str(tmp_path / "faces"))
    assert done.faces.sources == load_faces(tmp_path / "faces", seed=5).validation.sources
    assert done.faces.sources != load_faces(tmp_path / "faces", seed=0).validation.sources


def test_a_model_is_evaluated_without_torch(repository):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from fer_edge.backends.evaluation import evaluate_model\n"
        f"print(evaluate_model(Path({str(MODEL)!r}), source='{FACES}').metrics.num_faces)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=repository, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
