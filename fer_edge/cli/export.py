"""``export``: a checkpoint becomes a model file that answers the same."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from fer_edge.cli.named import complete_checkpoint, given_checkpoint
from fer_edge.cli.output import note, result, result_json, wrote
from fer_edge.cli.typed import ClassMapFile, class_map_for, is_typed
from fer_edge.errors import CheckFailed, ModelError, UsageError
from fer_edge.export.formats.registry import all_formats, format_named

_SUMMARIES = [one.summary for one in all_formats().values()]

if TYPE_CHECKING:
    from fer_edge.export.request import ExportRequest

    Format: TypeAlias = str
else:
    Format = Literal[tuple(all_formats())]
Precision: TypeAlias = Literal["fp32", "fp16", "int8"]


_OF_ONE_FORMAT = ("file_format", "precision", "raw", "fixed_shape", "name", "opset", "weights_labels")
"""Options that do not go with every format at once."""
_OF_WEIGHTS = ("image_size", "mean", "std")
"""Options that say of a state dict what a checkpoint says itself."""


def export(
    context: typer.Context,
    checkpoint: Annotated[
        Path,
        typer.Option(
            help="Run folder or checkpoint file.", callback=given_checkpoint, autocompletion=complete_checkpoint
        ),
    ],
    file_format: Annotated[
        Format,
        typer.Option(
            "--format",
            help=f"{', '.join(_SUMMARIES[:-1])} or {_SUMMARIES[-1]}.",
        ),
    ] = "onnx",
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="Every format and precision that is installed, with one table of size, accuracy and time."
        ),
    ] = False,
    precision: Annotated[Precision, typer.Option(help="fp32, fp16 (GPU, WebGPU) or int8 (CPU).")] = "fp32",
    raw: Annotated[
        bool, typer.Option("--raw", help="Take faces prepared by you, float32 (batch, 1, size, size), not pixels.")
    ] = False,
    fixed_shape: Annotated[
        bool,
        typer.Option(
            "--fixed-shape", help="With --raw: one face a run, for engines that want every size to be a number."
        ),
    ] = False,
    name: Annotated[str | None, typer.Option(help="File name without suffix. [default: the run's name]")] = None,
    folder: Annotated[Path, typer.Option(help="Where the model goes.")] = Path("exported"),
    data: Annotated[
        str | None,
        typer.Option(
            help="Labelled faces, or 'sample': accuracy is compared on them, int8 is calibrated on them. "
            "[default for int8: those of the training]"
        ),
    ] = None,
    target: Annotated[
        str,
        typer.Option(help="What int8 is for: portable (every processor), x86-vnni, arm, or auto (this machine)."),
    ] = "portable",
    opset: Annotated[
        int, typer.Option(help="ONNX opset; 18 is the most portable one. With --raw also 7 to 17, for other engines.")
    ] = 18,
    max_drop: Annotated[
        float | None, typer.Option(help="Percentage points of accuracy that may be lost. [default: 0.5 for int8]")
    ] = None,
    weights_labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="A,B,C",
            help="--checkpoint is another maker's ResNet18, a state dict as torchvision's, whose outputs are these.",
        ),
    ] = None,
    image_size: Annotated[int, typer.Option(min=1, max=4096, help="With --labels: side of its faces.")] = 224,
    mean: Annotated[
        str,
        typer.Option(
            metavar="M|R,G,B", help="With --labels: mean of pixel / 255 that it was trained with, or one a channel."
        ),
    ] = "0.5",
    std: Annotated[
        str, typer.Option(metavar="S|R,G,B", help="With --labels: their standard deviation, or one a channel.")
    ] = "0.5",
    class_map: ClassMapFile = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on without files that cannot be read.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Export a checkpoint to one self-contained file and prove that it answers like the checkpoint.

    Raw pixels in, probabilities out: the ONNX file runs in any app with onnxruntime alone. It is compared with its
    checkpoint from image files on before it gets its name; if a check fails, nothing is published (exit code 3).

    Examples:

        fer-edge export --checkpoint runs/NAME

        fer-edge export --checkpoint runs/NAME --precision int8 --data fer2013

        fer-edge export --checkpoint runs/NAME --all --data fer2013

        fer-edge export --checkpoint runs/NAME --raw --opset 11 --fixed-shape  (for OpenCV, tract, TensorRT)

        fer-edge export --checkpoint theirs.pth --labels A,B,C --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225

        fer-edge export --checkpoint runs/NAME --format weights  (float16, for exporting again later)
    """
    chosen = format_named(file_format)
    for option in chosen.refused_options:
        if is_typed(context, option):
            raise UsageError(f"--format {chosen.name} {chosen.refused_because}; leave out --{option}")

    if weights_labels is None and (typed := [one for one in _OF_WEIGHTS if is_typed(context, one)]):
        raise UsageError(
            f"expected --labels with --{typed[0].replace('_', '-')}, which says more of another maker's weights"
        )

    if every and (typed := [one for one in _OF_ONE_FORMAT if is_typed(context, one)]):
        raise UsageError(f"--all: expected none of the options of one format, found {_option(typed[0])}")

    mapped = class_map_for(data, class_map)
    from fer_edge.export.exporter import export as export_by
    from fer_edge.export.request import ExportRequest

    if chosen.note:
        note(chosen.note)
    request = ExportRequest(
        checkpoint=checkpoint,
        file_format=chosen.name,
        precision=precision,
        raw=raw,
        fixed_shape=fixed_shape,
        opset=opset,
        name=name,
        folder=folder,
        data=data,
        skip_bad=skip_bad,
        class_map=mapped,
        target=target,
        max_drop_points=max_drop,
    )
    if every:
        _export_all(request, json_output)
        return
    if weights_labels is None:
        done = export_by(request, note)
    else:
        from fer_edge.export.foreign_weights import export_weights
        from fer_edge.labels import label_set_named

        means, stds = _numbers("--mean", mean), _numbers("--std", std)
        classes = label_set_named(weights_labels)
        done = export_weights(request, labels=classes, image_size=image_size, mean=means, std=stds, note=note)
    if json_output:
        result_json(done.to_dict())
    else:
        result(done.summary())
    if done.failures:
        raise CheckFailed(f"{done.name}: not published to {folder}: {done.failures[0]}")
    wrote(*done.paths)


def _numbers(option: str, text: str) -> list[float]:
    """``0.485,0.456,0.406`` as numbers. Raises UsageError."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"{option}: expected one number, or three with commas between them, found {text[:40]!r}"
        ) from None


def _option(parameter: str) -> str:
    """As it is typed."""
    return f"--{parameter.removeprefix('file_').removeprefix('weights_').replace('_', '-')}"


def _export_all(request: "ExportRequest", json_output: bool) -> None:
    from fer_edge.cli.export_table import print_formats
    from fer_edge.export.every_format import export_every_format

    done = export_every_format(request, note)
    if json_output:
        result_json(done.to_dict())
    else:
        print_formats(done)
    if done.paths:
        wrote(*done.paths)
    if done.failures:
        raise CheckFailed(f"not published to {request.folder}: {'; '.join(done.failures)}")
    if done.not_made:
        raise ModelError(f"not made: {'; '.join(done.not_made)}")
