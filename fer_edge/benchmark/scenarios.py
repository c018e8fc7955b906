"""Scenarios as MLPerf Inference names and defines them, and one of our own that lasts minutes.

https://github.com/mlcommons/inference_policies/blob/master/inference_rules.adoc ("Scenarios"):

* ``single-stream``: one image a query, the next query when the last is answered; the figure is p90.
* ``multi-stream``: the same with 8 images a query; the figure is p99.
* ``server``: queries of one image arrive at random (a Poisson process); the figure is the highest rate at which p99
  stays under a bound. Latency counts from when a query was due.
* ``offline``: all images are there at once; the figure is images a second.
* ``sustained``: single-stream for minutes; the figure is how the rate changes (not of MLPerf).

Percentiles are its early-stopping estimates. Its runs last 10 minutes and its offline query has 24,576 images; ours are
shorter, so that no figure here is an MLPerf result. Numbers only: whoever measures gives the clock and the model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fer_edge.benchmark.early_stopping import holds, min_queries, most_above, percentile_estimate
from fer_edge.benchmark.timed_run import Clock

SINGLE_STREAM, MULTI_STREAM, SERVER, OFFLINE, SUSTAINED = (
    *("single-stream", "multi-stream", "server"),
    *("offline", "sustained"),
)
SCENARIOS = (SINGLE_STREAM, MULTI_STREAM, SERVER, OFFLINE, SUSTAINED)
MULTI_STREAM_IMAGES = 8
"""Of the rules."""
STREAM_PERCENTILES = {SINGLE_STREAM: 90, MULTI_STREAM: 99}
SERVER_PERCENTILE = 99
PROBES = 9
"""Rates that the bisection tries: it ends within 1 % where service takes a tenth of the bound or more."""

LEAST_SHARE = 1 / 32
"""Of what the model does without waiting: no lower rate is tried."""

Answer = Callable[[int], Any]
"""Answers the query of a number: its input is the caller's affair."""
Heard = Callable[[int, Any], None]
"""Is told the number of each query and what was answered, off the clock."""
Sleep = Callable[[float], None]
_SPIN_S = 0.001
"""The last part of a wait, which a sleep would overshoot."""


@dataclass(frozen=True)
class Stream:
    """Queries one after the other."""

    latency_ms: list[float]
    ended_s: list[float]
    """When each was answered, from the beginning of the run."""

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return self.ended_s[-1]


def unheard(number: int, answered: Any) -> None:
    """Forget what was answered."""


def run_stream(
    answer: Answer, clock: Clock, *, min_count: int, min_s: float, max_s: float, heard: Heard = unheard
) -> Stream:
    """Queries, each sent when the last is answered, until ``min_count`` in ``min_s``, or ``max_s`` passed."""
    stream = Stream([], [])
    began = now = clock()
    while (len(stream.ended_s) < min_count or now - began < min_s) and (not stream.ended_s or now - began < max_s):
        number, sent = len(stream.ended_s), clock()
        answered = answer(number)
        now = clock()
        stream.latency_ms.append(1000 * (now - sent))
        stream.ended_s.append(now - began)
        heard(number, answered)
    return stream


def arrivals(rate: float, count: int, seed: int) -> list[float]:
    """Seconds at which the queries of a Poisson process of ``rate`` a second arrive: the same for the same seed.

    Another rate has the same arrivals on another scale, so that a bisection compares rates and not luck.
    """
    gaps = np.random.default_rng(seed).exponential(size=count)
    return [float(one) for one in np.cumsum(gaps) / rate]


def run_server(
    answer: Answer,
    due_s: Sequence[float],
    clock: Clock,
    sleep: Sleep,
    heard: Heard = unheard,
    is_over: Callable[[float], bool] = lambda latency_ms: False,
) -> list[float]:
    """Milliseconds from when each query was due to its answer: one at a time, in the order of arrival.

    ``is_over`` is told each, and ends the run where it says so.
    """
    began = clock()
    latency_ms: list[float] = []
    for number, due in enumerate(due_s):
        while (wait := began + due - clock()) > 0:
            sleep(wait - _SPIN_S if wait > _SPIN_S else 0.0)
        answered = answer(number)
        latency_ms.append(1000 * (clock() - began - due))
        heard(number, answered)
        if is_over(latency_ms[-1]):
            break
    return latency_ms


@dataclass(frozen=True)
class Probe:
    """One rate that was tried."""

    rate: float
    above: int
    """Queries that took longer than the bound."""
    queries: int
    """Fewer than were planned where so many took longer that p99 could not stay under the bound any more."""
    is_valid: bool
    """Whether p99 stays under the bound at 99 % confidence."""


def highest_rate(latencies_at: Callable[[float], Sequence[float]], most: float, bound_ms: float) -> list[Probe]:
    """Bisect rates from 0 to ``most`` (queries a second) for the highest at which p99 stays under ``bound_ms``.

    The probes, in their order; the highest valid one is the answer, and where none is valid there is none.
    """
    low, high = 0.0, most
    probes: list[Probe] = []
    for _ in range(PROBES):
        rate = (low + high) / 2
        if rate < most * LEAST_SHARE:  # it would take minutes to say that a machine this noisy has none
            break
        latencies = latencies_at(rate)
        above = sum(one > bound_ms for one in latencies)
        probes.append(Probe(rate, above, len(latencies), holds(above, len(latencies), SERVER_PERCENTILE)))
        low, high = (rate, high) if probes[-1].is_valid else (low, rate)
    return probes


def best(probes: Sequence[Probe]) -> float | None:
    """The highest valid rate, in queries a second."""
    return max((one.rate for one in probes if one.is_valid), default=None)


def server_figures(
    answer: Answer,
    clock: Clock,
    sleep: Sleep,
    *,
    most: float,
    bound_ms: float,
    queries: int,
    seed: int,
    heard: Heard = unheard,
) -> dict[str, Any]:
    """The server scenario: the rate, and all that was tried. ``queries`` a probe are at least what p99 needs."""
    count = max(queries, min_queries(SERVER_PERCENTILE))
    may_be_above = most_above(count, SERVER_PERCENTILE)

    def latencies_at(rate: float) -> list[float]:
        above = 0

        def is_over(latency_ms: float) -> bool:
            nonlocal above
            above += latency_ms > bound_ms
            return above > may_be_above

        return run_server(answer, arrivals(rate, count, seed), clock, sleep, heard, is_over)

    probes = highest_rate(latencies_at, most, bound_ms)
    tried = [{"rate": one.rate, "above": one.above, "queries": one.queries, "is_valid": one.is_valid} for one in probes]
    return {"rate_per_s": best(probes), "bound_ms": bound_ms, "seed": seed, "probes": tried}


def stream_figures(stream: Stream, percentile: int, images: int) -> dict[str, Any]:
    """The percentile (None where there were too few queries), the mean rate, and how many queries there were."""
    return {
        f"p{percentile}_ms": percentile_estimate(stream.latency_ms, percentile),
        "p50_ms": float(np.median(stream.latency_ms)),
        "queries": len(stream.latency_ms),
        "images_per_s": images * len(stream.latency_ms) / stream.seconds,
    }


def by_second(stream: Stream) -> list[int]:
    """How many queries were answered in each whole second; the last, broken one is left out."""
    return [int(one) for one in np.bincount(np.array(stream.ended_s, int))[: int(stream.seconds)]]


THROTTLED = 0.95
"""Last fifth's rate over the first fifth's below which a machine is said to have slowed down."""


def sustained_figures(stream: Stream) -> dict[str, Any]:
    """Images a second, second by second, and the drift: the median rate of the last fifth over that of the first.

    ``drift`` is None for fewer than 10 seconds. What throttling looks like is a drift below 1 that stays; what noise
    looks like is single slow seconds, which ``slowest_over_median`` shows.
    """
    rates = by_second(stream)
    fifth = len(rates) // 5
    drift = float(np.median(rates[-fifth:]) / np.median(rates[:fifth])) if fifth >= 2 else None
    return {
        "queries": len(stream.latency_ms),
        "by_second": rates,
        "images_per_s": len(stream.latency_ms) / stream.seconds,
        "drift": drift,
        "slowest_over_median": min(rates) / float(np.median(rates)) if rates else None,
        "is_throttled": None if drift is None else drift < THROTTLED,
    }
