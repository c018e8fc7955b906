"""Whether a model's confidence means what it says."""

from dataclasses import dataclass

import numpy as np

NUM_BINS = 15
"""The number of bins of Guo et al. 2017, whose figures others quote."""


@dataclass(frozen=True)
class CalibrationBins:
    """Predictions sorted by confidence into bins of equal width; an empty bin has 0 in all three."""

    counts: np.ndarray
    """int64 (M,): predictions in bin m, whose confidence is in (m / M, (m + 1) / M]."""
    confidence: np.ndarray
    """float64 (M,): their mean confidence."""
    accuracy: np.ndarray
    """float64 (M,): the fraction of them that is right."""

    @property
    def expected_error(self) -> float:
        """Mean distance between confidence and accuracy, weighted by the counts.

        The expected calibration error of Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, eq. 3.
        """
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.counts))


def calibration_bins(confidence: np.ndarray, correct: np.ndarray, num_bins: int = NUM_BINS) -> CalibrationBins:
    """Sort predictions by ``confidence``, floats (N,) from 0 to 1, with ``correct``, bool (N,), N at least 1."""
    bins = np.clip(np.ceil(confidence * num_bins).astype(np.int64) - 1, 0, num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    divisor = np.maximum(counts, 1)
    return CalibrationBins(
        counts=counts,
        confidence=np.bincount(bins, weights=confidence, minlength=num_bins) / divisor,
        accuracy=np.bincount(bins, weights=correct, minlength=num_bins) / divisor,
    )
