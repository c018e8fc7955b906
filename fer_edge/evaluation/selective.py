"""Selective classification: answers only where the model is sure enough, and how often those are wrong."""

import math
from dataclasses import dataclass

import numpy as np

from fer_edge.evaluation.binomial import binomial_cdf

_FACES_OF_FIRST_TEST = 4
"""Times the fewest faces that could pass without a mistake: with fewer, one mistake more or less would decide."""


@dataclass(frozen=True)
class RiskCoverage:
    """What a model risks at each share of answers; R. El-Yaniv and Y. Wiener, JMLR 11, 2010."""

    coverage: np.ndarray
    """float64 (K,), rising to 1: the share of the faces that are answered. Equal confidences are answered together."""
    risk: np.ndarray
    """float64 (K,): the fraction of these answers that is wrong."""
    thresholds: np.ndarray
    """float64 (K,), falling: the least confidence that is answered."""

    @property
    def area(self) -> float:
        """Area under the curve (AURC): the mean risk over all coverages; lower is better."""
        widths = np.diff(self.coverage, prepend=0.0)
        return float((self.risk * widths).sum())

    def risk_at(self, coverage: float) -> float:
        """The risk where at least this share is answered."""
        return float(self.risk[min(int(np.searchsorted(self.coverage, coverage - 1e-12)), len(self.risk) - 1)])


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> RiskCoverage:
    """The curve of ``confidence``, floats (N,), and ``correct``, bool (N,), N at least 1."""
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = confidence[order]
    wrong = np.cumsum(~np.asarray(correct, bool)[order])
    last = np.flatnonzero(np.append(sorted_confidence[1:] != sorted_confidence[:-1], True))
    answered = last + 1
    return RiskCoverage(answered / len(confidence), wrong[last] / answered, sorted_confidence[last].astype(np.float64))


@dataclass(frozen=True)
class ChosenThreshold:
    """The lowest confidence that keeps a risk, as it was found on one set of faces."""

    threshold: float
    """A face is answered where its confidence is above it."""
    answered: int
    wrong: int
    """Of the answered."""


def threshold_grid(confidence: np.ndarray) -> np.ndarray:
    """Thresholds float64 (100,) to try, from 1 % of the faces to all of them, falling; the last is 0.

    ``confidence``, floats (N,), must be of other faces than those on which one of them is chosen: only then is each a
    number that those faces had no part in.
    """
    grid = np.quantile(confidence, 1 - np.arange(1, 101) / 100)
    grid[-1] = 0.0
    return np.asarray(grid, np.float64)


def choose_threshold(
    confidence: np.ndarray, correct: np.ndarray, grid: np.ndarray, max_risk: float, error_rate: float
) -> ChosenThreshold | None:
    """The lowest threshold of ``grid`` (falling) at which at most ``max_risk`` of the answers are wrong, or None.

    The guarantee: over draws of the N faces of ``confidence`` and ``correct`` from the faces that the model will see,
    the true risk at the threshold is above ``max_risk`` with a probability of at most ``error_rate``. So it is for
    selective classification with guaranteed risk (Y. Geifman and R. El-Yaniv, NeurIPS 2017), whose binary search
    tests thresholds that depend on these faces and pays for each. Here the grid is fixed before and tested in its
    order until one fails, which costs nothing (fixed sequence testing: A. Angelopoulos et al., "Learn then Test",
    2021). Each test is the exact binomial one: its level is met where the Clopper-Pearson bound is at most
    ``max_risk``. The first has at least so many expected faces that a few mistakes do not decide it.
    """
    fewest = math.log(error_rate) / math.log1p(-max_risk)  # faces without a mistake whose bound is max_risk
    first = math.ceil(_FACES_OF_FIRST_TEST * fewest / len(confidence) * len(grid)) - 1
    chosen = None
    for threshold in grid[max(first, 0) :]:
        answers = confidence > threshold
        answered, wrong = int(answers.sum()), int((answers & ~correct).sum())
        if binomial_cdf(wrong, answered, max_risk) > error_rate:
            break
        chosen = ChosenThreshold(float(threshold), answered, wrong)
    return chosen
