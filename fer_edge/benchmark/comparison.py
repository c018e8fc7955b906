"""Two benchmarks against each other, row by row: latency, and what each row answers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fer_edge.benchmark.answers import AnsweredFaces, class_names
from fer_edge.benchmark.request import check_number
from fer_edge.benchmark.results import Benchmark, RowResult
from fer_edge.benchmark.rows import Row
from fer_edge.benchmark.statistics import Interval, ratio_interval
from fer_edge.errors import ModelError
from fer_edge.evaluation.changes import AnswerChanges, compare_answers

MAX_DROP_POINTS = 1.0
"""Percentage points of accuracy that a row may lose, where nobody says another number."""

REGRESSION = "REGRESSION"

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
            return REGRESSION
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
class AccuracyChange:
    """What became of the answers of rows that answer alike, whatever their batch size and number of threads."""

    rows: tuple[Row, ...]
    answers: AnswerChanges
    max_drop_points: float

    @property
    def title(self) -> str:
        """The rows in words."""
        row = self.rows[0]
        batches = ", ".join(str(one) for one in sorted({one.batch for one in self.rows}))
        provider = "" if row.provider == "cpu" else f" on {row.provider}"
        return f"{row.model} {row.label} {row.precision}{provider}, batch {batches}"

    @property
    def is_regression(self) -> bool:
        """Whether more accuracy was lost than may be."""
        return self.answers.drop_points > self.max_drop_points

    @property
    def result(self) -> str:
        """In words."""
        return REGRESSION if self.is_regression else self.answers.overall.in_words

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return {"rows": [asdict(row) for row in self.rows], "result": self.result, **self.answers.to_dict()}


@dataclass(frozen=True)
class Comparison:
    """What became of every row."""

    changes: tuple[RowChange, ...]
    notes: tuple[str, ...]
    """What else differs: the machine, rows on one side only."""
    accuracy: tuple[AccuracyChange, ...] = ()
    """Of rows that answered the same labelled faces in both."""
    not_compared: str = ""
    """Why answers could not be compared, where some or all could not."""

    @property
    def regressions(self) -> list[RowChange]:
        """Rows that are slower beyond the bound, the worst first."""
        return sorted((one for one in self.changes if one.is_regression), key=lambda one: -one.ratio)

    @property
    def accuracy_regressions(self) -> list[AccuracyChange]:
        """Rows that lost more accuracy than they may, the worst first."""
        lost = [one for one in self.accuracy if one.is_regression]
        return sorted(lost, key=lambda one: -one.answers.drop_points)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "latency": [one.to_dict() for one in self.changes],
            "accuracy": [one.to_dict() for one in self.accuracy],
            "not_compared": self.not_compared,
            "notes": list(self.notes),
        }


def compare_benchmarks(
    new: Benchmark, old: Benchmark, max_regression_percent: float, max_drop_points: float = MAX_DROP_POINTS
) -> Comparison:
    """Match rows by model, runtime, precision, provider, batch and threads.

    Answers are compared where both rows answered the same labelled faces. Raises ModelError where no rows match, and
    UsageError for a bound that is no number.
    """
    check_number("--max-regression", 0.0, max_regression_percent)
    check_number("--max-drop", 0.0, max_drop_points)
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
    pairs = [(one, before[one.row]) for one in common]
    not_compared = "; ".join(dict.fromkeys(why for pair in pairs if (why := _why_no_answers(*pair, new, old))))
    if not_compared:
        notes.append(f"accuracy is not compared: {not_compared}")
    return Comparison(changes, tuple(notes), _accuracy_changes(pairs, new, max_drop_points), not_compared)


def _why_no_answers(now: RowResult, then: RowResult, new: Benchmark, old: Benchmark) -> str:
    """Why the answers of two rows cannot be compared; empty where they can, and where neither has any."""
    if now.answers and then.answers and now.faces != then.faces:
        return (
            f"{_faces_of(then, old).source} then, {_faces_of(now, new).source} now, and not the same ones; measure "
            "with the same --data, --split and --faces"
        )
    if now.answers and not then.answers:
        if then.accuracy is not None:
            return "the other benchmark, of an earlier version, holds no answer by face; measure its models again"
        return "the other benchmark had no labelled faces; measure its models again with --data"
    if then.answers and not now.answers:
        return "there are no labelled faces now; name them with --data"
    return ""


def _accuracy_changes(
    pairs: Sequence[tuple[RowResult, RowResult]], new: Benchmark, max_drop_points: float
) -> tuple[AccuracyChange, ...]:
    """What became of the answers of each pair of rows, now and then, that answered the same faces."""
    alike: dict[tuple[object, ...], list[tuple[RowResult, RowResult]]] = {}
    for now, then in pairs:
        if now.answers and then.answers and now.faces == then.faces:
            alike.setdefault((now.row.engine, now.faces, now.answers, then.answers), []).append((now, then))
    changes = []
    for same in alike.values():
        now, then = same[0]
        faces = _faces_of(now, new)
        compared = compare_answers(
            class_names(faces.truth, faces.labels),
            class_names(then.answers, then.labels),
            class_names(now.answers, now.labels),
            now.labels,
            faces.names or [f"face {number}" for number in range(len(faces))],
        )
        changes.append(AccuracyChange(tuple(one.row for one, _ in same), compared, max_drop_points))
    return tuple(changes)


def _faces_of(result: RowResult, benchmark: Benchmark) -> AnsweredFaces:
    return next(one for one in benchmark.faces if one.fingerprint == result.faces)


def _change(new: RowResult, old: RowResult, max_regression_percent: float) -> RowChange:
    interval = ratio_interval(new.latency_ms, old.latency_ms)
    return RowChange(new.row, old.p50_ms, new.p50_ms, interval, max_regression_percent)
