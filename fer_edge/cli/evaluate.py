"""``evaluate``: what a checkpoint or an exported model is worth on faces it was not trained on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fer_edge.cli.output import note, result, result_json, wrote
from fer_edge.cli.runs import only_run
from fer_edge.cli.tables import result_table
from fer_edge.errors import UsageError

if TYPE_CHECKING:
    from fer_edge.evaluation.judgement import Evaluation


def evaluate(
    checkpoint: Annotated[
        Path | None, typer.Option(help="Run folder or checkpoint file. [default: the only run in runs/]")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Exported .onnx or .ort model, instead of a checkpoint; needs no torch.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Labelled faces. [default: those of the run; for a model, fer2013/ here]")
    ] = None,
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
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N (a checkpoint's).")] = "auto",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for figures and pictures. [default: the run's; for a model, nothing is written]"),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure accuracy, F1, confusion and calibration of a checkpoint or a model, with and without leaked faces.

    Examples:

        python cli.py evaluate --checkpoint runs/NAME --split validation

        python cli.py evaluate --model exported/NAME.onnx --data fer2013
    """
    if model is not None and checkpoint is not None:
        raise UsageError("expected --checkpoint or --model, found both; leave one out")
    judged: dict[str, Any] = {
        "source": data,
        "split": split,
        "drop_leaks": drop_leaks,
        "skip_bad": skip_bad,
        "augmentation": augmentation,
    }
    if model is not None:
        from fer_edge.evaluation.canvas import require_matplotlib
        from fer_edge.evaluation.model import evaluate_model

        if out is not None:
            require_matplotlib()
        done = evaluate_model(model, provider=device, **judged)
    else:
        from fer_edge.training.evaluate import evaluate_checkpoint

        checkpoint = checkpoint or only_run(Path("runs"))
        done = evaluate_checkpoint(checkpoint, device=device, **judged)
        out = out or _run_of(checkpoint)
    if not done.is_training_data_set:
        note(f"{done.data_source} is not the data set of the training run: its train split may hold these very faces")
    if json_output:
        result_json(done.to_dict())
    else:
        _print(done)
    if out is not None:
        wrote(*done.write(out))


def _run_of(checkpoint: Path) -> Path:
    """The run folder that a checkpoint is in, or the folder of one that is in no run."""
    if checkpoint.is_dir():
        return checkpoint
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent


def _print(done: "Evaluation") -> None:
    from rich.table import Table

    from fer_edge.labels import EXPRESSIONS

    metrics, without = done.metrics, done.metrics_without_leaks
    views = "" if done.augmentation == "none" else f", averaged over {done.augmentation} views"
    subject = done.subject
    result(f"{subject.path}, {subject.description}, on {done.split} of {done.data_source}{views}\n")
    per_expression = Table("expression")
    for column in ("precision", "recall", "F1", "faces"):
        per_expression.add_column(column, justify="right")
    for name, one in zip(EXPRESSIONS, metrics.expressions, strict=True):
        per_expression.add_row(name, f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.f1:.3f}", f"{one.support}")
    confusion = Table("true \\ predicted")
    for name in EXPRESSIONS:
        confusion.add_column(name, justify="right")
    for name, row in zip(EXPRESSIONS, metrics.confusion.tolist(), strict=True):
        confusion.add_row(name, *map(str, row))
    result_table(per_expression)
    result("")
    result_table(confusion)
    result("")
    result(f"accuracy           {metrics.accuracy:.4f}  ({metrics.num_faces} faces)")
    if without is None:
        result("without leaked     every face is leaked from an earlier split")
    elif done.num_leaked:
        result(f"without leaked     {without.accuracy:.4f}  ({without.num_faces} faces; {done.num_leaked} leaked)")
    else:
        result("without leaked     the same: no face judged here is in an earlier split")
    result(f"macro-F1           {metrics.macro_f1:.4f}")
    result(f"calibration error  {metrics.calibration_error:.4f}")
    result(f"log loss           {metrics.log_loss:.4f}")
