"""Intervals and tests of fractions: how far a figure of so many faces can be trusted."""

import math

import numpy as np

from fer_edge.evaluation.binomial import binomial_cdf

Z_95 = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""


def chance_in_words(p_value: float) -> str:
    """What a p-value says, at the usual 5 %."""
    return "more than chance" if p_value < 0.05 else "not told from chance"


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """The 95 % score interval of a fraction, ``right`` of ``total`` (at least 1); Wilson 1927.

    It keeps its coverage for few faces and near 0 and 1, where the usual one of plus and minus two standard errors does
    not (Brown, Cai and DasGupta 2001).
    """
    fraction, z2 = right / total, Z_95**2
    centre = (fraction + z2 / (2 * total)) / (1 + z2 / total)
    half = Z_95 * math.sqrt(fraction * (1 - fraction) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return max(0.0, centre - half), min(1.0, centre + half)


def difference_interval(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """The 95 % interval of one fraction minus another, each (right, total), of different faces.

    Newcombe 1998, method 10: from the two score intervals.
    """
    (p1, (low1, high1)), (p2, (low2, high2)) = (
        (right / total, wilson_interval(right, total)) for right, total in (first, second)
    )
    difference = p1 - p2
    return (
        difference - math.hypot(p1 - low1, high2 - p2),
        difference + math.hypot(high1 - p1, p2 - low2),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p-value of McNemar's test (1947): whether two models are right on different numbers of faces.

    The arguments are the faces that only one of them answers rightly; faces that both do tell nothing. Under the null
    hypothesis either is a coin toss, so the p-value is a binomial tail, doubled.
    """
    return min(1.0, 2 * binomial_cdf(min(only_first, only_second), only_first + only_second, 0.5))


def holm(p_values: list[float]) -> list[float]:
    """The p-values of several tests, raised so that one of them is below 5 % by chance in 5 % of the cases at most.

    Holm 1979; in the order given.
    """
    raised, floor = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        floor = max(floor, min(1.0, p_values[index] * (len(p_values) - rank)))
        raised[index] = floor
    return raised


def gap_p_value(correct: np.ndarray, groups: np.ndarray, *, draws: int = 2000, seed: int = 0) -> float:
    """How often chance makes a gap as large between the best and the worst group: a permutation test.

    ``correct``: bool (N,); ``groups``: integers (N,) from 0, each at least once. The groups' sizes stay and the faces
    are dealt to them anew ``draws`` times; the largest gap of many groups is compared with the largest of as many.
    The observed order counts as one draw, so the value is never 0 (Phipson and Smyth 2010).
    """
    sizes = np.bincount(groups)

    def gap(order: np.ndarray) -> float:
        accuracy = np.bincount(groups, weights=order) / sizes
        return float(accuracy.max() - accuracy.min())

    observed, generator = gap(correct), np.random.default_rng(seed)
    # A hair below, so that equal gaps count whatever the rounding of their sums.
    as_large = sum(gap(generator.permutation(correct)) >= observed - 1e-12 for _ in range(draws))
    return (as_large + 1) / (draws + 1)
