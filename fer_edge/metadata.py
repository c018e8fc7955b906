"""ModelMetadata: what a model says about itself, inside its file and as JSON beside it (the sidecar ``NAME.json``).

Types and bounds are declared on the fields and checked by ``checked_json``; what one field says of another, here.
"""

import json
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta

from fer_edge.checked_json import converted, parse_object, texts_in, wrong_field
from fer_edge.errors import UsageError
from fer_edge.labels import FER2013, LabelSet, label_set_of
from fer_edge.text import printable
from fer_edge.uncertainty import CALIBRATED_PROBABILITIES, CANDIDATES, CERTAINTY_OUTPUTS, IS_CERTAIN, Uncertainty

METADATA_KEY = "fer_edge.card"
"""Name of the metadata in ONNX ``metadata_props`` and of the extra file in TorchScript and pt2 archives. It is that
of the first version, so that files of all versions are read in one way."""

_ADDED_LATER = ("devices", "uncertainty")
"""Fields that files of earlier versions lack."""
SEVEN_BIT_WEIGHTS = "int8 (7 bits)"
"""What ``quantisation`` states as "weights" of a model that cannot saturate on any processor."""
SATURATES = "saturates"
"""Key of ``quantisation``: False where the runtime adds 8-bit products in 32 bits on every processor."""
LAYER_NOISE = "layer_sqnr_db"
"""Key of ``quantisation``: each layer's signal over the noise that quantisation added, in decibels, at the export."""
FORMAT_VERSION = 1
"""Raised when a field changes its meaning; metadata of another version is refused rather than half understood."""

NO_CHECKSUM = "0" * 64
"""The digits of ``content_sha256`` before the checksum is filled in (see fer_edge/runtime/checksum.py)."""

SUFFIXES = {
    "onnx": ".onnx",
    "ort": ".ort",
    "torchscript": ".torchscript",
    "pt2": ".pt2",
    "openvino": ".xml",
    "executorch": ".pte",
    "litert": ".tflite",
    "ncnn": ".param",
    "coreml": ".mlpackage",
}
"""Format to the end of a file's name. A backend adds what it opens beside these (``BackendEntry.suffixes``)."""

FORMATS = tuple(SUFFIXES)
PRECISIONS = ("fp32", "fp16", "int8")
"""The finest first."""
PIXELS, FACES, NORMALISED = "pixels", "faces", "normalised"
INPUT_KINDS = (PIXELS, FACES, NORMALISED)
CHANNELS = (1, 3, 4)
"""Grey, RGB, RGBA."""

MAX_IMAGE_SIZE = 4096
MAX_SEED = 2**32 - 1
"""Every random generator takes a seed up to it."""

_PROSE = ("limits", "license")
"""Fields that may have paragraphs."""
_LAYOUT = "\n\t"
# Each type carries its bounds, which msgspec checks, and in words what errors say was expected.
Text = Annotated[str, Meta(min_length=1, description="text")]
AnyText = Annotated[str, Meta(description="text")]
PositiveInteger = Annotated[int, Meta(ge=1, description="an integer above 0")]
ImageSize = Annotated[int, Meta(ge=1, le=MAX_IMAGE_SIZE, description=f"an integer from 1 to {MAX_IMAGE_SIZE}")]
Seed = Annotated[int, Meta(ge=0, le=MAX_SEED, description=f"an integer from 0 to {MAX_SEED}")]
Number = Annotated[float, Meta(description="a finite number")]
PositiveNumber = Annotated[float, Meta(gt=0, description="a finite number above 0")]
Version = Annotated[str, Meta(pattern=r"\A[0-9]+(\.[0-9]+)*\Z", max_length=20, description="a version such as 1.18")]
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z", description="64 lower-case hex digits")]
Object = Annotated[Mapping[str, Any], Meta(description="an object")]
Precision = Annotated[
    str, Meta(pattern=rf"\A({'|'.join(PRECISIONS)})\Z", description=f"one of {', '.join(PRECISIONS)}")
]
InputKind = Annotated[
    str, Meta(pattern=rf"\A({'|'.join(INPUT_KINDS)})\Z", description=f"one of {', '.join(INPUT_KINDS)}")
]
_CHANNELS_IN_WORDS = f"one or more of {', '.join(map(str, CHANNELS))}"
Channels = Annotated[tuple[int, ...], Meta(min_length=1, description=_CHANNELS_IN_WORDS)]
Dimension = str | int
Shape = Annotated[
    tuple[str | Annotated[int, Meta(ge=1)], ...], Meta(description="a list of names and integers above 0")
]
Names = Annotated[tuple[str, ...], Meta(description="a list of names")]


@dataclass(frozen=True)
class TensorContract:
    """One input or output of a model: its name, numpy dtype name, and shape (a name where a dimension is dynamic)."""

    name: Text
    dtype: Text
    shape: Shape

    @property
    def fixed_batch(self) -> int | None:
        """How many images a run takes; None where it takes any number."""
        return self.shape[0] if isinstance(self.shape[0], int) else None


def certainty_outputs(batch: Dimension, num_classes: int) -> tuple[TensorContract, ...]:
    """What a calibrated ONNX graph gives beside its answers: probabilities at the temperature, whether the answer is
    certain (a column, so that servers can add a batch dimension), and which classes are candidates."""
    return (
        TensorContract(CALIBRATED_PROBABILITIES, "float32", (batch, num_classes)),
        TensorContract(IS_CERTAIN, "bool", (batch, 1)),
        TensorContract(CANDIDATES, "bool", (batch, num_classes)),
    )


@dataclass(frozen=True)
class InputContract(TensorContract):
    """What a model wants to be fed."""

    kind: InputKind
    """``pixels``: uint8 of any size, the graph prepares them. ``faces``: grey uint8 faces of the model's own size,
    which the graph normalises. ``normalised``: float faces that the caller prepared."""
    channels: Channels
    """The numbers of channels that are accepted, e.g. (1, 3, 4)."""
    colour: Text
    """In words: the order of the channels, and what becomes of colour and alpha."""
    max_side: ImageSize | None = None
    """The largest height and width that a run takes, in pixels; None where every size is taken."""


@dataclass(frozen=True)
class TrainingData:
    """Which labelled faces the checkpoint was trained on."""

    source: Text
    fingerprint: Text
    seed: Seed = 0
    """The run's: it chose the validation faces where the data set has none. 0 for metadata from before it was kept."""
    name: AnyText = ""
    """FER-2013 where the faces are known to be; empty for others, and for metadata from before it was kept."""
    classes: Annotated[Mapping[str, int], Meta(description="an object")] = field(default_factory=dict)
    """Training faces of each class, as labelled; empty for metadata from before it was kept."""
    starting_weights: AnyText = ""
    """Where the first weights came from, in words; empty for metadata from before it was kept."""


@dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """Everything an app needs to feed a model and to trust what comes out. Immutable; JSON and back without loss."""

    format_version: int = FORMAT_VERSION
    """First in the JSON, so that a reader knows at once what follows."""
    name: Text
    format: Text
    """One of FORMATS, or another that is registered."""
    architecture: Text
    settings: Object
    """Settings of the architecture, e.g. {"stem": "no_pool"}."""
    precision: Precision
    input: InputContract
    outputs: Annotated[tuple[TensorContract, ...], Meta(min_length=1, description="a list of objects")]
    image_size: ImageSize
    """Side of the face that the net sees, in pixels."""
    mean: Number
    """Subtracted from pixel/255 before the net."""
    std: PositiveNumber
    """Divides what is left."""
    training_data: TrainingData
    metrics: Annotated[Mapping[str, Object], Meta(description="an object")]
    """Split name to metric name to value, measured on this very model or on its checkpoint, as each entry says."""
    versions: Annotated[Mapping[str, Text], Meta(description="an object")]
    """Package name to the version that made the file."""
    created: Text
    """ISO 8601 date, or date and time."""
    opset: PositiveInteger | None = None
    """ONNX opset of the default domain; None outside ONNX and ort."""
    ir_version: PositiveInteger | None = None
    minimum_onnxruntime: Version | None = None
    """Oldest onnxruntime that loads the file; None outside ONNX and ort."""
    quantisation: Object | None = None
    """How an INT8 model was calibrated and what was left in fp32; None for a model that is not quantised."""
    devices: Object | None = None
    """How an INT8 model's golden answers came out on the devices that were tried at its export; None where none was."""
    limits: AnyText = ""
    """What the model must not be used for, in a sentence or two."""
    license: AnyText = ""
    uncertainty: Uncertainty | None = None
    """When the model should be silent; None, and not in the JSON, where nobody calibrated it ('fer-edge calibrate')."""
    labels: Names = field(default=FER2013.names)
    """Names of the outputs, in their order: a valid LabelSet."""
    content_sha256: Sha256 = NO_CHECKSUM
    """SHA-256 of the file that holds this metadata, with these 64 digits zero."""

    @property
    def answers(self) -> tuple[TensorContract, ...]:
        """The outputs without those of a calibrated graph, which follow from the logits."""
        if self.uncertainty is None:  # then a name is only a name
            return self.outputs
        return tuple(one for one in self.outputs if one.name not in CERTAINTY_OUTPUTS)

    @property
    def may_saturate(self) -> bool:
        """Whether sums of this model's 8-bit products may overflow on x86 without VNNI: its weights have all 8 bits."""
        stated = self.quantisation or {}
        return (
            self.precision == "int8"
            and stated.get("weights") != SEVEN_BIT_WEIGHTS
            and stated.get(SATURATES, True) is not False
        )

    @property
    def label_set(self) -> LabelSet:
        """The labels with what is known about them."""
        return label_set_of(self.labels)

    def to_json(self, *, indent: int | None = None) -> str:
        """As JSON (ASCII, so that it reads the same in every container), keys in the order of the fields."""
        return json.dumps(self._plain(), indent=indent, allow_nan=False)

    def _plain(self) -> dict[str, Any]:
        plain = asdict(self)
        if self.uncertainty is None:  # as files of earlier versions
            del plain["uncertainty"]
        return plain

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str = "metadata") -> "ModelMetadata":
        """Read and check every field. ``where`` names the file in errors. Keys that are not known are ignored.

        Raises ModelError that says which field was expected to be what, and what was found.
        """
        return cls.from_mapping(parse_object(text, where), where=where)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any], *, where: str = "metadata") -> "ModelMetadata":
        """As from_json, from JSON that is already parsed."""
        for one in fields(cls):
            # In a file every field is written, also those that have a default in Python.
            if one.name not in raw and one.name not in _ADDED_LATER:
                raise wrong_field(where, one.name, "a value", "none")
        version = raw["format_version"]
        if type(version) is not int or version != FORMAT_VERSION:
            expected = f"{FORMAT_VERSION} (another version of fer_edge made it)"
            raise wrong_field(where, "format_version", expected, version)
        for key, text in texts_in(raw):
            if printable(text, keep=_LAYOUT if key in _PROSE else "") != text:
                raise wrong_field(where, key, "text that can be shown, without control characters", text)
        metadata: ModelMetadata = converted(raw, cls, where)
        for key, expected, found in _contradictions(metadata):
            raise wrong_field(where, key, expected, found)
        return metadata

    def with_checksum(self, content_sha256: str) -> "ModelMetadata":
        """The same metadata with its checksum filled in."""
        return replace(self, content_sha256=content_sha256)

    def sealed(self, content_sha256: str) -> "ModelMetadata":
        """Deprecated name of ``with_checksum``."""
        warnings.warn("sealed() is now with_checksum()", DeprecationWarning, stacklevel=2)
        return self.with_checksum(content_sha256)


def sidecar_json(metadata: ModelMetadata, file_sha256: str) -> str:
    """Text of the ``NAME.json`` beside a model: its metadata with checksum, and the SHA-256 of the whole file."""
    return json.dumps({**metadata._plain(), "file_sha256": file_sha256}, indent=2, allow_nan=False) + "\n"


def read_sidecar(text: str | bytes, *, where: str) -> tuple[ModelMetadata, str]:
    """Read what ``sidecar_json`` wrote: the metadata and the file's SHA-256. Raises ModelError."""
    raw = parse_object(text, where)
    metadata = ModelMetadata.from_mapping(raw, where=where)
    return metadata, converted(raw, _FileHash, where).file_sha256


@dataclass(frozen=True)
class _FileHash:
    file_sha256: Sha256


def _contradictions(metadata: ModelMetadata) -> Iterator[tuple[str, str, Any]]:
    """Field, what was expected and what was found, of all that no type can say."""
    if metadata.format not in SUFFIXES:
        yield "format", f"one of {', '.join(SUFFIXES)}", metadata.format
    try:
        label_set_of(metadata.labels)
    except UsageError as error:
        reason = str(error).removeprefix("labels: expected ").partition(", found ")
        yield "labels", reason[0], reason[2]
    if not set(metadata.input.channels) <= set(CHANNELS):
        yield "input.channels", _CHANNELS_IN_WORDS, list(metadata.input.channels)
    kind, dtype = metadata.input.kind, metadata.input.dtype
    if (kind != NORMALISED) != (dtype == "uint8"):
        yield "input.dtype", "uint8" if kind != NORMALISED else "a float", dtype
    for key, value in (("mean", metadata.mean), ("std", metadata.std)):
        if not math.isfinite(value):
            yield key, "a finite number", value
    for index, sets in enumerate(metadata.uncertainty.sets if metadata.uncertainty else ()):
        if tuple(sets.classes) != metadata.labels:
            yield f"uncertainty.sets[{index}].classes", "the labels, in their order", list(sets.classes)
    if metadata.answers != metadata.outputs:
        expected = certainty_outputs(metadata.answers[0].shape[0], len(metadata.labels)) if metadata.answers else ()
        if metadata.outputs != (*metadata.answers, *expected):
            yield "outputs", f"{', '.join(one.name for one in expected)} last", [one.name for one in metadata.outputs]
    try:
        datetime.fromisoformat(metadata.created)
    except ValueError:
        yield "created", "an ISO 8601 date", metadata.created


_RENAMED = {
    "CARD_KEY": "METADATA_KEY",
    "UNSEALED": "NO_CHECKSUM",
    "beside_json": "sidecar_json",
    "card_beside": "read_sidecar",
}
"""Old names to new ones; the old ones go in the next release."""


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        warnings.warn(f"{name} is now {_RENAMED[name]}", DeprecationWarning, stacklevel=2)
        return globals()[_RENAMED[name]]
    raise AttributeError(f"module 'fer_edge.metadata' has no attribute {name!r}")
