"""Figures of two sides' answers to the same images: differences, noise, and what all images share."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.backends.contract import Outputs
from fer_edge.evaluation.metrics import Metrics, evaluate_probabilities, softmax
from fer_edge.export.parity.tolerance import Tolerance

SQNR_CEILING_DB = 200.0
"""Stands for identical answers, whose ratio is infinite."""
_LEAST_DEVIATION = 1e-3
"""Of logits around their class's mean: below it their slope is that of rounding errors, and no probability shows it."""


@dataclass(frozen=True)
class ParityRow:
    """One probe at one batch size."""

    probe: str
    batch: int
    max_logit_difference: float
    mean_logit_difference: float
    max_probability_difference: float
    mean_probability_difference: float
    sqnr_db: float
    """Power of the reference's logits over the power of the difference, in decibels."""
    max_softmax_difference: float
    """Largest difference between the model's probabilities and the softmax of its own logits."""
    cosine: float
    """Smallest cosine between the two logit vectors of an image."""
    decided: int
    """Images whose two best probabilities differ by more than the tie margin."""
    agreeing: int
    """Those among them that both sides give the same class."""
    judged: bool
    """Whether the tolerance applies to this row; numbers must be finite in all."""


@dataclass(frozen=True)
class AccuracyPair:
    """Both sides on the same labelled faces, N of C classes."""

    source: str
    labels: NDArray[np.int64]
    """(N,)"""
    of_checkpoint: NDArray[np.float32]
    """Probabilities (N, C)."""
    of_model: NDArray[np.float32]
    """Probabilities (N, C)."""

    @property
    def faces(self) -> int:
        """How many."""
        return len(self.labels)

    @cached_property
    def metrics_of_checkpoint(self) -> Metrics:
        """Every figure of the checkpoint. Raises ValueError where its answers are no probabilities."""
        return evaluate_probabilities(self.of_checkpoint, self.labels)

    @cached_property
    def metrics_of_model(self) -> Metrics:
        """Every figure of the model. Raises ValueError where its answers are no probabilities."""
        return evaluate_probabilities(self.of_model, self.labels)

    @property
    def checkpoint(self) -> float:
        """Accuracy of the checkpoint."""
        return float((self.of_checkpoint.argmax(axis=1) == self.labels).mean())

    @property
    def model(self) -> float:
        """Accuracy of the model."""
        return float((self.of_model.argmax(axis=1) == self.labels).mean())

    @property
    def disagreement(self) -> float:
        """Fraction of the faces that the two sides name differently."""
        return float((self.of_checkpoint.argmax(axis=1) != self.of_model.argmax(axis=1)).mean())

    @property
    def drop_points(self) -> float:
        """Percentage points that the model loses; negative where it gains."""
        return 100 * (self.checkpoint - self.model)

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return {
            "source": self.source,
            "faces": self.faces,
            "checkpoint": self.checkpoint,
            "model": self.model,
            "disagreement": self.disagreement,
            "drop_points": self.drop_points,
        }


def row_of(probe: str, batch: int, expected: Outputs, found: Outputs, tolerance: Tolerance, judged: bool) -> ParityRow:
    """The figures of a probe at one batch size: what was ``expected``, and what the model was ``found`` to answer."""
    logit_difference = np.abs(expected.logits - found.logits)
    probability_difference = np.abs(expected.probabilities - found.probabilities)
    best_two = np.sort(expected.probabilities, axis=1)[:, -2:]
    decided = best_two[:, 1] - best_two[:, 0] > tolerance.tie_margin
    agreeing = expected.probabilities.argmax(axis=1) == found.probabilities.argmax(axis=1)
    return ParityRow(
        probe=probe,
        batch=batch,
        max_logit_difference=float(logit_difference.max()),
        mean_logit_difference=float(logit_difference.mean()),
        max_probability_difference=float(probability_difference.max()),
        mean_probability_difference=float(probability_difference.mean()),
        sqnr_db=sqnr_db(expected.logits, found.logits),
        max_softmax_difference=float(np.abs(softmax(found.logits) - found.probabilities).max()),
        cosine=float(_cosines(expected.logits, found.logits).min()),
        decided=int(decided.sum()),
        agreeing=int((agreeing & decided).sum()),
        judged=judged,
    )


def sqnr_db(expected: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """Signal-to-quantisation-noise ratio in decibels, at most SQNR_CEILING_DB."""
    signal = float(np.square(expected, dtype=np.float64).sum())
    noise = float(np.square(np.subtract(expected, found, dtype=np.float64)).sum())
    if noise == 0:
        return SQNR_CEILING_DB
    if signal == 0 or not math.isfinite(noise):
        return -SQNR_CEILING_DB
    return min(10 * math.log10(signal / noise), SQNR_CEILING_DB)


def slope_and_bias(expected: NDArray[np.float32], found: NDArray[np.float32]) -> tuple[float, tuple[float, ...]]:
    """Slope of ``found`` over ``expected`` (N, C), each class around its mean, and each class's mean difference over
    the standard deviation of ``expected``. Rounding leaves 1 and 0; a fault that all images share does not.

    The slope is 1 where the logits of ``expected`` are the same for all images: of a network that learnt nothing.
    """
    own, other = expected.astype(np.float64), found.astype(np.float64)
    around = own - own.mean(axis=0)
    spread = float((around**2).sum())
    is_judged = spread > around.size * _LEAST_DEVIATION**2
    slope = float((around * (other - other.mean(axis=0))).sum() / spread) if is_judged else 1.0
    deviation = float(own.std()) or 1.0
    return slope, tuple(float(value) for value in (other - own).mean(axis=0) / deviation)


def _cosines(expected: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
    return np.asarray((expected * found).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny), np.float64)
