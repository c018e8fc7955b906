"""Time of several calls against each other: alternately, so that all meet the same machine.

A timed run is a few untimed runs and then the timed ones. Alternating image by image would time no model as an app sees
it: the weights of an fp32 ResNet18 (45 MB) push those of its INT8 form (11 MB) out of the processor's cache before each
of its runs, which made it up to twice as slow.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

WARM_UP_RUNS = 3
"""Untimed runs at the start of a measurement, which bring the model's weights back into the cache."""
RUNS_A_ROUND = 5
MIN_ROUNDS, MAX_ROUNDS = 10, 100
BUDGET_SECONDS = 4.0
"""Time for each call; a fast one takes more than MIN_ROUNDS."""


def time_in_turns(calls: Sequence[Callable[[], Any]]) -> NDArray[np.float64]:
    """Milliseconds (rounds, calls) that each takes.

    Each entry is the median over the runs of that round; a row's entries are neighbours in time and may be divided.
    """
    rounds: list[list[float]] = []
    deadline = time.perf_counter() + len(calls) * BUDGET_SECONDS
    while len(rounds) < MIN_ROUNDS or (time.perf_counter() < deadline and len(rounds) < MAX_ROUNDS):
        rounds.append([_round_ms(call) for call in calls])
    return np.array(rounds)


def _round_ms(call: Callable[[], Any]) -> float:
    for _ in range(WARM_UP_RUNS):
        call()
    times_ms = []
    for _ in range(RUNS_A_ROUND):
        start = time.perf_counter()
        call()
        times_ms.append(1000 * (time.perf_counter() - start))
    return float(np.median(times_ms))
