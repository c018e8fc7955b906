"""How a server should run a model: batches, their delay, instances and threads, from what was measured and no guess.

The rules, in ``_chosen``: the instances and threads that answer most images a second; the smallest batch within
``NEAR`` of the most that they answer; a request alone waits no longer than its answer takes.
"""

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.errors import ModelError

FORMAT, VERSION = "fer_edge triton settings", 1
NEAR = 0.05
"""Of the throughput: batches that are so near the best are as good, and the smallest of them answers soonest."""
BATCHES = (1, 2, 4, 8, 16, 32)
_ROUNDS = 3
_SECONDS = 0.25
"""Of each round of each cell. Rounds alternate, so that a machine that slows down slows all cells alike."""


@dataclass(frozen=True)
class Cell:
    """What was measured of one way to run a model."""

    instances: int
    """Sessions that run at the same time, each in a thread of its own."""
    threads: int
    """Inside an operator, of each session."""
    batch: int
    p50_ms: float
    """Median latency of one batch, while all instances run."""
    images_per_s: float
    """Of all instances together."""


@dataclass(frozen=True)
class TritonSettings:
    """How to run a model, and where that comes from."""

    sha256: str
    """Of the model's file."""
    provider: str
    """``cpu`` or ``cuda``."""
    instances: int
    threads: int
    batch: int
    """To prefer; 1: larger ones bring nothing."""
    max_batch: int
    """The largest that was measured."""
    queue_delay_us: int
    """Microseconds that a request may wait for others: the median time that one image alone takes."""
    images_per_s: float
    machine: str
    created: str
    """ISO 8601."""
    cells: tuple[Cell, ...]

    def to_json(self) -> str:
        """As JSON, the cells below the settings."""
        return json.dumps({"format": FORMAT, "version": VERSION, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def read(cls, path: Path) -> "TritonSettings":
        """What ``to_json`` gave. Raises ModelError for something else."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if (values.pop("format"), values.pop("version")) != (FORMAT, VERSION):
                raise ValueError("another format")
            return cls(**{**values, "cells": tuple(Cell(**one) for one in values["cells"])})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{path}: expected settings that 'fer-edge triton --measure' wrote, found something else "
                f"({str(error)[:80]}); measure again"
            ) from error


def settings_of_benchmark(path: Path, sha256: str, model: Path) -> TritonSettings:
    """From the JSON of ``fer-edge benchmark``, whose rows are of one instance each.

    Raises ModelError where it is none, or has no rows of the file of this ``sha256``.
    """
    from fer_edge.benchmark.results import Benchmark

    found = Benchmark.read(path)
    rows = [row for row in found.timed if row.sha256 == sha256]
    if not rows:
        others = ", ".join(dict.fromkeys(row.file or row.row.model for row in found.rows)) or "none"
        raise ModelError(
            f"{path}: expected rows of {model} (SHA-256 {sha256[:12]}...), found those of {others}; "
            f"run: fer-edge benchmark {model} --batch-sizes {','.join(map(str, BATCHES))}"
        )
    runtime = rows[0].row.runtime  # one file, one format: the first of its runtimes, as Triton has one
    rows = [row for row in rows if (row.row.runtime, row.row.provider) == (runtime, rows[0].row.provider)]
    cells = [Cell(1, row.row.threads, row.row.batch, row.p50_ms, row.images_per_s) for row in rows]
    machine = f"{found.environment.get('cpu', '?')}, {found.environment.get('cores_available', '?')} cores"
    return _chosen(cells, sha256, rows[0].row.provider, machine, found.created)


def measure_settings(
    path: Path,
    sha256: str,
    pixels: "np.ndarray",
    *,
    batches: Sequence[int] = BATCHES,
    trust: bool = False,
    description: Any = None,
    seconds: float = _SECONDS,
) -> TritonSettings:
    """Run an ``.onnx`` model on this machine's CPU as Triton does: several sessions at once in one process.

    ``pixels``: uint8 (N, H, W, C), as many as the largest batch, of the size that requests will have. Raises ModelError
    as ``open_model`` does, and for several ``batches`` without 1 among them.
    """
    from fer_edge.backends.registry import open_model
    from fer_edge.runtime.cores import available_cores
    from fer_edge.runtime.machine import describe_machine

    cores = available_cores()
    ways = [
        (cores // threads, threads) for threads in sorted({1, 2, max(1, cores // 2), cores}) if cores % threads == 0
    ]
    samples: dict[tuple[int, int, int], list[tuple[list[float], float]]] = {}
    for _ in range(_ROUNDS):
        for instances, threads in ways:
            models = [open_model(path, threads=threads, trust=trust, description=description) for _ in range(instances)]
            feeds = {batch: models[0].prepare(pixels[:batch]) for batch in batches}
            with ThreadPoolExecutor(instances) as pool:
                for batch in batches:
                    runs = list(pool.map(_timed, models, [feeds[batch]] * instances, [seconds] * instances))
                    samples.setdefault((instances, threads, batch), []).extend(runs)
    cells = [
        Cell(
            instances,
            threads,
            batch,
            p50_ms=round(1000 * float(np.median([t for times, _ in runs for t in times])), 4),
            images_per_s=round(instances * batch * float(np.mean([len(t) / wall for t, wall in runs])), 1),
        )
        for (instances, threads, batch), runs in samples.items()
    ]
    created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return _chosen(cells, sha256, "cpu", describe_machine(), created)


def _timed(model: Any, feed: Any, seconds: float) -> tuple[list[float], float]:
    """Seconds of each run, and of all of them together."""
    for _ in range(2):
        model.run_feed(feed)  # the first runs allocate
    times: list[float] = []
    began = before = time.perf_counter()
    while before - began < seconds or len(times) < 3:
        model.run_feed(feed)
        now = time.perf_counter()
        times.append(now - before)
        before = now
    return times, before - began


def _chosen(cells: Sequence[Cell], sha256: str, provider: str, machine: str, created: str) -> TritonSettings:
    """The settings by the rules above. Raises ModelError where one image alone was not measured."""
    best = max(cells, key=lambda one: one.images_per_s)
    alike = [one for one in cells if (one.instances, one.threads) == (best.instances, best.threads)]
    near = [one for one in alike if one.images_per_s >= (1 - NEAR) * best.images_per_s]
    chosen = min(near, key=lambda one: one.batch)
    alone = min(alike, key=lambda one: one.batch)
    if alone.batch > 1 and len(alike) > 1:
        raise ModelError(
            f"expected batch size 1 among those that were measured with {best.threads} threads, found none; "
            f"measure with --batch-sizes {','.join(map(str, BATCHES))}"
        )
    return TritonSettings(
        sha256,
        provider,
        best.instances,
        best.threads,
        chosen.batch,
        max(one.batch for one in alike),
        round(1000 * alone.p50_ms),
        chosen.images_per_s,
        machine,
        created,
        tuple(cells),
    )


def kept_settings(path: Path, sha256: str) -> TritonSettings | None:
    """What was measured of this very model and is kept at ``path``; None where nothing is."""
    if not path.is_file():
        return None
    found = TritonSettings.read(path)
    return found if found.sha256 == sha256 else None


def summary(settings: TritonSettings) -> Mapping[str, Any]:
    """Plain types, without the cells."""
    return {name: value for name, value in asdict(settings).items() if name != "cells"}
