"""Which percentiles a number of timed queries supports: MLPerf Inference's early stopping.

The rule is that of https://github.com/mlcommons/inference_policies/blob/master/inference_rules.adoc ("Early stopping"):
a percentile p is claimed only where, were the true fraction of queries below it smaller than p, so few queries above
it would be seen in at most one run of a hundred. With h queries below and t above that chance is the lower tail of a
binomial, P(Binomial(h + t, 1 - p) <= t), which is the regularised incomplete beta function I_p(h, t + 1).
"""

from collections.abc import Sequence
from functools import cache

from fer_edge.evaluation.binomial import binomial_cdf

CONFIDENCE = 0.99
"""Of the rules."""

N_TOO_SMALL = "n too small"
"""Stands where a percentile would, when there are too few queries for it."""


def holds(above: int, queries: int, percentile: float) -> bool:
    """Whether ``percentile`` of all queries are below a bound that ``above`` of ``queries`` passed, at 99 %."""
    return binomial_cdf(above, queries, 1 - percentile / 100) <= 1 - CONFIDENCE


@cache
def min_queries(percentile: float) -> int:
    """The fewest queries that support the percentile: 64 for p90, 662 for p99, as the rules have it.

    That many, because the estimate is one of the timed latencies: one query, the slowest, lies at or above it.
    """
    low, high = 1, 2
    while not holds(1, high, percentile):
        low, high = high, 2 * high
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(1, middle, percentile) else (middle, high)
    return high


@cache
def most_above(queries: int, percentile: float) -> int:
    """How many of ``queries`` may lie at or above the estimate of the percentile; 0 where there are too few queries."""
    if queries < min_queries(percentile):
        return 0
    low, high = 1, queries
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle, queries, percentile) else (low, middle)
    return low


def percentile_estimate(latencies: Sequence[float], percentile: float) -> float | None:
    """The rules' estimate of a percentile: a little above the plain one, the more so the fewer queries there were.

    None where there are fewer than ``min_queries``.
    """
    above = most_above(len(latencies), percentile)
    return sorted(latencies)[len(latencies) - above] if above else None
