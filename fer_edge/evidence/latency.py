"""The claim of a latency, as a ratio: two models timed in turns on one machine, and again on another.

Milliseconds say little elsewhere; how two models compare says more, and what else a machine does falls on both.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from fer_edge.backends.contract import ModelBackend
from fer_edge.benchmark.faces import timing_faces
from fer_edge.benchmark.statistics import interleaved_order, ratio_interval
from fer_edge.benchmark.timed_run import Clock, RunLength, timed_run
from fer_edge.evidence.claims import (
    CLAIMS,
    Claim,
    NotCheckable,
    Result,
    converted,
    decoded,
    rows_bytes,
    wider_bounds,
    wrong_words,
)
from fer_edge.evidence.contents import Contents
from fer_edge.evidence.kinds import Here
from fer_edge.runtime.machine import describe_machine
from fer_edge.text import printable

SAMPLES = "samples/latency.json"
ROUNDS = 12
LENGTH = RunLength(warm_up_s=0.1, budget_s=0.2)
FACTOR = 2.0
"""A ratio elsewhere may be so many times the claim's; a smaller one is no failure."""
_REASON = (
    "the same two files in turns, so that what else a machine does falls on both; but processors differ in what 8-bit "
    "products cost (one with VNNI runs an INT8 file up to 2.5 times as fast as it would without: "
    "benchmarks/results/portable_int8-vnni.json)"
)


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Its figures."""

    ratio: float
    """Median time of the model over that of the other."""
    low: float
    high: float
    """Its 95 % interval."""
    model_ms: float
    against_ms: float
    against: str
    """The other's file."""

    @property
    def sentence(self) -> str:
        """The claim for people."""
        return (
            f"For one face on one thread the model takes {self.ratio:.3f} of the time of {self.against} "
            f"(95 % interval {self.low:.3f} to {self.high:.3f}; medians {self.model_ms:.3f} and "
            f"{self.against_ms:.3f} ms)."
        )

    @property
    def short(self) -> str:
        """The claim in a few words."""
        return f"{self.times} of the time of {self.against}"

    @property
    def times(self) -> str:
        """The ratio and its interval."""
        return f"{self.ratio:.2f} [{self.low:.2f}, {self.high:.2f}]"


class _Round(msgspec.Struct):
    model_ms: list[float]
    against_ms: list[float]


class _Samples(msgspec.Struct):
    rows: list[_Round]


def measure(contents: Contents) -> tuple[Claim, bytes]:
    """The claim of the bundle's model against its other one, and its raw samples."""
    value, rounds = _measured(contents)
    claim = Claim(
        id="latency",
        kind="latency",
        sentence=value.sentence,
        value=msgspec.to_builtins(value),
        allowed={"factor": FACTOR},
        reason=_REASON,
        measured=(
            f"{ROUNDS} rounds in turns, each of up to {LENGTH.budget_s:g} s a model after warming up, from uint8 "
            f"pixels to probabilities, on one thread; {time.strftime('%Y-%m-%d', time.gmtime())}; {describe_machine()}"
        ),
        samples=SAMPLES,
    )
    rows = [{"model_ms": one, "against_ms": other} for one, other in zip(*rounds, strict=True)]
    return claim, rows_bytes({}, rows)


def recheck(claim: Claim, here: Here) -> Result:
    """Time both models again. Raises NotCheckable where the interval holds the bound: that would be a coin toss."""
    value = converted(claim.value, Value, f"{CLAIMS}: {claim.id}")
    if problem := _contradiction(claim, value, here.contents):
        return Result(claim.id, "failed", value.short, reason=problem)
    here.note("timing both models in turns")
    found, _ = _measured(here.contents)
    figures = msgspec.to_builtins(found)
    limit = value.ratio * claim.allowed["factor"]
    if found.ratio <= limit:
        return Result(claim.id, "passed", value.short, found.times, "", figures)
    if found.low <= limit:
        reason = f"too noisy to tell: at most {limit:.2f} is allowed, which lies in the interval; try a quieter machine"
        return Result(claim.id, "not checked", value.short, found.times, reason, figures)
    reason = f"expected at most {limit:.2f} of the time of {printable(value.against)}, found {found.times}"
    return Result(claim.id, "failed", value.short, found.times, reason, figures)


def time_in_turns(
    backends: Sequence[ModelBackend], clock: Clock = time.perf_counter, rounds: int = ROUNDS, length: RunLength = LENGTH
) -> list[list[list[float]]]:
    """Milliseconds from pixels to the answer for one face: of each backend, of each round, its timings."""
    pixels = [timing_faces(1, one.metadata.image_size)[..., np.newaxis] for one in backends]
    found: list[list[list[float]]] = [[] for _ in backends]
    for order in interleaved_order(len(backends), rounds):
        for place in order:
            timings = timed_run(backends[place], [pixels[place]], length, clock)
            found[place].append([round(one.latency(backends[place].copies_apart), 5) for one in timings])
    return found


def _measured(contents: Contents) -> tuple[Value, list[list[list[float]]]]:
    against = contents.manifest.against
    if against is None:
        raise NotCheckable("the bundle holds no other model to compare with")
    rounds = time_in_turns([contents.model, contents.opened(against)])
    return _value(rounds[0], rounds[1], Path(against).name), rounds


def _value(model: list[list[float]], against: list[list[float]], name: str) -> Value:
    medians = [float(np.median(np.concatenate(rounds))) for rounds in (model, against)]
    interval = ratio_interval(model, against)
    return Value(medians[0] / medians[1], interval.low, interval.high, medians[0], medians[1], name)


def _contradiction(claim: Claim, value: Value, contents: Contents) -> str:
    """How the claim contradicts its own samples or what this version allows; empty if it does not."""
    name = claim.samples or ""
    rows = decoded(contents.read(name), _Samples, name).rows
    model, against = [row.model_ms for row in rows], [row.against_ms for row in rows]
    if not rows or not all(one and min(one) > 0 for one in (*model, *against)):
        return "it has no samples of each round"
    found = _value(model, against, Path(contents.manifest.against or "").name)
    figures, sampled = ((one.ratio, one.low, one.high, one.model_ms, one.against_ms) for one in (value, found))
    if value.against != found.against or not np.allclose(figures, sampled, rtol=1e-6):
        return f"it states {value.times} of {printable(value.against)}, and its samples {found.times}"
    return wider_bounds(claim, {"factor": FACTOR}) or wrong_words(claim, value.sentence)
