"""What a model answered on each device, as a table, as JSON and as Markdown; and reports that others sent."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from fer_edge.errors import ModelError, UsageError
from fer_edge.text import printable, table_cell

SCHEMA = "fer_edge devices 1"
REPORT = "fer_edge device report 1"
"""What a kit's checkers write first into their reports."""

Outcome = Literal["passed", "failed", "not run"]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Row:
    """One model on one device."""

    device: str
    stands_for: str
    outcome: Outcome
    reason: str
    """Why it failed or was not run; the checker's line where it passed."""
    machine: str = ""
    """Processor, system and Python."""
    onnxruntime: str = ""
    images: int = 0
    labels_changed: int | None = None
    """Images with another label than the kit expects; None where that is not known."""
    max_logit_difference: float | None = None
    accuracy: float | None = None
    """On the labelled faces; None without."""
    reported_by: str | None = None
    """The file of a report that somebody else made; None for what ran here."""


@dataclass(frozen=True)
class Matrix:
    """One model on all devices. True where at least one ran, and none failed."""

    model: str
    sha256: str
    """Of the file."""
    precision: str
    max_logit_difference: float
    """That is allowed."""
    faces: int
    """Labelled faces beside the golden vectors."""
    faces_source: str
    reference_accuracy: float | None
    """Of this file on the labelled faces, in full precision."""
    rows: tuple[Row, ...]
    made_on: str
    """The machine that emulated."""
    created: str
    """ISO 8601 date and time."""

    @property
    def failures(self) -> tuple[Row, ...]:
        """Rows that failed."""
        return tuple(row for row in self.rows if row.outcome == "failed")

    def __bool__(self) -> bool:
        return not self.failures and any(row.outcome == "passed" for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; ``read_matrix`` reads it back."""
        return {"schema": SCHEMA, "passed": bool(self), **asdict(self)}

    def failure_lines(self) -> tuple[str, ...]:
        """What a gate says: a line for each device that failed."""
        return tuple(
            f"expected the golden answers on {row.device} ({row.stands_for}), found others: {row.reason}"
            for row in self.failures
        )

    def line(self) -> str:
        """All of it on one line."""
        found = ", ".join(f"{row.device} {row.outcome}" for row in self.rows)
        return f"devices {'FAILED' if self.failures else 'passed' if self else 'not run'}: {found}"

    def summary(self) -> dict[str, Any]:
        """What a model's metadata keep of it: plain types."""
        kept = ("device", "outcome", "onnxruntime", "images", "labels_changed", "max_logit_difference", "accuracy")
        rows = [{name: value for name, value in asdict(row).items() if name in kept} for row in self.rows]
        return {"rows": rows, "faces": self.faces, "made_on": self.made_on, "created": self.created}

    def cells(self) -> list[tuple[str, ...]]:
        """A heading and a row of text for each device."""
        lines: list[tuple[str, ...]] = [
            ("device", "like", "result", "logits differ by", "labels changed", "accuracy", "onnxruntime")
        ]
        for row in self.rows:
            outcome = row.outcome if row.reported_by is None else f"{row.outcome} (reported)"
            if row.outcome == "not run":
                lines.append((row.device, row.stands_for, outcome, "", "", "", row.onnxruntime))
                continue
            difference, changed = row.max_logit_difference, row.labels_changed
            lines.append(
                (
                    row.device,
                    row.stands_for,
                    outcome,
                    "–" if difference is None else f"{difference:.2g}",
                    "–" if changed is None else f"{changed} of {row.images}",
                    "–" if row.accuracy is None else f"{row.accuracy:.2%}",
                    row.onnxruntime,
                )
            )
        return lines

    def reasons(self) -> list[str]:
        """A line for each device that did not pass."""
        return [f"{row.device}: {row.outcome}: {row.reason}" for row in self.rows if row.outcome != "passed"]

    def markdown(self) -> str:
        """The whole of it as a Markdown page."""
        heading, *rows = self.cells()
        lines = [
            f"# {self.model} on emulated devices",
            "",
            f"SHA-256 `{self.sha256}`. Each device answered the golden vectors"
            + (f" and {self.faces} faces of {self.faces_source}" if self.faces else "")
            + f"; allowed are {self.max_logit_difference:g} of a logit, and other labels only where two are nearly as "
            "probable. "
            + ("" if self.reference_accuracy is None else f"Accuracy as it should be: {self.reference_accuracy:.2%}."),
            "",
            f"| {' | '.join(heading)} |",
            f"|{' --- |' * len(heading)}",
            *(f"| {' | '.join(map(table_cell, row))} |" for row in rows),
            "",
            *(f"* {table_cell(line)}" for line in self.reasons()),
            "",
            f"Emulated on {self.made_on}, {self.created}. Written by `fer-edge verify {self.model} --devices`.",
        ]
        return "\n".join(lines) + "\n"


class _Schema(msgspec.Struct):
    schema: Literal["fer_edge devices 1"]


class Report(msgspec.Struct):
    """What a kit's checker writes with ``--report``."""

    class Model(msgspec.Struct):
        """The file that was checked."""

        file: str
        sha256: str

    report: Literal["fer_edge device report 1"]
    passed: bool
    reason: str
    machine: str
    processor: str
    system: str
    onnxruntime: str
    model: Model | None = None
    python: str = ""
    provider: str = ""
    images: int = 0
    labels_changed: int | None = None
    max_logit_difference: float | None = None
    answers: dict[str, list[int]] = {}


def read_report(path: Path) -> Report:
    """A checker's report. Raises ModelError where the file holds none."""
    return _decoded(path, Report, "a report of 'check.py --report'")


def read_matrix(path: Path) -> Matrix:
    """The matrix that ``Matrix.to_dict`` gave. Raises ModelError where the file holds none."""
    expected = "a matrix of 'verify --devices'"
    _decoded(path, _Schema, expected)
    return _decoded(path, Matrix, expected)


def _decoded(path: Path, kind: type[_T], expected: str) -> _T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise ModelError(f"{path}: expected {expected}, found no file that opens: {error.strerror or error}") from error
    except msgspec.MsgspecError as error:
        raise ModelError(f"{path}: expected {expected}, found another file ({' '.join(str(error).split())})") from error


def merged(matrix: Matrix, reports: Sequence[Path]) -> Matrix:
    """``matrix`` with rows for reports that owners of other machines sent, marked as such.

    A report of the same file name, processor, system and onnxruntime as one merged before replaces it; of another
    machine it gets a row of its own. Raises ModelError for a file that is no report, one of another model, or one whose
    figures contradict it.
    """
    if not reports:
        raise UsageError("expected a report of 'check.py --report', found none")
    rows = list(matrix.rows)
    for path in reports:
        report = read_report(path)
        if report.model is None or report.model.sha256 != matrix.sha256:
            found = "none" if report.model is None else f"{report.model.file} ({report.model.sha256[:12]})"
            raise ModelError(
                f"{path}: expected a report of {matrix.model} ({matrix.sha256[:12]}), found {found}; "
                "make the report with the kit of this very file"
            )
        _refuse_contradictions(path, report, matrix)
        row = row_of(report, "", f"{report.processor}, {report.system}")
        row = replace(
            row, reported_by=printable(path.name), stands_for=printable(row.stands_for), reason=printable(row.reason)
        )
        rows = [one for one in rows if _sender(one) != _sender(row)]
        taken = {one.device for one in rows}
        names = (f"reported: {printable(path.stem)}{f' ({number})' if number > 1 else ''}" for number in count(1))
        rows.append(replace(row, device=next(name for name in names if name not in taken)))
    return replace(matrix, rows=tuple(rows))


def _refuse_contradictions(path: Path, report: Report, matrix: Matrix) -> None:
    """Its word is taken for what it measured, not for what follows from that. Raises ModelError."""
    difference, changed = report.max_logit_difference, report.labels_changed
    if (difference is not None and difference < 0) or not 0 <= (changed or 0) <= max(report.images, 0):
        found = f"{difference} of a logit and {changed} labels of {report.images} images"
    elif report.passed and (report.images < 1 or difference is None or difference > matrix.max_logit_difference):
        found = f"'passed' with {report.images} images and logits that differ by {difference}"
    else:
        return
    raise ModelError(
        f"{path}: expected figures that agree with each other and with the {matrix.max_logit_difference:g} that is "
        f"allowed, found {found}; run check.py --report again"
    )


def _sender(row: Row) -> tuple[str | None, ...]:
    """Equal for two reports under one name of one machine and onnxruntime; of rows that ran here, their names."""
    if row.reported_by is None:
        return (None, row.device)
    return (row.reported_by, row.machine, row.onnxruntime)


def row_of(report: Report, device: str, stands_for: str, accuracy: float | None = None) -> Row:
    """The row that a checker's report makes."""
    python = f"Python {report.python}" if report.python else ""
    return Row(
        device=device,
        stands_for=stands_for,
        outcome="passed" if report.passed else "failed",
        reason=report.reason,
        machine=printable(", ".join(filter(None, (report.processor, report.machine, report.system, python)))),
        onnxruntime=printable(report.onnxruntime),
        images=report.images,
        labels_changed=report.labels_changed,
        max_logit_difference=report.max_logit_difference,
        accuracy=accuracy,
    )


def as_json(matrix: Matrix) -> str:
    """The text of its JSON file."""
    return json.dumps(matrix.to_dict(), indent=1, allow_nan=False) + "\n"
