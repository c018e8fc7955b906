"""Scenarios of all rows, one process at a time."""

from dataclasses import asdict, dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.benchmark import audit
from fer_edge.benchmark.client import Stop, Stopped, WorkerClient, WorkerError
from fer_edge.benchmark.faces import timing_faces
from fer_edge.benchmark.machine import cpu_flags, describe_environment, noise_in
from fer_edge.benchmark.measure import POOL, Progress
from fer_edge.benchmark.plan import Planned, plan_rows
from fer_edge.benchmark.request import BenchmarkRequest
from fer_edge.benchmark.rows import Wanted
from fer_edge.benchmark.scenario_report import title_of
from fer_edge.benchmark.scenario_worker import INPUTS, PIXELS
from fer_edge.benchmark.scenarios import (
    MULTI_STREAM,
    MULTI_STREAM_IMAGES,
    OFFLINE,
    SCENARIOS,
    SERVER,
    SINGLE_STREAM,
    SUSTAINED,
)
from fer_edge.errors import UsageError
from fer_edge.files import temporary_folder, write_bytes
from fer_edge.runtime.machine import describe_machine

OFFLINE_BATCH = 32
_SERVER_PROBES = 9
_START_S = 3.0
"""Of a row's process."""
MAX_MINUTES = 10.0
"""A worker that is silent for longer is taken for one that hangs."""


@dataclass(frozen=True)
class ScenarioSettings:
    """Which scenarios, and how long. Raises UsageError."""

    scenarios: tuple[str, ...] = (SINGLE_STREAM, MULTI_STREAM, SERVER, OFFLINE)
    bound_ms: float = 20.0
    minutes: float = 1.0
    queries: int = 1000
    """At least, a run and a probe; p99 needs 662."""
    min_s: float = 2.0
    max_s: float = 60.0
    """Where a model is so slow that ``queries`` take longer: fewer are made, and p99 may be n too small."""
    audit_budget_s: float = 0.1
    """Time for comparing varied with repeated inputs, a row."""

    def __post_init__(self) -> None:
        """Refuse what is no scenario."""
        unknown = [one for one in self.scenarios if one not in SCENARIOS]
        if unknown or not self.scenarios:
            raise UsageError(
                f"--scenario: expected some of {', '.join(SCENARIOS)}, found {', '.join(unknown) or 'none'}"
            )
        if not 0 < self.minutes <= MAX_MINUTES:
            raise UsageError(f"--minutes: expected more than 0 and at most {MAX_MINUTES:g}, found {self.minutes:g}")
        if not 0 < self.bound_ms < float("inf"):
            raise UsageError(f"--latency-bound: expected milliseconds above 0, found {self.bound_ms:g}")

    def expected_s(self, scenario: str) -> float:
        """About how long a scenario of one row takes, for who waits: a photo takes 40 ms, other queries a few."""

        def run_s(query_s: float) -> float:
            return min(self.max_s, max(self.min_s, self.queries * query_s))

        return {
            SINGLE_STREAM: run_s(0.002) + run_s(0.003) + run_s(0.04),
            MULTI_STREAM: run_s(0.01),
            SERVER: _SERVER_PROBES * run_s(0.002),
            OFFLINE: self.min_s,
            SUSTAINED: 60 * self.minutes,
        }[scenario]


def run_scenarios(
    request: BenchmarkRequest, settings: ScenarioSettings, runtimes: tuple[str, ...], progress: Progress, stop: Stop
) -> dict[str, Any]:
    """Figures of each row, scenario and input, also where a row fails or ``stop`` ends it: what is measured is kept.

    Raises as run_benchmark does, and WorkerError where every row failed.
    """
    found: list[dict[str, Any]] = []
    failures: list[str] = []
    notes = noise_in(describe_environment(request.provider))
    for line in notes:
        progress.note(line)
    is_partial = False
    with temporary_folder("scenarios-") as temporary:
        folder = Path(temporary)
        batches = {SINGLE_STREAM: 1, MULTI_STREAM: MULTI_STREAM_IMAGES, SERVER: 1, OFFLINE: OFFLINE_BATCH, SUSTAINED: 1}
        wanted = Wanted(
            runtimes,
            request.provider,
            tuple(sorted({batches[one] for one in settings.scenarios})),
            request.threads,
            cpu_flags(),
        )
        planned = plan_rows(request, wanted, folder, progress.note, progress.note)
        asked_of = [[name for name in settings.scenarios if batches[name] == one.row.batch] for one in planned]
        expected = [_START_S + sum(map(settings.expected_s, asked)) for asked in asked_of]
        progress.begin(sum(expected))
        for one, asked, expected_s in zip(planned, asked_of, expected, strict=True):
            progress.step(f"scenarios of {one.row.title}", expected_s)
            try:
                _measure_row(one, asked, settings, folder, stop, found)
            except WorkerError as error:
                failures.append(f"{one.row.title}: {error}")
                progress.note(failures[-1])
            except Stopped:
                is_partial = True
                break
    if failures and not found:
        raise WorkerError(failures[0])
    order = {name: place for place, name in enumerate(SCENARIOS)}
    found.sort(key=lambda one: (order[one["scenario"]], INPUTS.index(one["input"]), one["model"], one["threads"]))
    return {
        "format": "fer_edge scenarios",
        "version": 1,
        "machine": describe_machine(),
        "is_partial": is_partial,
        "notes": notes,
        "failures": failures,
        "audit_failures": [line for one in found for line in audit.failures(title_of(one), one["audit"])],
        "settings": asdict(settings),
        "rows": found,
    }


def _measure_row(
    one: Planned,
    asked: list[str],
    settings: ScenarioSettings,
    folder: Path,
    stop: Stop,
    found: list[dict[str, Any]],
) -> None:
    """Add the figures of one row to ``found``, each as soon as it is there. Raises WorkerError and Stopped."""
    faces = folder / f"scenario-{one.subject.image_size}.npy"
    array = BytesIO()
    np.save(array, timing_faces(POOL, one.subject.image_size))
    write_bytes(faces, array.getvalue())
    names = {"model": one.row.model, "runtime": one.row.label, "precision": one.row.precision}
    with WorkerClient(one.spec(), faces, folder / "compiled", stop) as client:
        ask = partial(
            client.ask,
            "scenario",
            faces=str(faces),
            bound_ms=settings.bound_ms,
            minutes=settings.minutes,
            queries=settings.queries if one.row.batch < OFFLINE_BATCH else 1,
            min_s=settings.min_s,
            max_s=settings.max_s,
            audit_budget_s=settings.audit_budget_s,
        )
        for scenario in asked:
            for kind in INPUTS if scenario == SINGLE_STREAM else (PIXELS,):
                figures = ask(scenario=scenario, input=kind)
                found.append({"scenario": scenario, "input": kind, **names, "threads": one.row.threads, **figures})
