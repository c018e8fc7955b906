"""Results made up for tests: rows whose timings are set by hand."""

from typing import Any

from fer_edge.benchmark.results import Benchmark, RowResult
from fer_edge.benchmark.rows import Row

ENVIRONMENT: dict[str, Any] = {
    "cpu": "Test CPU",
    "cpu_flags": ["avx2"],
    "architecture": "x86_64",
    "cores_available": 2,
    "cores": 2,
    "memory_bytes": 8 * 2**30,
    "memory_available_bytes": 4 * 2**30,
    "system": "Linux",
    "python": "3.11",
    "packages": {"numpy": "2.0"},
    "gpu": None,
    "governor": "performance",
    "load_average": [0.1, 0.1, 0.1],
    "busy_cores": 0.0,
    "git_commit": "abc",
}
SETTINGS: dict[str, Any] = {
    "rounds": 3,
    "cold_starts": 2,
    "timed_run": {"warm_up_runs": 3, "budget_s": 0.25},
    "judged_on": "9 faces",
}


def made_row(
    runtime: str = "onnxruntime", precision: str = "fp32", batch: int = 1, threads: int = 1, **more: str
) -> Row:
    return Row(
        **{"model": "m", "network": "net", "provider": "cpu", **more},
        runtime=runtime,
        precision=precision,
        batch=batch,
        threads=threads,
    )


def made_result(row: Row, p50_ms: float, *, spread: float = 0.01, **more: Any) -> RowResult:
    """Three rounds whose median is ``p50_ms``, spread by a part of it either way."""
    rounds = [[p50_ms * (1 + spread * step) for step in (-1, -0.5, 0, 0.5, 1)] for _ in range(3)]
    return RowResult(row, more.pop("sha256", "0" * 64), more.pop("file_bytes", 1_000_000), latency_ms=rounds, **more)


def made_benchmark(*rows: RowResult, **more: Any) -> Benchmark:
    return Benchmark(
        "2026-01-01T00:00:00Z",
        "python cli.py benchmark",
        {**ENVIRONMENT, **more.pop("environment", {})},
        SETTINGS,
        list(rows),
        **more,
    )
