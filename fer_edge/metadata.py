"""ModelMetadata: what a model says about itself, inside its file and as JSON beside it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from fer_edge import card_fields as check
from fer_edge.labels import EXPRESSIONS

CARD_KEY = "fer_edge.card"
"""Name of the card in ONNX ``metadata_props`` and of the extra file in TorchScript and pt2 archives."""

FORMAT_VERSION = 1
"""Raised when a field changes its meaning; a card of another version is refused rather than half understood."""

UNSEALED = "0" * 64
"""The digits of ``content_sha256`` before the file is sealed (see fer_edge/runtime/seal.py)."""

SUFFIXES = {"onnx": ".onnx", "ort": ".ort", "torchscript": ".torchscript", "pt2": ".pt2"}
"""Format to the end of a file's name."""

FORMATS = tuple(SUFFIXES)
PRECISIONS = ("fp32", "fp16", "int8")
PIXELS, NORMALISED = "pixels", "normalised"
INPUT_KINDS = (PIXELS, NORMALISED)
CHANNELS = (1, 3, 4)
"""Grey, RGB, RGBA."""

MAX_IMAGE_SIZE = 4096

Dimension = str | int


@dataclass(frozen=True)
class TensorContract:
    """One input or output of a model: its name, numpy dtype name, and shape (a name where a dimension is dynamic)."""

    name: str
    dtype: str
    shape: tuple[Dimension, ...]


@dataclass(frozen=True)
class InputContract(TensorContract):
    """What a model wants to be fed."""

    kind: str
    """``pixels``: uint8 of any size, the graph prepares them. ``normalised``: float faces that the caller prepared."""
    channels: tuple[int, ...]
    """The numbers of channels that are accepted, e.g. (1, 3, 4)."""
    colour: str
    """In words: the order of the channels, and what becomes of colour and alpha."""


@dataclass(frozen=True)
class TrainingData:
    """Which labelled faces the checkpoint was trained on."""

    source: str
    fingerprint: str
    seed: int = 0
    """The run's: it chose the validation faces where the data set has none. 0 for cards written before it was kept."""


@dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """Everything an app needs to feed a model and to trust what comes out. Immutable; JSON and back without loss."""

    format_version: int = FORMAT_VERSION
    """First in the JSON, so that a reader knows at once what follows."""
    name: str
    format: str
    """One of FORMATS."""
    architecture: str
    settings: Mapping[str, Any]
    """Settings of the architecture, e.g. {"stem": "no_pool"}."""
    precision: str
    """One of PRECISIONS."""
    input: InputContract
    outputs: tuple[TensorContract, ...]
    image_size: int
    """Side of the face that the net sees, in pixels."""
    mean: float
    """Subtracted from pixel/255 before the net."""
    std: float
    """Divides what is left."""
    training_data: TrainingData
    metrics: Mapping[str, Mapping[str, Any]]
    """Split name to metric name to value, measured on this very model or on its checkpoint, as each entry says."""
    versions: Mapping[str, str]
    """Package name to the version that made the file."""
    created: str
    """ISO 8601 date, or date and time."""
    opset: int | None = None
    """ONNX opset of the default domain; None outside ONNX and ort."""
    ir_version: int | None = None
    minimum_onnxruntime: str | None = None
    """Oldest onnxruntime that loads the file; None outside ONNX and ort."""
    quantisation: Mapping[str, Any] | None = None
    """How an INT8 model was calibrated and what was left in fp32; None for a model that is not quantised."""
    limits: str = ""
    """What the model must not be used for, in a sentence or two."""
    license: str = ""
    labels: tuple[str, ...] = field(default=EXPRESSIONS)
    """Names of the outputs, in their order."""
    content_sha256: str = UNSEALED
    """SHA-256 of the file that holds this card, with these 64 digits zero."""

    def to_json(self, *, indent: int | None = None) -> str:
        """The card as JSON (ASCII, so that it reads the same in every container), keys in the order of the fields."""
        return json.dumps(asdict(self), indent=indent, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str = "card") -> "ModelMetadata":
        """Read a card and check every field. ``where`` names the file in errors. Keys that are not known are ignored.

        Raises ModelError that says which field was expected to be what, and what was found.
        """
        return cls.from_mapping(check.parse(text, where), where=where)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any], *, where: str = "card") -> "ModelMetadata":
        """As from_json, from JSON that is already parsed."""
        fields = check.Fields(raw, where)
        version = fields.read("format_version", check.integer)
        if version != FORMAT_VERSION:
            raise fields.wrong("format_version", f"{FORMAT_VERSION} (another version of fer_edge made it)", version)
        labels = fields.read("labels", check.texts)
        if labels != EXPRESSIONS:
            raise fields.wrong("labels", f"{', '.join(EXPRESSIONS)} in this order", ", ".join(labels))
        return cls(
            format_version=version,
            name=fields.read("name", check.text),
            format=fields.read("format", check.one_of(FORMATS)),
            labels=labels,
            architecture=fields.read("architecture", check.text),
            settings=fields.read("settings", check.mapping),
            precision=fields.read("precision", check.one_of(PRECISIONS)),
            input=_input_contract(fields.within("input")),
            outputs=tuple(_tensor_contract(output) for output in fields.each("outputs")),
            image_size=fields.read("image_size", _image_size),
            mean=fields.read("mean", check.number),
            std=fields.read("std", check.positive_number),
            training_data=_training_data(fields.within("training_data")),
            metrics=fields.read("metrics", check.mapping_of_mappings),
            versions=fields.read("versions", check.mapping_of_texts),
            created=fields.read("created", check.date),
            opset=fields.read("opset", check.optional(check.positive_integer)),
            ir_version=fields.read("ir_version", check.optional(check.positive_integer)),
            minimum_onnxruntime=fields.read("minimum_onnxruntime", check.optional(check.version)),
            quantisation=fields.read("quantisation", check.optional(check.mapping)),
            limits=fields.read("limits", check.any_text),
            license=fields.read("license", check.any_text),
            content_sha256=fields.read("content_sha256", check.sha256),
        )

    def sealed(self, content_sha256: str) -> "ModelMetadata":
        """The same card with its digest filled in."""
        return replace(self, content_sha256=content_sha256)


def beside_json(card: ModelMetadata, file_sha256: str) -> str:
    """Text of the ``NAME.json`` that lies beside a model: its sealed card, and the SHA-256 of the whole file."""
    return json.dumps({**asdict(card), "file_sha256": file_sha256}, indent=2, allow_nan=False) + "\n"


def card_beside(text: str | bytes, *, where: str) -> tuple[ModelMetadata, str]:
    """Read what ``beside_json`` wrote: the card and the file's SHA-256. Raises ModelError."""
    raw = check.parse(text, where)
    return ModelMetadata.from_mapping(raw, where=where), check.Fields(raw, where).read("file_sha256", check.sha256)


def _tensor_contract(fields: check.Fields) -> TensorContract:
    return TensorContract(
        name=fields.read("name", check.text), dtype=fields.read("dtype", check.text), shape=fields.read("shape", _shape)
    )


def _input_contract(fields: check.Fields) -> InputContract:
    tensor = _tensor_contract(fields)
    kind = fields.read("kind", check.one_of(INPUT_KINDS))
    if (kind == PIXELS) != (tensor.dtype == "uint8"):
        raise fields.wrong("dtype", "uint8" if kind == PIXELS else "a float", tensor.dtype)
    return InputContract(
        **asdict(tensor),
        kind=kind,
        channels=fields.read("channels", _channels),
        colour=fields.read("colour", check.text),
    )


def _training_data(fields: check.Fields) -> TrainingData:
    return TrainingData(
        source=fields.read("source", check.text),
        fingerprint=fields.read("fingerprint", check.text),
        seed=fields.read_or("seed", check.seed, TrainingData.seed),
    )


def _image_size(value: Any) -> int:
    if check.positive_integer(value) > MAX_IMAGE_SIZE:
        raise check.Expected(f"an integer from 1 to {MAX_IMAGE_SIZE}")
    return int(value)


def _channels(value: Any) -> tuple[int, ...]:
    channels = tuple(check.positive_integer(item) for item in check.list_of_values(value))
    if not channels or not set(channels) <= set(CHANNELS):
        raise check.Expected(f"one or more of {', '.join(map(str, CHANNELS))}")
    return channels


def _shape(value: Any) -> tuple[Dimension, ...]:
    return tuple(
        item if isinstance(item, str) else check.positive_integer(item) for item in check.list_of_values(value)
    )
