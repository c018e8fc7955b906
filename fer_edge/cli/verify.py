"""``verify``: does a model file still answer like its checkpoint?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.backends.registry import formats_that_run_code, in_words
from fer_edge.cli.devices import verify_devices
from fer_edge.cli.named import checkpoint_of, complete_checkpoint, complete_model, given_checkpoint, model_named
from fer_edge.cli.output import files_of_model, note, refuse_overwriting, result, result_json, wrote
from fer_edge.cli.typed import ClassMapFile, Describe, ModelArgument, class_map_for
from fer_edge.errors import CheckFailed, UsageError
from fer_edge.files import write_text
from fer_edge.own_files import OwnFiles

if TYPE_CHECKING:
    from fer_edge.export.parity.against import ModelComparison
    from fer_edge.export.parity.verification import Verification


def verify(
    model: ModelArgument = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Run folder or checkpoint behind the model. [default for a shipped model: its own]",
            callback=given_checkpoint,
            autocompletion=complete_checkpoint,
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            help="Compare with this model file instead, of any format or maker, or the shipped model of that name.",
            autocompletion=complete_model,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Labelled faces, to compare accuracy on their validation split. [default: synthetic ones]"),
    ] = None,
    divergence: Annotated[
        bool,
        typer.Option(
            "--divergence", "--locate", help="Compare layer by layer and name the first at which the two diverge."
        ),
    ] = False,
    skew: Annotated[
        bool,
        typer.Option(
            "--skew", "--drift", help="Also measure what mistakes in preparing faces would cost (needs --data)."
        ),
    ] = False,
    trust: Annotated[
        bool,
        typer.Option("--trust", help=f"Load {in_words(formats_that_run_code(), 'and')} files, which can run any code."),
    ] = False,
    max_drop: Annotated[
        float | None, typer.Option(help="Percentage points of accuracy that may be lost. [default: by precision]")
    ] = None,
    other_writer: Annotated[
        bool,
        typer.Option(
            "--other-writer",
            help="Accept a file of other versions of torch and the like, whose graph or bytes are not written here: "
            "weights, layers and answers alone judge it.",
        ),
    ] = False,
    markdown: Annotated[Path | None, typer.Option(help="Write the whole comparison to this Markdown file.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Plot the differences into this PNG file.")] = None,
    devices: Annotated[
        bool,
        typer.Option(
            "--devices",
            help="Compare its answers on emulated processors, WebAssembly and other versions of onnxruntime instead.",
        ),
    ] = False,
    targets: Annotated[
        str | None, typer.Option(help="Devices to try, with commas. [default: all]", rich_help_panel="With --devices")
    ] = None,
    faces: Annotated[
        int, typer.Option(min=1, help="Labelled faces beside the golden vectors.", rich_help_panel="With --devices")
    ] = 300,
    out: Annotated[
        Path,
        typer.Option(help="Where the matrix goes, and each run is kept.", rich_help_panel="With --devices"),
    ] = Path("devices"),
    describe: Describe = None,
    class_map: ClassMapFile = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on without files that cannot be read.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print every figure as JSON.")] = False,
) -> None:
    """Compare a model with its checkpoint, from image files on: exit code 0 if it answers the same, 3 if not.

    Examples:

        fer-edge verify exported/NAME.onnx --checkpoint runs/NAME --data fer2013 --picture parity.png

        fer-edge verify exported/NAME.onnx --checkpoint runs/NAME --divergence

        fer-edge verify exported/NAME.onnx --devices --data fer2013

        fer-edge verify exported/NAME.onnx --against yesterday/NAME.onnx --data fer2013
    """
    file = model_named(model)
    if describe is not None and against is None:
        raise UsageError("--describe: expected --against with it: another maker's model has no checkpoint here; add it")
    if devices:
        if checkpoint is not None:
            raise UsageError("--devices compares a model with itself; leave out --checkpoint")
        given = {
            "--against": against is not None,
            "--divergence": divergence,
            "--skew": skew,
            "--trust": trust,
            "--max-drop": max_drop is not None,
            "--other-writer": other_writer,
            "--markdown": markdown is not None,
            "--picture": picture is not None,
        }
        if others := [option for option, is_given in given.items() if is_given]:
            raise UsageError(f"--devices: expected none of the options with --checkpoint, found {', '.join(others)}")
        mapped = class_map_for(data, class_map)
        verify_devices(file, data, targets, faces, out, skip_bad, json_output, mapped)
        return
    if targets is not None:
        raise UsageError("--targets: expected --devices with it, found none; add it")
    if against is not None:
        given = {
            "--checkpoint": checkpoint is not None,
            "--divergence": divergence,
            "--skew": skew,
            "--other-writer": other_writer,
        }
        if others := [option for option, is_given in given.items() if is_given]:
            raise UsageError(f"--against: expected none of the options with --checkpoint, found {', '.join(others)}")
        other = model_named(against)
        _check_reports(markdown, picture, [*files_of_model(file), *files_of_model(other)])
        from fer_edge.export.parity.against import AgainstRequest, compare_models

        compared = compare_models(
            AgainstRequest(
                file,
                other,
                data=data,
                skip_bad=skip_bad,
                class_map=class_map_for(data, class_map),
                trust=trust,
                description=describe,
                max_drop_points=max_drop,
            ),
            note,
        )
        _tell(compared, json_output, markdown, picture)
        if not compared:
            raise CheckFailed(f"{file}: differs from {other}: {compared.parity.failures[0]}")
        return
    checkpoint = checkpoint or checkpoint_of(model)
    if checkpoint is None:
        raise UsageError(
            "expected --checkpoint with the run that the model was made from, --against or --devices, found none"
        )
    from fer_edge.export.parity.verification import VerifyRequest, verify_model

    request = VerifyRequest(
        model=file,
        checkpoint=checkpoint,
        data=data,
        skip_bad=skip_bad,
        class_map=class_map_for(data, class_map),
        divergence=divergence,
        skew=skew,
        trust=trust,
        max_drop_points=max_drop,
        other_writer=other_writer,
    )
    _check_reports(markdown, picture, [*files_of_model(file), checkpoint])
    verification = verify_model(request, note)
    _tell(verification, json_output, markdown, picture)
    if not verification.parity:
        hint = "" if divergence else "; add --divergence to find the layer"
        raise CheckFailed(f"{file}: differs from its checkpoint: {verification.parity.failures[0]}{hint}")


def _check_reports(markdown: Path | None, picture: Path | None, compared: list[Path]) -> None:
    """Refuse (UsageError, StorageError) what cannot be written: before minutes of measuring, not after."""
    for option, path in (("--markdown", markdown), ("--picture", picture)):
        if path is not None:
            refuse_overwriting(option, [path], compared)
            OwnFiles(f"choose another with {option}").refuse_foreign([path])


def _tell(
    done: "Verification | ModelComparison", json_output: bool, markdown: Path | None, picture: Path | None
) -> None:
    if json_output:
        result_json(done.to_dict())
    else:
        result(done.summary())
    if markdown is not None:
        with OwnFiles("choose another with --markdown").writing(markdown):
            write_text(markdown, done.markdown())
        wrote(markdown)
    if picture is not None:
        with OwnFiles("choose another with --picture").writing(picture):
            done.plot(picture)
        wrote(picture)
