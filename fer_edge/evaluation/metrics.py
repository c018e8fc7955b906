"""How good a set of predictions is: figures from probabilities and labels, nothing else."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_edge.evaluation.calibration import CalibrationBins, calibration_bins
from fer_edge.labels import LabelSet

SUM_TOLERANCE = 1e-3
"""How far a row of probabilities may be from summing to one: room for fp16 and int8 models, none for logits."""

SMALLEST_PROBABILITY = 1e-15
"""Floor under the true class's probability in the log loss, so that one confident mistake cannot make it infinite."""


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities float64 (N, C) of logits (N, C), in float64 and shifted by each row's maximum: never overflows."""
    wide = np.asarray(logits, dtype=np.float64)
    exponentials = np.exp(wide - wide.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class ClassMetrics:
    """One class against the others. The ratios of a class without faces are None: there was nothing to judge it by.
    The precision of one that has faces and is never predicted is 0, as scikit-learn's default."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    """Number of faces that carry this label."""

    def cells(self) -> list[str]:
        """For a table: precision, recall, F1 and the number of faces; a dash for what there is none of."""
        ratios = ["–" if ratio is None else f"{ratio:.3f}" for ratio in (self.precision, self.recall, self.f1)]
        return [*ratios, f"{self.support}"]


@dataclass(frozen=True)
class Metrics:
    """What one set of predictions is worth; every ratio is a fraction of one, and none is ever NaN."""

    num_faces: int
    accuracy: float
    macro_f1: float
    """Mean F1 over the classes that have faces, ``num_judged`` of them."""
    log_loss: float
    """Mean negative natural logarithm of the true class's probability, in nats."""
    classes: tuple[ClassMetrics, ...]
    """One for each of the C classes, in the order of the outputs."""
    confusion: np.ndarray
    """int64 (C, C): rows are true labels, columns are predictions."""
    calibration: CalibrationBins

    @property
    def num_judged(self) -> int:
        """How many classes have faces."""
        return sum(one.support > 0 for one in self.classes)

    @property
    def macro_in_words(self) -> str:
        """What the macro average is a mean of."""
        if self.num_judged == len(self.classes):
            return f"mean of all {len(self.classes)} classes"
        return f"mean of the {self.num_judged} of {len(self.classes)} classes that have faces"

    @property
    def standard_error(self) -> float:
        """Standard error of the accuracy: that of a mean of ``num_faces`` independent right or wrong answers."""
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.num_faces)

    @property
    def calibration_error(self) -> float:
        """Expected calibration error (see CalibrationBins.expected_error)."""
        return self.calibration.expected_error

    def to_dict(self, labels: LabelSet) -> dict[str, Any]:
        """The same figures as plain numbers, lists and dicts, ready for JSON; ``labels`` are those of the classes."""
        return {
            "num_faces": self.num_faces,
            "accuracy": self.accuracy,
            "standard_error": self.standard_error,
            "macro_f1": self.macro_f1,
            "macro_f1_classes": [name for name, one in zip(labels.names, self.classes, strict=True) if one.support],
            "log_loss": self.log_loss,
            "calibration_error": self.calibration_error,
            "expressions": {
                name: {"precision": one.precision, "recall": one.recall, "f1": one.f1, "support": one.support}
                for name, one in zip(labels.names, self.classes, strict=True)
            },
            "confusion": self.confusion.tolist(),
        }


def evaluate_probabilities(probabilities: np.ndarray, labels: np.ndarray, num_classes: int | None = None) -> Metrics:
    """Measure ``probabilities`` (N, C), rows summing to one, against ``labels``, integers (N,) from 0 to C - 1.

    The prediction is the most probable class, the first of equals. Raises ValueError when N is 0, when a shape (also
    one of another number of classes than ``num_classes``, where that is given) or a label does not fit, or when a row
    is not a distribution (logits given by mistake, NaN).
    """
    probabilities, labels = _checked(probabilities, labels, num_classes)
    num_classes = probabilities.shape[1]
    predictions = probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, predictions, num_classes)
    classes = tuple(_one_against_rest(confusion, index) for index in range(num_classes))
    true_probabilities = probabilities[np.arange(len(labels)), labels]
    return Metrics(
        num_faces=len(labels),
        accuracy=float(np.mean(predictions == labels)),
        macro_f1=float(np.mean([one.f1 for one in classes if one.f1 is not None])),
        log_loss=float(-np.log(np.maximum(true_probabilities, SMALLEST_PROBABILITY)).mean()),
        classes=classes,
        confusion=confusion,
        calibration=calibration_bins(probabilities.max(axis=1), predictions == labels),
    )


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts int64 (C, C) of every pair (true label, prediction); both are integers (N,) from 0 to C - 1."""
    pairs = labels * num_classes + predictions
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def worst_mistakes(probabilities: np.ndarray, labels: np.ndarray, limit: int) -> np.ndarray:
    """Indices (at most ``limit``,) of the wrong predictions, the most confident first and equals in their order."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    most_confident_first = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return wrong[most_confident_first][:limit]


def _one_against_rest(confusion: np.ndarray, index: int) -> ClassMetrics:
    hits = int(confusion[index, index])
    support = int(confusion[index].sum())
    predicted = int(confusion[:, index].sum())
    if not support:
        return ClassMetrics(precision=None, recall=None, f1=None, support=0)
    return ClassMetrics(
        precision=_ratio(hits, predicted),
        recall=_ratio(hits, support),
        f1=_ratio(2 * hits, support + predicted),
        support=support,
    )


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else 0.0


def _checked(probabilities: np.ndarray, labels: np.ndarray, num_classes: int | None) -> tuple[np.ndarray, np.ndarray]:
    probabilities = np.asarray(probabilities, dtype=np.float64)
    labels = np.asarray(labels)
    if probabilities.ndim != 2 or probabilities.shape[1] < 2 or num_classes not in (None, probabilities.shape[1]):
        raise ValueError(f"expected probabilities of shape (N, {num_classes or 'C'}), found {probabilities.shape}")
    last = probabilities.shape[1] - 1
    if labels.shape != probabilities.shape[:1]:
        raise ValueError(f"expected one label for each of {len(probabilities)} predictions, found {labels.shape}")
    if len(labels) == 0:
        raise ValueError("expected at least one face to measure, found none")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() > last:
        raise ValueError(f"expected integer labels from 0 to {last}, found {np.unique(labels)[:10]}")
    # Written so that NaN fails too: every comparison with NaN is false.
    in_range = (probabilities >= 0) & (probabilities <= 1 + SUM_TOLERANCE)
    if not (in_range.all() and (np.abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE).all()):
        raise ValueError("expected rows of probabilities, 0 to 1 and summing to 1, found others; logits need softmax()")
    return probabilities, labels.astype(np.int64)
