"""Makes the metadata of a model from what its checkpoint says and from what is read back from the file."""

import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import fer_edge
from fer_edge.export.formats.registry import ModelFormat
from fer_edge.export.graph.network import FACES as NORMALISED_FACES
from fer_edge.export.graph.network import LOGITS
from fer_edge.export.graph.preprocessing import IMAGE, PROBABILITIES
from fer_edge.export.graph.versions import Versions
from fer_edge.metadata import FACES, NORMALISED, PIXELS, InputContract, ModelMetadata, TensorContract, TrainingData
from fer_edge.runtime.onnxruntime_packages import onnxruntime_packages
from fer_edge.text import printable
from fer_edge.training.checkpoint import CheckpointInfo

LIMITS = (
    "It names the expression that a face seems to show, not what the person feels. Not for decisions about people, "
    "emotion inference at work or school, surveillance, medical use or lie detection."
)

_ABSOLUTE = re.compile(r"(?<![\w.:/\\])(?:/|[A-Za-z]:\\)(?:[^\s,()/\\]+[/\\])*([^\s,()/\\]+)")
"""An absolute path, and the name at its end."""

_COLOUR = "RGB order; one channel is grey; a fourth channel (alpha) is dropped"


def describe(
    info: CheckpointInfo,
    *,
    name: str,
    model_format: ModelFormat,
    precision: str = "fp32",
    raw: bool = False,
    fixed_shape: bool = False,
    versions: Versions | None = None,
    quantisation: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Mapping[str, Any]] | None = None,
) -> ModelMetadata:
    """Metadata, without checksum, of a model made from the checkpoint ``info``; ``versions`` as read from its graph."""
    num_classes = len(info.labels)
    batch = 1 if fixed_shape or model_format.takes_one_face else "batch"
    outputs = [TensorContract(LOGITS, "float32", (batch, num_classes))]
    if not raw:
        outputs.insert(0, TensorContract(PROBABILITIES, "float32", (batch, num_classes)))
    return ModelMetadata(
        name=name,
        format=model_format.name,
        architecture=info.architecture,
        settings=dict(info.settings),
        precision=precision,
        input=_input(model_format, info.image_size, batch, raw=raw),
        outputs=tuple(outputs),
        image_size=info.image_size,
        mean=info.mean,
        std=info.std,
        training_data=_training_data(info),
        metrics=metrics if metrics is not None else checkpoint_metrics(info),
        versions=_package_versions(model_format.packages),
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        opset=versions.opset if versions else None,
        ir_version=versions.ir_version if versions else None,
        minimum_onnxruntime=_minimum_onnxruntime(model_format, versions),
        quantisation=quantisation,
        labels=tuple(info.labels),
        limits=" ".join(filter(None, (LIMITS, model_format.untried))),
        license="the project's license for the file; the training images have terms of their own",
    )


def _training_data(info: CheckpointInfo) -> TrainingData:
    return TrainingData(
        source=printable(Path(info.data_source).name),
        fingerprint=info.data_fingerprint,
        seed=info.seed,
        name=info.data_name,
        classes=dict(info.class_counts),
        # Metadata travel: they must not tell this machine's folders.
        starting_weights=_ABSOLUTE.sub(r"\1", printable(info.starting_weights)),
    )


def checkpoint_metrics(info: CheckpointInfo) -> dict[str, dict[str, Any]]:
    """What the checkpoint was measured at, as the metadata state it."""
    if not info.metrics:
        return {}
    return {"validation": {**info.metrics, "measured_on": f"the checkpoint, after epoch {info.epoch}"}}


def _minimum_onnxruntime(model_format: ModelFormat, versions: Versions | None) -> str | None:
    if versions is None:
        return None
    # An ort file holds onnxruntime's own operators; its promise is that releases from the writing one on load it.
    return _written_by() if model_format.needs_writers_onnxruntime else versions.oldest_onnxruntime


def _written_by() -> str:
    import onnxruntime

    return ".".join(onnxruntime.__version__.split(".")[:2])


def _input(model_format: ModelFormat, image_size: int, batch: str | int, *, raw: bool) -> InputContract:
    if raw:
        return _normalised_input(image_size, batch)
    if model_format.input_kinds[0] == FACES:
        return _faces_input(image_size, batch)
    return _pixel_input(model_format, batch)


def _pixel_input(model_format: ModelFormat, batch: str | int) -> InputContract:
    channels = model_format.channels
    return InputContract(
        name=IMAGE,
        dtype="uint8",
        shape=(batch, "height", "width", "channels" if len(channels) > 1 else channels[0]),
        kind=PIXELS,
        channels=channels,
        colour=_COLOUR if len(channels) > 1 else "RGB order",
        max_side=model_format.max_side,
    )


def _faces_input(image_size: int, batch: str | int) -> InputContract:
    return InputContract(
        name=IMAGE,
        dtype="uint8",
        shape=(batch, image_size, image_size, 1),
        kind=FACES,
        channels=(1,),
        colour="grey (0.299 red + 0.587 green + 0.114 blue), resized with antialiasing, whole numbers from 0 to 255",
    )


def _normalised_input(image_size: int, batch: str | int) -> InputContract:
    return InputContract(
        name=NORMALISED_FACES,
        dtype="float32",
        shape=(batch, 1, image_size, image_size),
        kind=NORMALISED,
        channels=(1,),
        colour="grey (0.299 red + 0.587 green + 0.114 blue), resized with antialiasing, (pixel / 255 - mean) / std",
    )


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _package_versions(own: tuple[str, ...]) -> dict[str, str]:
    # Where a model is only verified, what wrote it need not be installed.
    installed = [package for package in own if _is_installed(package)]
    packages = {package: version(package) for package in ("torch", "onnx", *installed)} | onnxruntime_packages()
    return {"fer_edge": fer_edge.__version__, **packages, "python": platform.python_version()}
