"""The arithmetic of a model that knows when to be silent: temperature, and prediction sets. Apps in other languages do
the same in a few lines (docs/uncertainty.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fer_edge.errors import ModelError, UsageError
from fer_edge.metadata import ModelMetadata
from fer_edge.uncertainty import DEFAULT_MAX_RISK, Uncertainty

Rows = NDArray[np.floating[Any]]

_SMALLEST = 1e-30
"""Stands for a probability of 0, whose logarithm is none."""


def with_temperature(probabilities: Rows, temperature: float) -> NDArray[np.float64]:
    """Probabilities float64 (N, C) as if the logits had been divided by ``temperature`` (above 0) before the softmax.

    C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, eq. 9. The logarithm of a softmax is its
    logits but for a number that is the same for all classes, and a softmax does not see that number. The order of the
    classes stays as it is.
    """
    logits = np.log(np.maximum(np.asarray(probabilities, np.float64), _SMALLEST)) / temperature
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def lac_scores(probabilities: Rows) -> NDArray[np.float64]:
    """float64 (N, C): 1 less the class's probability. Sets of a bounded score are the smallest of their coverage: M.
    Sadinle, J. Lei and L. Wasserman, "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels", JASA 2019."""
    return 1.0 - np.asarray(probabilities, np.float64)


def aps_scores(probabilities: Rows) -> NDArray[np.float64]:
    """float64 (N, C): the probability of the class and of all that are more probable. Y. Romano, M. Sesia and E.
    Candès, "Classification with Valid and Adaptive Coverage", NeurIPS 2020, without their random part, so that one
    image always has one set; the sets then cover somewhat more than was asked for."""
    rows = np.asarray(probabilities, np.float64)
    order = np.argsort(-rows, axis=1, kind="stable")
    sums = np.cumsum(np.take_along_axis(rows, order, axis=1), axis=1)
    scores = np.empty_like(rows)
    np.put_along_axis(scores, order, sums, axis=1)
    return scores


SCORES = {"lac": lac_scores, "aps": aps_scores}
"""By the name of the method."""


def prediction_sets(probabilities: Rows, method: str, threshold: float) -> NDArray[np.bool_]:
    """bool (N, C): the classes whose score is at most ``threshold``, and always the best guess, so that none is empty
    (a class more never covers less)."""
    sets = SCORES[method](probabilities) <= threshold
    sets[np.arange(len(sets)), np.asarray(probabilities).argmax(axis=1)] = True
    return np.asarray(sets)


class Judgement(NamedTuple):
    """How much one answer is worth."""

    is_certain: bool
    candidates: tuple[str, ...]
    calibrated_confidence: float


@dataclass(frozen=True)
class Certainty:
    """A calibrated model's uncertainty, with the risk that somebody chose."""

    uncertainty: Uncertainty
    max_risk: float
    """Of the table in ``uncertainty``: the loosest that is no looser than the one that was asked for."""
    threshold: float | None
    """Of the calibrated confidence; None where no answer is certain."""

    @classmethod
    def of(cls, uncertainty: Uncertainty, max_risk: float | None = None) -> "Certainty":
        """With ``max_risk`` (0-1), or the default. Raises UsageError for one that is stricter than all that were
        tried."""
        wanted = DEFAULT_MAX_RISK if max_risk is None else max_risk
        chosen = uncertainty.risk(wanted)
        if chosen is None and max_risk is None:
            chosen = uncertainty.risks[0]  # calibrated for looser risks alone
        if chosen is None or not 0 < wanted < 1:
            tried = ", ".join(f"{one.max_risk:g}" for one in uncertainty.risks)
            raise UsageError(f"max-risk: expected one of {tried}, or a number up to 1 above them, found {wanted:g}")
        return cls(uncertainty, chosen.max_risk, chosen.threshold)

    @classmethod
    def of_model(cls, metadata: ModelMetadata, path: Path, max_risk: float | None = None) -> "Certainty | None":
        """That of the model in the file ``path``; None where it was not calibrated and nobody chose a risk. Raises
        ModelError where somebody did, and UsageError as ``of``."""
        if metadata.uncertainty is not None:
            return cls.of(metadata.uncertainty, max_risk)
        if max_risk is not None:
            raise ModelError(
                f"{path}: expected a calibrated model for a chosen risk, found one that was not: nobody knows when it "
                "is certain; run 'fer-edge calibrate' with labelled faces"
            )
        return None

    def is_certain(self, probabilities: Rows) -> NDArray[np.bool_]:
        """bool (N,) of answers (N, C): whether each is certain."""
        confidence = with_temperature(probabilities, self.uncertainty.temperature).max(axis=1)
        threshold = np.inf if self.threshold is None else self.threshold
        return np.asarray(confidence > threshold)

    def judge(self, row: Rows, labels: Sequence[str]) -> Judgement:
        """Of one answer: probabilities (C,) and the names of its C classes, the candidates the most probable first."""
        return self.judge_all(row[np.newaxis], labels)[0]

    def judge_all(self, rows: Rows, labels: Sequence[str]) -> list[Judgement]:
        """The same of N answers at once: probabilities (N, C)."""
        calibrated = with_temperature(rows, self.uncertainty.temperature)
        sets = self.uncertainty.sets[0]
        members = prediction_sets(calibrated, sets.method, sets.threshold).tolist()
        order = np.argsort(-rows, axis=1, kind="stable").tolist()  # (N, C)
        threshold = np.inf if self.threshold is None else self.threshold
        return [
            Judgement(confidence > threshold, tuple(labels[at] for at in places if included[at]), confidence)
            for confidence, places, included in zip(calibrated.max(axis=1).tolist(), order, members, strict=True)
        ]
