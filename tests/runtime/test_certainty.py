"""What a calibrated model says of each answer, and what one that was not calibrated does not."""

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from uncertainties import uncertainty

from fer_edge.errors import ModelError, UsageError
from fer_edge.labels import FER2013
from fer_edge.metadata import read_sidecar, sidecar_json
from fer_edge.runtime import Classifier, FaceSearch
from fer_edge.runtime.certainty import Certainty, with_temperature
from fer_edge.runtime.prediction import Prediction
from fer_edge.uncertainty import Uncertainty

LABELS = ("calm", "glad", "sad")
FACE = np.arange(48 * 48, dtype=np.uint32).reshape(48, 48).astype(np.uint8)


def calibrated(folder: Path, model: Path, found: Uncertainty) -> Path:
    """A copy of ``model`` whose sidecar states ``found``."""
    path = folder / model.name
    shutil.copy(model, path)
    metadata, sha256 = read_sidecar(model.with_suffix(".json").read_bytes(), where="tiny.json")
    path.with_suffix(".json").write_text(sidecar_json(replace(metadata, uncertainty=found), sha256))
    return path


def test_an_answer_is_certain_above_the_threshold_at_the_temperature() -> None:
    certainty = Certainty.of(uncertainty(LABELS), 0.1)
    sure, unsure = np.array([0.9, 0.08, 0.02], np.float32), np.array([0.5, 0.49, 0.01], np.float32)
    assert with_temperature(sure[np.newaxis], 2.0).max() == pytest.approx(0.6910, abs=1e-4)  # sqrt(p), normalised
    assert certainty.judge(sure, LABELS) == (True, ("calm",), pytest.approx(0.6910, abs=1e-4))
    # 1 less the probability is at most 0.7 for the first two.
    assert certainty.judge(unsure, LABELS) == (False, ("calm", "glad"), pytest.approx(0.4692, abs=1e-4))
    assert Certainty.of(uncertainty(LABELS), 0.2).judge(unsure, LABELS).is_certain


def test_without_a_threshold_nothing_is_certain() -> None:
    certainty = Certainty.of(uncertainty(LABELS), 0.05)
    assert certainty.threshold is None
    assert not certainty.judge(np.array([1, 0, 0], np.float32), LABELS).is_certain


def test_a_risk_between_two_takes_the_stricter_and_none_stricter_than_all_is_promised() -> None:
    found = uncertainty(LABELS)
    assert Certainty.of(found, 0.19).max_risk == 0.1
    assert Certainty.of(found).max_risk == 0.1
    for wrong in (0.04, 1.0, float("nan")):
        with pytest.raises(UsageError, match=r"max-risk: expected one of 0\.05, 0\.1, 0\.2, or a number"):
            Certainty.of(found, wrong)


def test_a_prediction_without_calibration_says_that_nobody_knows(classifier: Classifier) -> None:
    found = classifier.predict(FACE)
    assert (classifier.certainty, found.is_certain, found.candidates, found.calibrated_confidence) == (None,) * 4
    said = found.as_dict()
    assert (said["is_certain"], said["candidates"], said["calibrated_confidence"]) == (None, None, None)


def test_a_risk_is_refused_of_a_model_that_was_not_calibrated(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="expected a calibrated model for a chosen risk, found one that was not"):
        Classifier.load(tiny_model, max_risk=0.1)


def test_every_way_to_predict_judges_alike(tmp_path: Path, tiny_model: Path, classifier: Classifier) -> None:
    path = calibrated(tmp_path, tiny_model, uncertainty(thresholds=(None, 0.5, 0.0)))
    strict, loose = Classifier.load(path, threads=1), Classifier.load(path, threads=1, max_risk=0.2)
    plain = classifier.predict(FACE)
    for one, expected in ((strict, False), (loose, True)):
        ways: list[Prediction] = [
            one.predict(FACE),
            *one.predict_many([FACE]),
            *(outcome.prediction for outcome in one.predict_named([("a", FACE)]) if outcome.prediction),
            *one.predict_faces(FACE, search=FaceSearch(mode="crop")).faces,
        ]
        assert len(ways) == 4
        assert {found.is_certain for found in ways} == {expected}
        assert len({found.candidates for found in ways}) == len({found.calibrated_confidence for found in ways}) == 1
        for found in ways:
            assert (found.label, found.confidence) == (plain.label, plain.confidence)  # stays the best guess
            assert found.candidates is not None
            assert found.candidates[0] == found.label
            assert json.loads(json.dumps(found.as_dict()))["candidates"] == list(found.candidates)
    photo = strict.predict_faces(FACE, search=FaceSearch(mode="crop")).certain()
    assert (photo.faces, photo.num_uncertain, photo.as_dict()["num_faces"]) == ((), 1, 1)
    assert len(loose.predict_faces(FACE, search=FaceSearch(mode="crop")).certain().faces) == 1


def test_another_process_judges_by_the_same_risk(tmp_path: Path, tiny_model: Path) -> None:
    path = calibrated(tmp_path, tiny_model, uncertainty(thresholds=(None, 0.5, 0.0)))
    again = pickle.loads(pickle.dumps(Classifier.load(path, threads=1, max_risk=0.2)))
    assert again.certainty.max_risk == 0.2
    assert again.predict(FACE).is_certain


def test_a_calibration_beside_another_file_is_refused(tmp_path: Path, tiny_model: Path, tiny_raw_model: Path) -> None:
    path = calibrated(tmp_path, tiny_model, uncertainty())
    path.write_bytes(tiny_raw_model.read_bytes())
    with pytest.raises(ModelError, match=r"expected the SHA-256 .* that tiny\.json names"):
        Classifier.load(path)


def test_a_calibration_of_other_classes_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    path = calibrated(tmp_path, tiny_model, uncertainty(FER2013.names[:6]))
    with pytest.raises(ModelError, match=r"'uncertainty\.sets\[0\]\.classes': expected the labels, in their order"):
        Classifier.load(path)
