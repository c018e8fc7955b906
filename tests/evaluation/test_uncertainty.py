"""The whole fit on synthetic faces: parts that do not overlap, promises that are kept, and one that is broken."""

from dataclasses import replace

import numpy as np
import pytest

from fer_edge.errors import CheckFailed, DataError
from fer_edge.evaluation.uncertainty import check_promises, fit_uncertainty, parts_of
from fer_edge.runtime.certainty import with_temperature
from fer_edge.uncertainty import Uncertainty

NAMES = tuple("abcdefg")
DATA = {"source": "synthetic", "fingerprint": "0", "split": "validation"}


def _faces(seed: int, size: int = 3000, temperature: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """An overconfident model: its logits are ``temperature`` times too large."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 3, (size, 7))
    true = with_temperature(np.exp(logits), 1.0)
    labels = (true.cumsum(axis=1) > generator.random((size, 1))).argmax(axis=1)
    return with_temperature(np.exp(logits), 1 / temperature), labels


def _fit(seed: int) -> Uncertainty:
    return fit_uncertainty(*_faces(1), NAMES, data=DATA, seed=seed)


def test_parts_share_no_face_and_are_those_of_the_seed() -> None:
    parts = parts_of(1003, seed=3)
    together = np.concatenate([parts.temperature, parts.thresholds, parts.check])
    assert sorted(together.tolist()) == list(range(1003))
    assert (len(parts.temperature), len(parts.thresholds), len(parts.check)) == (125, 376, 502)
    assert (parts_of(1003, seed=3).check == parts.check).all()
    assert (parts_of(1003, seed=4).check != parts.check).any()
    with pytest.raises(DataError, match="expected at least 200 labelled faces to calibrate on, found 199"):
        parts_of(199, seed=0)


def test_the_fit_of_an_overconfident_model() -> None:
    fitted = _fit(seed=0)
    assert fitted.temperature == pytest.approx(2.0, rel=0.2)
    assert fitted.calibration_error > 0.05 > fitted.calibration_error_at_temperature
    thresholds = [one.threshold for one in fitted.risks if one.threshold is not None]
    assert thresholds == sorted(thresholds, reverse=True)  # the looser the risk, the more answers
    assert len(thresholds) >= 4
    for sets in fitted.sets:
        assert set(sets.classes) == set(NAMES)
        assert sum(faces for faces, _ in sets.classes.values()) == fitted.checked_faces
        assert sum(covered for _, covered in sets.classes.values()) == sets.checked_covered
    again = _fit(seed=0)
    assert again == replace(fitted, created=again.created)  # the second may have changed
    assert _fit(seed=1).risks != fitted.risks


def test_the_threshold_for_a_risk_is_the_loosest_that_keeps_it() -> None:
    fitted = _fit(seed=0)
    kept = fitted.risk(0.12)
    assert kept is not None
    assert kept.max_risk == 0.1
    assert fitted.risk(0.1) == kept
    assert fitted.risk(0.001) is None


def test_promises_that_the_other_faces_break_are_refused() -> None:
    fitted = _fit(seed=0)
    worst = replace(fitted.risks[2], checked_answers=500, checked_mistakes=90)
    with pytest.raises(CheckFailed, match=r"expected at most 10% of the certain answers to be wrong, found 90 of 500"):
        check_promises(replace(fitted, risks=(*fitted.risks[:2], worst)))
    sets = replace(fitted.sets[0], checked_covered=fitted.checked_faces // 2)
    with pytest.raises(CheckFailed, match="expected the true class among the lac candidates of 90% of the faces"):
        check_promises(replace(fitted, sets=(sets,)))


def test_faces_that_change_between_the_parts_fail_the_check() -> None:
    """As where half of the faces have labels of another order: their answers are wrong however sure they are."""
    rows, labels = _faces(1)
    check = parts_of(len(labels), seed=0).check
    labels[check] = (labels[check] + 1) % 7
    with pytest.raises(CheckFailed, match="nothing was written"):
        fit_uncertainty(rows, labels, NAMES, data=DATA, seed=0)
