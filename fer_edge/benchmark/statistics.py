"""From raw timings to figures: percentiles, bootstrap intervals, and the order in which rows alternate.

Everything here is a pure function of its arguments; the random draws come from a fixed seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmark.early_stopping import min_queries

Rounds = Sequence[Sequence[float]]
"""Timings of one row in milliseconds: one sequence a round."""

MEDIAN = 50
PERCENTILES = (MEDIAN, 90, 95, 99)
RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A 95% confidence interval."""

    low: float
    high: float

    def overlaps(self, other: "Interval") -> bool:
        """Whether the two share a value: then no difference between their medians is claimed."""
        return self.low <= other.high and other.low <= self.high

    def relative_width(self, centre: float) -> float:
        """Width over ``centre``: 0.1 says that the figure is known to about 5% either way."""
        return (self.high - self.low) / centre


def percentiles(rounds: Rounds) -> dict[int, float]:
    """Percentile to value over all timings, interpolated linearly between neighbours. Needs at least one timing.

    Percentiles of the tail that so few timings do not support (``early_stopping.min_queries``) are not among them. The
    median always is: its 95% interval stands beside it.
    """
    values = np.concatenate([np.asarray(one, np.float64) for one in rounds])
    supported = [one for one in PERCENTILES if one == MEDIAN or len(values) >= min_queries(one)]
    return dict(zip(supported, np.percentile(values, supported).tolist(), strict=True))


def median_interval(rounds: Rounds, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """95% interval of the median by a bootstrap in two stages: rounds are drawn, then timings within them.

    Timings of one round share the state that the machine was in, so drawing single timings alone would promise too
    much (Davison and Hinkley 1997, section 3.8). With one round, only the timings are drawn.
    """
    return _interval(bootstrap_medians(rounds, resamples=resamples, seed=seed))


def ratio_interval(new: Rounds, old: Rounds, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """95% interval of the median of ``new`` over that of ``old``, from independent bootstraps of both."""
    new_medians = bootstrap_medians(new, resamples=resamples, seed=seed)
    old_medians = bootstrap_medians(old, resamples=resamples, seed=seed + 1)
    return _interval(new_medians / old_medians)


def bootstrap_medians(rounds: Rounds, *, resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """Medians (resamples,) of redrawn timings. Every drawn round gives as many as the rounds hold on average."""
    kept = [np.asarray(one, np.float64) for one in rounds if len(one)]
    lengths = np.array([len(one) for one in kept])
    padded = np.zeros((len(kept), lengths.max()))
    for row, values in zip(padded, kept, strict=True):
        row[: len(values)] = values
    generator = np.random.default_rng(seed)
    drawn_rounds = generator.integers(len(kept), size=(resamples, len(kept)))  # (B, R)
    draws = max(1, round(float(lengths.mean())))
    part = generator.random((resamples, len(kept), draws))
    drawn_timings = (part * lengths[drawn_rounds][..., np.newaxis]).astype(np.int64)  # (B, R, n)
    redrawn = padded[drawn_rounds[..., np.newaxis], drawn_timings]
    return np.asarray(np.median(redrawn.reshape(resamples, -1), axis=1), np.float64)


def _interval(values: NDArray[np.float64]) -> Interval:
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [outside, 1 - outside]).tolist()
    return Interval(low, high)


def interleaved_order(num_rows: int, num_rounds: int) -> list[list[int]]:
    """For each round, the order in which the rows take their turns.

    A Williams design (Williams 1949): over ``num_rows`` rounds every row has every place once and, for an even number
    of rows, follows every other row once, so that neither drift nor a neighbour falls on one row alone.
    """
    zigzag = [(step + 1) // 2 if step % 2 else -step // 2 for step in range(num_rows)]  # 0, 1, -1, 2, -2, ...
    return [[(place + turn) % num_rows for place in zigzag] for turn in range(num_rounds)]
