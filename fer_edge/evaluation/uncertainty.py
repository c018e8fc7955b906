"""Fits when a model should be silent on one part of labelled faces, and checks it on another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from fer_edge.errors import CheckFailed, DataError
from fer_edge.evaluation.binomial import lower_bound, upper_bound
from fer_edge.evaluation.calibration import calibration_bins
from fer_edge.evaluation.conformal import conformal_threshold, evaluate_sets
from fer_edge.evaluation.selective import choose_threshold, threshold_grid
from fer_edge.evaluation.temperature import fit_temperature
from fer_edge.runtime.certainty import with_temperature
from fer_edge.uncertainty import METHODS, PredictionSets, RiskThreshold, Uncertainty

MAX_RISKS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
CONFIDENCE_LEVEL = 0.95
COVERAGE = 0.9
MIN_FACES = 200
"""With fewer, no threshold would say anything."""
_REFUTED = 0.001
"""Level of the checks: a promise is taken for broken where it would look so bad in one of a thousand checks."""


@dataclass(frozen=True)
class Parts:
    """Which of N faces have which part: indices, drawn by a seed."""

    temperature: np.ndarray
    """An eighth: the temperature, and which thresholds are tried."""
    thresholds: np.ndarray
    """Three eighths: which threshold is taken."""
    check: np.ndarray
    """Half: only measured."""


def parts_of(num_faces: int, seed: int) -> Parts:
    """Draw them. Raises DataError for fewer than ``MIN_FACES``."""
    if num_faces < MIN_FACES:
        raise DataError(
            f"expected at least {MIN_FACES} labelled faces to calibrate on, found {num_faces}; name more with --data"
        )
    order = np.random.default_rng(seed).permutation(num_faces)
    first, half = num_faces // 8, num_faces // 2
    return Parts(order[:first], order[first:half], order[half:])


def fit_uncertainty(
    probabilities: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    *,
    data: Mapping[str, Any],
    seed: int = 0,
    coverage: float = COVERAGE,
) -> Uncertainty:
    """Fit on half of ``probabilities`` (N, C) and ``labels``, integers (N,), and measure on the other.

    ``names`` are those of the C classes; ``data`` says what the faces are: ``source``, ``fingerprint``, ``split``. The
    temperature is from other faces than the thresholds, so that these are chosen among numbers that their faces had
    no part in: each bound is exact. Raises DataError for too few faces, CheckFailed where the other half shows a
    promise to be broken.
    """
    parts = parts_of(len(labels), seed)
    temperature = fit_temperature(probabilities[parts.temperature], labels[parts.temperature])
    rows = with_temperature(probabilities, temperature)
    confidence, correct = rows.max(axis=1), rows.argmax(axis=1) == labels
    grid = threshold_grid(confidence[parts.temperature])

    def risk(max_risk: float) -> RiskThreshold:
        chosen = choose_threshold(
            confidence[parts.thresholds], correct[parts.thresholds], grid, max_risk, 1 - CONFIDENCE_LEVEL
        )
        if chosen is None:
            return RiskThreshold(max_risk, None, 0, 0)
        answers = confidence[parts.check] > chosen.threshold
        mistakes = answers & ~correct[parts.check]
        return RiskThreshold(max_risk, chosen.threshold, int(answers.sum()), int(mistakes.sum()))

    def sets(method: str) -> PredictionSets:
        threshold = conformal_threshold(rows[parts.thresholds], labels[parts.thresholds], method, coverage)
        found = evaluate_sets(rows[parts.check], labels[parts.check], method, threshold)
        classes = dict(zip(names, zip(found.class_faces, found.class_covered, strict=True), strict=True))
        return PredictionSets(method, coverage, threshold, found.covered, found.mean_size, classes)

    before = calibration_bins(probabilities[parts.check].max(axis=1), correct[parts.check])
    after = calibration_bins(confidence[parts.check], correct[parts.check])
    fitted = Uncertainty(
        temperature=temperature,
        confidence_level=CONFIDENCE_LEVEL,
        risks=tuple(map(risk, MAX_RISKS)),
        sets=tuple(map(sets, METHODS)),
        data_source=data["source"],
        data_fingerprint=data["fingerprint"],
        split=data["split"],
        seed=seed,
        temperature_faces=len(parts.temperature),
        threshold_faces=len(parts.thresholds),
        checked_faces=len(parts.check),
        calibration_error=before.expected_error,
        calibration_error_at_temperature=after.expected_error,
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    )
    check_promises(fitted)
    return fitted


def check_promises(fitted: Uncertainty) -> None:
    """Raise CheckFailed where the faces that had no part in the fit show that it does not hold.

    Such as after a change of the faces between the parts; drawn at random from the same faces, a good fit fails in at
    most a few of a thousand draws, beside the share in which a threshold's own bound fails.
    """
    for one in fitted.risks:
        if (
            one.threshold is not None
            and (least := lower_bound(one.checked_mistakes, one.checked_answers, _REFUTED)) > one.max_risk
        ):
            raise CheckFailed(
                f"expected at most {one.max_risk:.0%} of the certain answers to be wrong, found {one.checked_mistakes} "
                f"of {one.checked_answers} on the faces kept back (at least {least:.1%}): nothing was written"
            )
    for each in fitted.sets:
        if (most := upper_bound(each.checked_covered, fitted.checked_faces, _REFUTED)) < each.coverage - 0.03:
            raise CheckFailed(
                f"expected the true class among the {each.method} candidates of {each.coverage:.0%} of the faces, "
                f"found {each.checked_covered} of {fitted.checked_faces} (at most {most:.1%}): nothing was written"
            )
