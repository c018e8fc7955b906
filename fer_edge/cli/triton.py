"""``triton``: a model repository for NVIDIA's Triton Inference Server, and KServe's service for it."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli import output
from fer_edge.cli.named import MODEL_HELP, complete_model, model_named
from fer_edge.cli.typed import Describe, Trust
from fer_edge.errors import UsageError
from fer_edge.text import shown_name

if TYPE_CHECKING:
    from fer_edge.runtime.model_file import CheckedFile
    from fer_edge.serving.triton_settings import TritonSettings


def triton(
    model: Annotated[
        Path | None,
        typer.Argument(
            help=f"An exported model: .onnx, .torchscript or OpenVINO's .xml; {MODEL_HELP}",
            metavar="[MODEL]",
            show_default=False,
            autocompletion=complete_model,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The model repository.")] = Path("repo"),
    name: Annotated[
        str | None, typer.Option(help="Of the model in it. [default: the file's name without suffix]")
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(
            metavar="H,W,C",
            help="Take images of this size alone, so that all requests fit into one batch. [default: every size]",
        ),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure batches, instances and threads here: an .onnx, half a minute.")
    ] = False,
    benchmark: Annotated[
        Path | None, typer.Option(help="Take these settings from the JSON of 'fer-edge benchmark' with this model.")
    ] = None,
    max_batch_size: Annotated[
        int | None, typer.Option(min=1, max=65536, help="Images in a request. [default: the most measured, or 1]")
    ] = None,
    kserve: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Where the repository will lie: also write KServe's service for it."),
    ] = None,
    cpu: Annotated[
        str | None, typer.Option(help="Of --kserve: processors. [default: those that were measured, or none named]")
    ] = None,
    memory: Annotated[str | None, typer.Option(help="Of --kserve: memory, such as 2Gi. [default: none named]")] = None,
    describe: Describe = None,
    trust: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write a model repository for Triton: config.pbtxt, labels, and the model as a version with its metadata and card.

    Another model under the same name becomes the next version; files that were changed or are not ours are kept.

    Example: `fer-edge triton fer-resnet18 --out repo --measure --kserve s3://bucket/repo`
    """
    from fer_edge.backends.registry import formats_that_run_code
    from fer_edge.files import write_text
    from fer_edge.metadata import FACES, PIXELS
    from fer_edge.own_files import OwnFiles
    from fer_edge.runtime.foreign import ForeignMetadata
    from fer_edge.runtime.model_file import read_any
    from fer_edge.serving.kserve import Resources, inference_service
    from fer_edge.serving.triton import TritonModel, check_place, write_repository
    from fer_edge.serving.triton_settings import settings_of_benchmark, summary

    if measure and benchmark is not None:
        raise UsageError("expected --measure or --benchmark, found both")
    if kserve is None and (cpu is not None or memory is not None):
        raise UsageError("expected --kserve URI with --cpu and --memory: they are its resources")
    path = model_named(model)
    checked = read_any(path, trust=trust, description=describe)
    wanted = TritonModel(checked, name or path.stem, _shape(shape), max_batch_size)
    contract = wanted.contract  # refused before minutes of measuring
    contract.max_batch_size(max_batch_size, None)
    check_place(out / wanted.name)
    resources = Resources(cpu, memory)
    service = out.parent / f"{out.resolve().name}-kserve.yaml"
    if kserve is not None:
        inference_service(wanted.name, kserve, resources)
        OwnFiles("choose another --out").refuse_foreign([service])
    settings = None
    if measure:
        settings = _measured(path, checked, wanted.shape, trust, describe)
    elif benchmark is not None:
        settings = settings_of_benchmark(benchmark, checked.sha256, path)
    done = write_repository(out, replace(wanted, settings=settings))
    output.note(f"model {shown_name(path)}")
    if isinstance(checked.metadata, ForeignMetadata):
        output.note("not verified: another maker's model; requests carry what its description says, not pixels")
    written = [done.folder]
    if kserve is not None:
        used = done.settings
        if used is not None and cpu is None and used.provider == "cpu":
            resources = Resources(str(used.instances * used.threads), memory)
        elif used is not None and used.provider != "cpu":
            resources = Resources(cpu, memory, gpus=1)
        with OwnFiles("choose another --out").writing(service):
            write_text(service, inference_service(wanted.name, kserve, resources))
        written.append(service)
    if as_json:
        output.result_json(
            {
                "folder": str(done.folder),
                "name": wanted.name,
                "version": done.version,
                "new_version": done.is_new_version,
                "settings": None if done.settings is None else dict(summary(done.settings)),
                "kserve": None if kserve is None else str(service),
            }
        )
    else:
        output.result(done.config.rstrip())
    if done.settings is None:
        output.note(
            "no settings for batches and instances: none were measured; measure them: --measure, or --benchmark FILE"
        )
    if checked.metadata.format in formats_that_run_code():
        output.note("Triton runs the code in this file: serve it only if you trust where it is from")
    kind = checked.metadata.input.kind
    if kind in (PIXELS, FACES) and contract.batches and -1 in contract.dims(contract.input):
        output.note(
            "requests of one size share a batch, those of another wait for their own: --shape H,W,C has one for all"
        )
    if not done.is_new_version:
        output.note(f"version {done.version} is this very model: it stays, the settings are written again")
    elif done.version > 1:
        output.note(f"another model than before: version {done.version}, which Triton takes by itself as the latest")
    output.wrote(*written)


def _shape(text: str | None) -> tuple[int, ...] | None:
    """``48,48,1`` to (48, 48, 1). Raises UsageError."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--shape: expected HEIGHT,WIDTH,CHANNELS, found {text!r}") from None


def _measured(
    path: Path, checked: "CheckedFile", shape: tuple[int, ...] | None, trust: bool, describe: list[str] | None
) -> "TritonSettings":
    import numpy as np

    from fer_edge.data.sample import synthetic_faces
    from fer_edge.serving.triton_settings import BATCHES, measure_settings

    metadata = checked.metadata
    if metadata.format != "onnx":
        raise UsageError(f"--measure: expected an .onnx model, found {metadata.format}; take --benchmark FILE")
    fixed = metadata.input.fixed_batch
    batches = BATCHES if fixed is None else (fixed,)
    height, width, channels = shape or (metadata.image_size, metadata.image_size, metadata.input.channels[0])
    faces = synthetic_faces(range(max(batches)), size=max(height, width)).faces[:, :height, :width]
    pixels = np.repeat(faces[..., np.newaxis], channels, axis=3)
    output.note(
        f"measuring batches of {', '.join(map(str, batches))} images, {height}x{width}x{channels}, in half a minute"
    )
    return measure_settings(path, checked.sha256, pixels, batches=batches, trust=trust, description=describe)
