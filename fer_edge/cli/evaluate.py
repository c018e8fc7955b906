"""``evaluate``: what a checkpoint or an exported model is worth on faces it was not trained on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fer_edge.cli.evaluate_reports import evaluate_old, print_changes, print_groups, require_old
from fer_edge.cli.named import complete_checkpoint, complete_model, given_checkpoint, model_named
from fer_edge.cli.output import note, result, result_json, wrote
from fer_edge.cli.runs import only_run, run_of
from fer_edge.cli.tables import result_table
from fer_edge.cli.typed import ClassMapFile, Describe, LabelsOfFaces, Trust, Votes, class_map_in
from fer_edge.errors import CheckFailed, UsageError
from fer_edge.own_files import OwnFiles
from fer_edge.text import printable, shown_name

if TYPE_CHECKING:
    from fer_edge.evaluation.evaluation import Evaluation
    from fer_edge.evaluation.robustness import Robustness
    from fer_edge.evaluation.votes import VoteMetrics

DEFAULT_MAX_DROP = 1.0
"""Percentage points: two standard errors of the difference where 300 of 3,574 faces change sides."""

MAX_COLUMNS = 12
"""With more classes than this, the pairs that are confused most are listed instead of the matrix."""


def evaluate(
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Run folder or checkpoint file. [default: the only run in runs/]",
            callback=given_checkpoint,
            autocompletion=complete_checkpoint,
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Exported model, by path or name, instead of a checkpoint; needs no torch.",
            autocompletion=complete_model,
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Labelled faces. [default: those of the run; for a model, fer2013/ here]")
    ] = None,
    labels: LabelsOfFaces = None,
    votes: Votes = None,
    class_map: ClassMapFile = None,
    split: Annotated[
        Literal["validation", "test"], typer.Option(help="Choose on validation; look at test once.")
    ] = "validation",
    drop_leaks: Annotated[
        bool, typer.Option(help="Leave out faces that are byte-identical to one of an earlier split.")
    ] = False,
    skip_bad: Annotated[bool, typer.Option(help="Go on without files and rows that cannot be read.")] = False,
    augmentation: Annotated[
        Literal["none", "flip", "ten-crop"], typer.Option(help="Average over views of each face.")
    ] = "none",
    corruptions: Annotated[
        bool, typer.Option(help="Evaluate on corrupted faces, too: contrast, JPEG, blur, size, noise (ImageNet-C).")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N (a checkpoint's).")] = "auto",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for figures and plots. [default: the run's; outside a run, nothing is written]"),
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Figures by group, too: a column 'path' with the ends of faces' paths, the others are groups.",
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="OLD",
            help="An older model, checkpoint or run: what changed, by class and by face (McNemar's test).",
            autocompletion=complete_model,
        ),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(min=0, help="Percentage points that may be lost since --compare; beyond: exit 3. [default: 1]"),
    ] = None,
    describe: Describe = None,
    trust: Trust = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure accuracy, F1, confusion and calibration of a checkpoint or a model, with and without leaked faces.

    Faces with several annotators' votes (FER+) are compared with these, too. Where the faces have other classes than
    the model, those of the same name are compared, and faces of classes that it has not are left out.

    Examples:

        fer-edge evaluate --checkpoint runs/NAME --split validation

        fer-edge evaluate --model exported/NAME.onnx --data fer2013

        fer-edge evaluate --model exported/NAME.onnx --data fer2013 --votes fer2013new.csv --corruptions --out DIR

        fer-edge evaluate --model exported/NAME.onnx --data fer2013 --groups people.csv --compare yesterday/NAME.onnx
    """
    if model is not None and checkpoint is not None:
        raise UsageError("expected --checkpoint or --model, found both; leave one out")
    if max_drop is not None and compare is None:
        raise UsageError("--max-drop: expected --compare with it, found none; add it")
    evaluated: dict[str, Any] = {
        "source": data,
        "labels": labels,
        "split": split,
        "drop_leaks": drop_leaks,
        "skip_bad": skip_bad,
        "augmentation": augmentation,
        "votes": votes,
        "class_map": class_map_in(class_map),
        "corruptions": corruptions,
    }
    if model is None:
        checkpoint = checkpoint or only_run(Path("runs"))
        out = out or run_of(checkpoint)
    if out is not None:
        _refuse_foreign(out, split, corruptions=corruptions, groups=groups is not None, changes=compare is not None)
    rows = None
    if groups is not None:
        from fer_edge.data.groups import read_groups

        rows = read_groups(groups)  # it raises, which nobody likes to hear after minutes
    if compare is not None:
        require_old(compare)
    if model is not None:
        from fer_edge.backends.evaluation import evaluate_model
        from fer_edge.evaluation.plot_style import require_matplotlib

        if out is not None:
            require_matplotlib()
        done = evaluate_model(model_named(model), provider=device, trust=trust, description=describe, **evaluated)
    else:
        from fer_edge.training.evaluate import evaluate_checkpoint

        assert checkpoint is not None
        done = evaluate_checkpoint(checkpoint, device=device, **evaluated)
    if not done.is_training_data_set:
        told = printable(done.data_source)
        note(f"{told} is not the data set of the training run: its train split may hold these very faces")
    if done.left_out:
        faces = ", ".join(f"{number:,} {name}" for name, number in done.left_out.items())
        note(f"left out, because the {done.subject.kind} has no such class: {faces}")
    if absent := [
        name for name, one in zip(done.subject.labels.names, done.metrics.classes, strict=True) if not one.support
    ]:
        note(f"no face to judge these classes by: {printable(', '.join(absent))}")
    by_group, changes = None, None
    if rows is not None:
        from fer_edge.data.groups import groups_of
        from fer_edge.evaluation.groups import evaluate_groups

        by_group = evaluate_groups(done, groups_of(rows, done.faces.sources))
    if compare is not None:
        from fer_edge.evaluation.changes import compare_evaluations

        before = evaluate_old(compare, done, device, evaluated, trust=trust, description=describe)
        if before.num_trained_on:
            note(f"{printable(compare)} was trained on {before.num_trained_on:,} of these faces: it is judged too well")
        changes = compare_evaluations(done, before)
    reports = {"groups": by_group, "changes": changes}
    if json_output:
        result_json(done.to_dict() | {name: one.to_dict() for name, one in reports.items() if one is not None})
    else:
        _print(done)
        if by_group is not None:
            print_groups(by_group)
        if changes is not None:
            print_changes(changes)
    if out is not None:
        wrote(*(path for one in (done, *reports.values()) if one is not None for path in one.write(out)))
    bound = DEFAULT_MAX_DROP if max_drop is None else max_drop
    if changes is not None and changes.drop_points > bound:
        raise CheckFailed(
            f"{printable(str(done.subject.path))}: expected at most {bound:g} points of accuracy lost since "
            f"{printable(str(compare))}, found {changes.drop_points:.2f} ({changes.overall.in_words})"
        )


def _refuse_foreign(out: Path, split: str, *, corruptions: bool, groups: bool, changes: bool) -> None:
    """Before the work: raise StorageError where a report would replace a file that no command wrote."""
    from fer_edge.evaluation.changes import change_paths
    from fer_edge.evaluation.evaluation import OTHER_FOLDER, output_paths
    from fer_edge.evaluation.groups import group_paths

    paths = output_paths(out, split, with_corruptions=corruptions)
    paths += group_paths(out, split) if groups else []
    paths += change_paths(out, split) if changes else []
    OwnFiles(OTHER_FOLDER).refuse_foreign(paths)


def _print(done: "Evaluation") -> None:
    from rich.table import Table
    from rich.text import Text

    metrics, without = done.metrics, done.metrics_without_leaks
    views = "" if done.augmentation == "none" else f", averaged over {done.augmentation} views"
    subject = done.subject
    source = printable(done.data_source)
    result(f"{shown_name(subject.path)}, {subject.description}, on {done.split} of {source}{views}\n")
    names = [Text(printable(name)) for name in subject.labels.names]  # as Text: a name may look like markup
    per_class = Table("class")
    for column in ("precision", "recall", "F1", "faces"):
        per_class.add_column(column, justify="right")
    for name, one in zip(names, metrics.classes, strict=True):
        per_class.add_row(name, *one.cells())
    result_table(per_class)
    result("")
    if len(names) <= MAX_COLUMNS:
        confusion = Table("true \\ predicted")
        for name in names:
            confusion.add_column(name, justify="right")
        for name, row in zip(names, metrics.confusion.tolist(), strict=True):
            confusion.add_row(name, *(map(str, row) if any(row) else "–" * len(row)))
        result_table(confusion)
    else:
        _print_most_confused(metrics.confusion.tolist(), [printable(name) for name in subject.labels.names])
    result("")
    result(f"accuracy           {metrics.accuracy:.4f}  ({metrics.num_faces} faces)")
    if without is None:
        result("without leaked     every face is leaked from an earlier split")
    elif done.num_leaked:
        result(f"without leaked     {without.accuracy:.4f}  ({without.num_faces} faces; {done.num_leaked} leaked)")
    else:
        result("without leaked     the same: no face evaluated here is in an earlier split")
    result(f"macro-F1           {metrics.macro_f1:.4f}  ({metrics.macro_in_words})")
    result(f"calibration error  {metrics.calibration_error:.4f}")
    result(f"log loss           {metrics.log_loss:.4f}")
    if done.num_without_label:
        result(f"without a label    {done.num_without_label} faces have votes alone")
    if done.votes is not None:
        _print_votes(done.votes)
    if done.robustness is not None:
        _print_robustness(done.robustness)


def _print_most_confused(confusion: list[list[int]], names: list[str], limit: int = 10) -> None:
    """The pairs of classes that are confused most; --json has the whole matrix."""
    pairs = sorted(
        ((count, true, predicted) for true, row in enumerate(confusion) for predicted, count in enumerate(row)),
        key=lambda pair: (-pair[0], pair[1:]),
    )
    wrong = [pair for pair in pairs if pair[0] and pair[1] != pair[2]][:limit]
    result("confused most (true \u2192 predicted; the whole matrix with --json): " + ("" if wrong else "none"))
    for count, true, predicted in wrong:
        result(f"  {names[true]} \u2192 {names[predicted]}: {count}")


def _print_votes(votes: "VoteMetrics") -> None:
    """The figures on votes, each beside the human level where there is one."""
    from rich.table import Table

    result(f"\nvotes of {votes.num_faces} faces")
    if votes.majority_accuracy is not None:
        result(f"majority accuracy  {votes.majority_accuracy:.4f}  ({votes.num_majority} faces with a majority; FER+)")
    if votes.cross_entropy is not None:
        result(
            f"cross-entropy      {votes.cross_entropy:.4f}  (to the distribution of the votes of "
            f"{votes.num_distributions} faces; their entropy: {votes.entropy:.4f})"
        )
    result("")
    table = Table("agreement with")
    table.add_column("model", justify="right")
    table.add_column("one annotator", justify="right")
    model, annotator = votes.model, votes.annotator
    table.add_row("a random annotator", f"{model.random_annotator:.4f}", f"{annotator.random_annotator:.4f}")
    table.add_row("the other annotators' most chosen", f"{model.rest:.4f}", f"{annotator.rest:.4f}")
    for k, (ours, theirs) in enumerate(zip(model.at_least, annotator.at_least, strict=True), 1):
        table.add_row(f"at least {k} of the others", f"{ours:.4f}", f"{theirs:.4f}")
    result_table(table)


def _print_robustness(robustness: "Robustness") -> None:
    """One row a corruption, the untouched faces above and the mean below."""
    from rich.table import Table

    result(f"\ncorruptions of {robustness.num_faces} faces")
    table = Table("faces")
    for column in ("accuracy", "votes' majority", "same answer as to the original"):
        table.add_column(column, justify="right")
    for name, scores in robustness.rows():
        votes = "–" if scores.votes_accuracy is None else f"{scores.votes_accuracy:.4f}"
        table.add_row(name, f"{scores.accuracy:.4f}", votes, f"{scores.agreement:.4f}")
    result_table(table)
    result(f"accuracy lost on average: {robustness.relative_error:.4f}")
