"""How long the steps of a benchmark are expected to take, in seconds: for the progress line alone."""

from collections.abc import Sequence

from fer_edge.backends.registry import backend_named
from fer_edge.benchmark.request import BenchmarkRequest
from fer_edge.benchmark.rows import Row


def open_s(row: Row) -> float:
    """Starting a process that loads the row."""
    return backend_named(row.runtime).start_seconds


def timed_run_s(row: Row, request: BenchmarkRequest) -> float:
    """The row's part of a round."""
    return 1.3 * request.timed_run.budget_s + (request.photo_budget_s if row.batch == 1 else 0) + 0.05


def round_s(rows: Sequence[Row], request: BenchmarkRequest) -> float:
    """One round over all rows."""
    return sum(timed_run_s(row, request) for row in rows)


def judging_s(row: Row, num_faces: int) -> float:
    """Answering the labelled faces."""
    return num_faces * (0.001 if row.precision == "int8" else 0.005)


def whole_s(rows: Sequence[Row], engines: Sequence[Row], num_faces: int, request: BenchmarkRequest) -> float:
    """Everything; ``engines``: the first row of each."""
    starts = sum(
        open_s(row) * (1 if backend_named(row.runtime).compiles_once else request.cold_starts) for row in engines
    )
    return (
        sum(open_s(row) + request.audit_budget_s for row in rows)
        + request.rounds * round_s(rows, request)
        + starts
        + len(request.batch_sizes) * sum(judging_s(row, num_faces) for row in engines)
    )
