"""What ``evaluate`` says beside its figures: groups of faces, and what changed since an old model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.cli.named import model_named
from fer_edge.cli.output import result
from fer_edge.cli.tables import result_table
from fer_edge.errors import ModelError
from fer_edge.metadata import SUFFIXES
from fer_edge.runtime.shipped import shipped_named
from fer_edge.text import printable

if TYPE_CHECKING:
    from fer_edge.evaluation.changes import AnswerChanges, Changes
    from fer_edge.evaluation.evaluation import Evaluation
    from fer_edge.evaluation.groups import GroupReport


def require_old(old: Path) -> None:
    """Before the work: raise ModelError where there is neither a file, a run nor a shipped model of that name."""
    if shipped_named(old) is None and not old.exists():
        raise ModelError(f"--compare: expected a model, a checkpoint or a run, found nothing at {printable(old)}")


def evaluate_old(
    old: Path, done: "Evaluation", device: str, evaluated: dict[str, Any], **of_models: Any
) -> "Evaluation":
    """Evaluate an old model, shipped model, checkpoint or run folder on the faces of ``done``."""
    same = {**evaluated, "source": done.data_source, "corruptions": False, "like": done}
    if old.suffix in SUFFIXES.values() or shipped_named(old) is not None:
        from fer_edge.backends.evaluation import evaluate_model

        return evaluate_model(model_named(old), provider="cpu" if device == "auto" else device, **of_models, **same)
    from fer_edge.training.evaluate import evaluate_checkpoint

    return evaluate_checkpoint(old, device=device, **same)


def print_groups(report: "GroupReport") -> None:
    """A table a column of the groups, and its largest gap in a sentence."""
    from rich.table import Table
    from rich.text import Text

    from fer_edge.evaluation.groups import HEADINGS, LIMITS, cells_of, gap_in_words

    for column in report.columns:
        result(f"\n{printable(column.column)}")
        table = Table(HEADINGS[0])
        for heading in HEADINGS[1:]:
            table.add_column(heading, justify="right")
        for group in column.groups:
            table.add_row(*(Text(printable(cell)) for cell in cells_of(group)))
        result_table(table)
        result(gap_in_words(column))
    if report.num_without_row:
        result(f"{report.num_without_row:,} faces have no row in {printable(report.table)}")
    result(f"\n{LIMITS}")


def print_changes(changes: "Changes") -> None:
    """Accuracy of all faces and of each class, before and after."""
    old = printable(str(changes.old.subject.path))
    result(f"\nagainst {old}: {len(changes.faces):,} of {changes.overall.num_faces:,} answers changed")
    if changes.num_left_out:
        result(f"left out, because only one of the two has their class: {changes.num_left_out:,} faces")
    result_answer_changes(changes)


def result_answer_changes(changes: "AnswerChanges") -> None:
    """The table of all faces and of each class."""
    from rich.table import Table
    from rich.text import Text

    table = Table("faces")
    for heading in ("number", "old", "new", "points", "only old right", "only new right", "p (McNemar)", ""):
        table.add_column(heading, justify="right")
    for one in (changes.overall, *changes.classes):
        figures = (f"{one.num_faces:,}", f"{one.old:.4f}", f"{one.new:.4f}", f"{one.points:+.2f}")
        counts = (str(one.only_old_right), str(one.only_new_right), f"{one.p_value:.2g}", one.in_words)
        table.add_row(Text(printable(one.name)), *figures, *counts)
    for name in changes.without_faces:
        table.add_row(Text(printable(name)), "0", *["–"] * 6, "no faces")
    result_table(table)
