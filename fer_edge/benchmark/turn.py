"""One turn of one row: a few untimed runs, then timed ones, on a clock that is handed in.

Stdlib only: a worker imports it before it says how long its own imports take.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

Clock = Callable[[], float]
"""Seconds that only grow, such as time.perf_counter."""


class Engine(Protocol):
    """A loaded model of any runtime, in the four steps from pixels to probabilities."""

    copies_apart: bool
    """Whether upload and download are copies to and from a device, which are shown beside the latency, not in it."""

    def prepare(self, pixels: Any) -> Any:
        """What this runtime wants as input, from uint8 pixels (N, S, S, 1); what the graph itself does is in run."""

    def upload(self, feed: Any) -> Any:
        """Bring the input to where the model runs; nothing on the CPU."""

    def run(self, feed: Any) -> Any:
        """Run the model until its answer is there: synchronised where the device works on its own."""

    def download(self, answer: Any) -> Any:
        """Probabilities float32 (N, 7) as a numpy array."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds of the four steps of one run."""

    prepare: float
    upload: float
    run: float
    download: float

    def latency(self, copies_apart: bool) -> float:
        """From pixels to the answer, without host copies where they are shown apart."""
        return self.prepare + self.run + (0.0 if copies_apart else self.copies)

    @property
    def copies(self) -> float:
        """Host to device and back."""
        return self.upload + self.download


@dataclass(frozen=True)
class TurnLength:
    """How long a turn is."""

    warm_up_runs: int = 3
    """Untimed runs, which bring the model's weights back into the processor's cache: other rows ran since."""
    warm_up_s: float = 0.3
    """After this time one untimed run is enough."""
    budget_s: float = 0.25
    """Time of the timed runs; the run that passes it is the last."""
    min_runs: int = 3
    max_runs: int = 60


def run_once(engine: Engine, pixels: Any, clock: Clock) -> tuple[Timing, Any]:
    """Run the model once: the time of its steps, and its answer (N, 7)."""
    started = clock()
    feed = engine.prepare(pixels)
    prepared = clock()
    fed = engine.upload(feed)
    uploaded = clock()
    answer = engine.run(fed)
    ran = clock()
    probabilities = engine.download(answer)
    ended = clock()
    steps = (prepared - started, uploaded - prepared, ran - uploaded, ended - ran)
    return Timing(*(1000 * seconds for seconds in steps)), probabilities


def take_turn(engine: Engine, pixels: Any, length: TurnLength, clock: Clock) -> list[Timing]:
    """Warm up, then time runs until the budget is spent: at least ``min_runs``, at most ``max_runs``."""
    warm_since = clock()
    for _ in range(length.warm_up_runs):
        run_once(engine, pixels, clock)
        if clock() - warm_since >= length.warm_up_s:
            break
    timings: list[Timing] = []
    started = clock()
    while len(timings) < length.max_runs and (len(timings) < length.min_runs or clock() - started < length.budget_s):
        timings.append(run_once(engine, pixels, clock)[0])
    return timings
