"""Who is a model right for: accuracy, confidence and calibration by group of faces, and whether a gap is chance."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge import __version__
from fer_edge.data.groups import GroupColumn, GroupTable
from fer_edge.evaluation.calibration import calibration_bins
from fer_edge.evaluation.evaluation import OTHER_FOLDER, Evaluation
from fer_edge.evaluation.group_plot import plot_groups
from fer_edge.evaluation.intervals import Z_95, chance_in_words, difference_interval, gap_p_value, wilson_interval
from fer_edge.files import write_text
from fer_edge.own_files import OwnFiles
from fer_edge.text import printable, table_cell, without_surrogates

MIN_FACES = 30
"""Groups of fewer faces are shown, and not compared: their interval is some 35 points wide."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Group:
    """One value of one column. Every ratio is a fraction of one."""

    name: str
    num_faces: int
    accuracy: float
    accuracy_interval: Interval
    """95 %, Wilson's."""
    standardised_accuracy: float | None
    """What the accuracy would be with the classes of all compared faces in their own proportions: groups of which one
    smiles more differ in accuracy for that alone. Over the classes that every compared group has; None where the group
    is not compared, or no class is in all. Direct standardisation, as of death rates by age."""
    overconfidence: float
    """Mean confidence minus accuracy."""
    overconfidence_interval: Interval
    """95 %, normal."""
    calibration_error: float
    """Expected calibration error: of few faces it is large by chance alone."""
    is_compared: bool
    """Whether it has MIN_FACES."""
    refused: float | None
    """The fraction of its faces whose answer is not certain; None of a model that was not calibrated."""
    answered_accuracy: float | None
    """Of the certain answers; None where there is none."""


@dataclass(frozen=True)
class Gap:
    """Between the best and the worst of the compared groups of a column."""

    best: str
    worst: str
    difference: float
    """Of accuracies, a fraction of one."""
    interval: Interval
    """95 %, Newcombe's, of these two groups: chosen as the extremes, they lie apart by chance as well."""
    p_value: float
    """Of the largest gap among as many groups of these sizes; see ``gap_p_value``."""


@dataclass(frozen=True)
class ColumnReport:
    """The groups of one column."""

    column: str
    groups: tuple[Group, ...]
    num_without_value: int
    gap: Gap | None
    """None where fewer than two groups are compared."""


@dataclass(frozen=True)
class GroupReport:
    """What a table of groups says of one evaluation."""

    evaluation: Evaluation
    table: Path
    num_without_row: int
    columns: tuple[ColumnReport, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "table": str(self.table),
            "num_faces": self.evaluation.metrics.num_faces,
            "accuracy": self.evaluation.metrics.accuracy,
            "num_without_row": self.num_without_row,
            "min_faces": MIN_FACES,
            "columns": [asdict(column) for column in self.columns],
        }

    def to_markdown(self) -> str:
        """The tables, with what was evaluated and what they do not say."""
        of, metrics = self.evaluation, self.evaluation.metrics
        lines = [
            f"# {printable(of.subject.path.stem)} by group",
            "",
            f"{printable(of.subject.path.name)} ({of.subject.description}) on {of.split} of "
            f"{printable(Path(of.data_source).name)}: {metrics.accuracy:.1%} of {metrics.num_faces:,} faces; "
            f"{of.machine}; fer_edge {__version__}.",
        ]
        for column in self.columns:
            lines += [
                "",
                f"## {table_cell(column.column)}",
                "",
                f"| {' | '.join(HEADINGS)} |",
                f"| --- |{' ---: |' * (len(HEADINGS) - 1)}",
                *(_row(group) for group in column.groups),
                "",
                table_cell(gap_in_words(column)),
            ]
        lines += ["", LIMITS]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> list[Path]:
        """Write figures as JSON, tables and the plot into ``folder``; gives their paths. Raises StorageError."""
        figures, tables, plot = written = group_paths(folder, self.evaluation.split)
        with OwnFiles(OTHER_FOLDER).writing(*written):
            write_text(figures, json.dumps(without_surrogates(self.to_dict()), indent=2) + "\n")
            write_text(tables, self.to_markdown())
            plot_groups(self, plot)
        return written


LIMITS = (
    f"Groups of fewer than {MIN_FACES} faces are shown, not compared. An interval tells what as many other faces of "
    "the same kind could give; that the faces are like those of your users, or the values in the table right, it does "
    "not tell. A gap that is not told from chance may be there all the same: few faces find only large ones. The "
    "labels are people's opinions, which differ between groups, too."
)


def group_paths(folder: Path, split: str) -> list[Path]:
    """Every file that ``GroupReport.write`` writes."""
    return [folder / f"groups-{split}{end}" for end in (".json", ".md", ".png")]


def evaluate_groups(evaluation: Evaluation, table: GroupTable) -> GroupReport:
    """Figures of every group of ``table``, whose values are of the faces of ``evaluation`` in their order."""
    columns = tuple(_report_of(column, evaluation) for column in table.columns)
    return GroupReport(evaluation, table.path, table.num_without_row, columns)


def _report_of(column: GroupColumn, evaluation: Evaluation) -> ColumnReport:
    values, labels = np.array(column.values, object), evaluation.faces.labels
    confidence = evaluation.probabilities.max(axis=1)
    correct = evaluation.probabilities.argmax(axis=1) == labels
    certainty = evaluation.subject.certainty
    is_certain = None if certainty is None else certainty.is_certain(evaluation.probabilities)
    masks = {name: values == name for name in column.groups}
    compared = [name for name, mask in masks.items() if mask.sum() >= MIN_FACES]
    standardised = _standardised(correct, labels, [masks[name] for name in compared])
    expected = dict(zip(compared, standardised, strict=True))
    groups = tuple(
        _group(
            name,
            correct[mask],
            confidence[mask],
            expected.get(name),
            None if is_certain is None else is_certain[mask],
            is_compared=name in compared,
        )
        for name, mask in masks.items()
    )
    return ColumnReport(
        column.name, groups, int((values == "").sum()), _gap(correct, [masks[name] for name in compared], compared)
    )


def _group(
    name: str,
    correct: np.ndarray,
    confidence: np.ndarray,
    standardised: float | None,
    is_certain: np.ndarray | None,
    *,
    is_compared: bool,
) -> Group:
    number, right = len(correct), int(correct.sum())
    excess = confidence - correct
    half = Z_95 * float(excess.std(ddof=1)) / number**0.5 if number > 1 else 1.0
    return Group(
        name=name,
        num_faces=number,
        accuracy=right / number,
        accuracy_interval=wilson_interval(right, number),
        standardised_accuracy=standardised,
        overconfidence=float(excess.mean()),
        overconfidence_interval=(float(excess.mean()) - half, float(excess.mean()) + half),
        calibration_error=calibration_bins(confidence, correct).expected_error,
        is_compared=is_compared,
        refused=None if is_certain is None else float(1 - is_certain.mean()),
        answered_accuracy=None if is_certain is None or not is_certain.any() else float(correct[is_certain].mean()),
    )


def _standardised(correct: np.ndarray, labels: np.ndarray, masks: Sequence[np.ndarray]) -> list[float | None]:
    """The accuracy of each group if its classes were in the proportions of all groups together."""
    if not masks:
        return []
    everyone = np.any(masks, axis=0)
    classes, counts = np.unique(labels[everyone], return_counts=True)
    shared = [
        (one, count)
        for one, count in zip(classes, counts, strict=True)
        if all((mask & (labels == one)).any() for mask in masks)
    ]
    if not shared:
        return [None] * len(masks)
    weights = [count for _, count in shared]
    return [
        float(np.average([correct[mask & (labels == one)].mean() for one, _ in shared], weights=weights))
        for mask in masks
    ]


def _gap(correct: np.ndarray, masks: Sequence[np.ndarray], names: Sequence[str]) -> Gap | None:
    if len(masks) < 2:
        return None
    right = [int(correct[mask].sum()) for mask in masks]
    totals = [int(mask.sum()) for mask in masks]
    accuracy = [one / total for one, total in zip(right, totals, strict=True)]
    best, worst = int(np.argmax(accuracy)), int(np.argmin(accuracy))
    order = np.concatenate([correct[mask] for mask in masks])
    return Gap(
        best=names[best],
        worst=names[worst],
        difference=accuracy[best] - accuracy[worst],
        interval=difference_interval((right[best], totals[best]), (right[worst], totals[worst])),
        p_value=gap_p_value(order, np.repeat(np.arange(len(masks)), totals)),
    )


def gap_in_words(column: ColumnReport) -> str:
    """The largest gap of a column in a sentence."""
    without = f" {column.num_without_value:,} faces have no value." if column.num_without_value else ""
    gap = column.gap
    if gap is None:
        return f"Nothing to compare: fewer than two groups have {MIN_FACES} faces.{without}"
    low, high = gap.interval
    return (
        f"Largest gap: {printable(gap.best)} over {printable(gap.worst)} by {100 * gap.difference:.1f} points "
        f"({100 * low:.1f} to {100 * high:.1f}); {chance_in_words(gap.p_value)} (p = {gap.p_value:.2g}).{without}"
    )


HEADINGS = (
    *("group", "faces", "accuracy", "95 % interval"),
    *("at equal class mix", "overconfident by (points)", "calibration error", "not certain", "right of the certain"),
)


def cells_of(group: Group) -> list[str]:
    """What a table says of a group, under HEADINGS; its name first, as it is."""
    low, high = group.accuracy_interval
    lowest, highest = group.overconfidence_interval
    return [
        group.name,
        f"{group.num_faces:,}",
        f"{group.accuracy:.1%}",
        f"{low:.1%} to {high:.1%}",
        _percent(group.standardised_accuracy),
        f"{100 * group.overconfidence:+.1f} ({100 * lowest:+.1f} to {100 * highest:+.1f})",
        f"{group.calibration_error:.1%}",
        _percent(group.refused),
        _percent(group.answered_accuracy),
    ]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _row(group: Group) -> str:
    return f"| {' | '.join(map(table_cell, cells_of(group)))} |"
