"""Two benchmarks against each other, row by row."""

from dataclasses import dataclass
from typing import Any

from fer_edge.benchmark.request import check_number
from fer_edge.benchmark.results import Benchmark, RowResult
from fer_edge.benchmark.rows import Row
from fer_edge.benchmark.statistics import Interval, ratio_interval
from fer_edge.errors import ModelError

_MACHINE_KEYS = ("cpu", "cores_available", "system", "python", "gpu")


@dataclass(frozen=True)
class RowChange:
    """One row that both benchmarks have."""

    row: Row
    old_p50_ms: float
    new_p50_ms: float
    interval: Interval
    """95% interval of the ratio of the medians, new over old."""
    max_regression_percent: float

    @property
    def ratio(self) -> float:
        """Median latency, new over old: above 1 is slower."""
        return self.new_p50_ms / self.old_p50_ms

    @property
    def is_significant(self) -> bool:
        """Whether the interval leaves out 1, that is, no change."""
        return self.interval.low > 1 or self.interval.high < 1

    @property
    def is_regression(self) -> bool:
        """Whether the row is slower beyond the bound, and not by chance."""
        return self.interval.low > 1 and 100 * (self.ratio - 1) > self.max_regression_percent

    @property
    def result(self) -> str:
        """In words."""
        if self.is_regression:
            return "REGRESSION"
        if not self.is_significant:
            return "within noise"
        return "slower" if self.ratio > 1 else "faster"

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return {
            **self.row.to_dict(),
            "old_p50_ms": round(self.old_p50_ms, 4),
            "new_p50_ms": round(self.new_p50_ms, 4),
            "ratio": round(self.ratio, 4),
            "ratio_interval95": [round(self.interval.low, 4), round(self.interval.high, 4)],
            "result": self.result,
            "verdict": self.result,  # its key of before, which scripts read
        }


@dataclass(frozen=True)
class Comparison:
    """What became of every row."""

    changes: tuple[RowChange, ...]
    notes: tuple[str, ...]
    """What else differs: the machine, rows on one side only."""

    @property
    def regressions(self) -> list[RowChange]:
        """Rows that are slower beyond the bound, the worst first."""
        return sorted((one for one in self.changes if one.is_regression), key=lambda one: -one.ratio)


def compare_benchmarks(new: Benchmark, old: Benchmark, max_regression_percent: float) -> Comparison:
    """Match rows by model, runtime, precision, provider, batch and threads.

    Raises ModelError where none match, and UsageError for a bound that is no number.
    """
    check_number("--max-regression", 0.0, max_regression_percent)
    before = {one.row: one for one in old.timed}
    common = [one for one in new.timed if one.row in before]
    if not common:
        raise ModelError(
            "--compare: expected rows that both benchmarks have (the same names, runtimes, batch sizes, threads), "
            "found none; run it with the settings of the other"
        )
    changes = tuple(_change(one, before[one.row], max_regression_percent) for one in common)
    notes = [
        f"{key}: {old.environment.get(key)} then, {new.environment.get(key)} now: the ratios compare machines too"
        for key in _MACHINE_KEYS
        if old.environment.get(key) != new.environment.get(key)
    ]
    gone = len(before) - len(common)
    if gone:
        notes.append(f"{gone} of {len(before)} rows of the other benchmark were not measured now")
    return Comparison(changes, tuple(notes))


def _change(new: RowResult, old: RowResult, max_regression_percent: float) -> RowChange:
    interval = ratio_interval(new.latency_ms, old.latency_ms)
    return RowChange(new.row, old.p50_ms, new.p50_ms, interval, max_regression_percent)
