"""Exact binomial bounds (C. Clopper and E. Pearson, Biometrika 26, 1934), with numpy alone."""

import math

import numpy as np

_HALVINGS = 60
"""Of the interval from 0 to 1: finer than a float64 near 1."""


def binomial_cdf(successes: int, trials: int, probability: float) -> float:
    """The probability of at most ``successes`` in ``trials`` (0 or more) of ``probability`` (0-1) each."""
    if successes >= trials or probability <= 0:
        return float(successes >= 0)
    if successes < 0 or probability >= 1:
        return 0.0
    counts = np.arange(successes + 1)
    ratios = np.log((trials - counts[:-1]) / (counts[:-1] + 1))
    log_choose = np.concatenate([[0.0], np.cumsum(ratios)])
    logs = log_choose + counts * math.log(probability) + (trials - counts) * math.log1p(-probability)
    largest = logs.max()
    return min(1.0, float(math.exp(largest) * np.exp(logs - largest).sum()))


def upper_bound(successes: int, trials: int, error_rate: float) -> float:
    """One-sided: the true probability is above it in at most ``error_rate`` of all samples. 1 without trials."""
    if successes >= trials:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if binomial_cdf(successes, trials, middle) > error_rate:
            low = middle
        else:
            high = middle
    return high


def lower_bound(successes: int, trials: int, error_rate: float) -> float:
    """One-sided: the true probability is below it in at most ``error_rate`` of all samples. 0 without trials."""
    return 1.0 - upper_bound(trials - successes, trials, error_rate)
