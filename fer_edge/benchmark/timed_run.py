"""One timed run of one row in a measurement round: a few untimed calls, then timed ones, on a clock that is handed in.

Stdlib only: a worker imports it before it says how long its own imports take.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Clock = Callable[[], float]
"""Seconds that only grow, such as time.perf_counter."""


class Steps(Protocol):
    """The four steps of a backend from pixels to outputs (fer_edge/backends/contract.py)."""

    copies_apart: bool

    def prepare(self, pixels: Any) -> Any:
        """What the model takes as input."""

    def upload(self, feed: Any) -> Any:
        """Bring it to where the model runs."""

    def execute(self, feed: Any) -> Any:
        """Run the model."""

    def download(self, answer: Any) -> Any:
        """The outputs on the host."""


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker is to load."""

    backend: str
    module: str
    """Where the backend is registered: the worker imports it first."""
    precision: str
    provider: str
    batch: int
    threads: int
    path: str
    image_size: int
    description: dict[str, Any] | None = None
    """Of another maker's model."""


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
class RunLength:
    """How long a row is timed in one round."""

    warm_up_runs: int = 3
    """Untimed runs, which bring the model's weights back into the processor's cache: other rows ran since."""
    warm_up_s: float = 0.3
    """After this time one untimed run is enough."""
    budget_s: float = 0.25
    """Time of the timed runs; the run that passes it is the last."""
    min_runs: int = 3
    max_runs: int = 60


def run_once(backend: Steps, pixels: Any, clock: Clock) -> tuple[Timing, Any]:
    """Run the model once: the time of its steps, and its outputs."""
    started = clock()
    feed = backend.prepare(pixels)
    prepared = clock()
    fed = backend.upload(feed)
    uploaded = clock()
    answer = backend.execute(fed)
    ran = clock()
    outputs = backend.download(answer)
    ended = clock()
    steps = (prepared - started, uploaded - prepared, ran - uploaded, ended - ran)
    return Timing(*(1000 * seconds for seconds in steps)), outputs


def timed_run(
    backend: Steps,
    inputs: Sequence[Any],
    length: RunLength,
    clock: Clock,
    heard: Callable[[int, Any], None] = lambda number, outputs: None,
) -> list[Timing]:
    """Warm up, then time runs until the budget is spent: at least ``min_runs``, at most ``max_runs``.

    The ``inputs`` take turns. ``heard`` is told of each timed run, off the clock: the number of its input, its outputs.
    """
    warm_since = clock()
    for _ in range(length.warm_up_runs):
        run_once(backend, inputs[0], clock)
        if clock() - warm_since >= length.warm_up_s:
            break
    timings: list[Timing] = []
    started = clock()
    while len(timings) < length.max_runs and (len(timings) < length.min_runs or clock() - started < length.budget_s):
        number = len(timings) % len(inputs)
        timing, outputs = run_once(backend, inputs[number], clock)
        timings.append(timing)
        heard(number, outputs)
    return timings
