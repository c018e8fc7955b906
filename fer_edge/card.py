"""ModelCard: what a model says about itself, inside its file and as JSON beside it."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from fer_edge.errors import ModelError
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
_MAX_DEPTH = 32
"""Of objects within objects; a card needs four."""
_MAX_VERSION_LENGTH = 20

Dimension = str | int
_Value = TypeVar("_Value")


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


@dataclass(frozen=True, kw_only=True)
class ModelCard:
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
    def from_json(cls, text: str | bytes, *, where: str = "card") -> "ModelCard":
        """Read a card and check every field. ``where`` names the file in errors. Keys that are not known are ignored.

        Raises ModelError that says which field was expected to be what, and what was found.
        """
        return cls.from_mapping(_parsed(text, where), where=where)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any], *, where: str = "card") -> "ModelCard":
        """As from_json, from JSON that is already parsed."""
        fields = _Fields(raw, where)
        version = fields.read("format_version", _integer)
        if version != FORMAT_VERSION:
            raise fields.wrong("format_version", f"{FORMAT_VERSION} (another version of fer_edge made it)", version)
        labels = fields.read("labels", _texts)
        if labels != EXPRESSIONS:
            raise fields.wrong("labels", f"{', '.join(EXPRESSIONS)} in this order", ", ".join(labels))
        return cls(
            format_version=version,
            name=fields.read("name", _text),
            format=fields.read("format", _one_of(FORMATS)),
            labels=labels,
            architecture=fields.read("architecture", _text),
            settings=fields.read("settings", _mapping),
            precision=fields.read("precision", _one_of(PRECISIONS)),
            input=_input_contract(fields.within("input")),
            outputs=tuple(_tensor_contract(output) for output in fields.each("outputs")),
            image_size=fields.read("image_size", _image_size),
            mean=fields.read("mean", _number),
            std=fields.read("std", _positive_number),
            training_data=_training_data(fields.within("training_data")),
            metrics=fields.read("metrics", _mapping_of_mappings),
            versions=fields.read("versions", _mapping_of_texts),
            created=fields.read("created", _date),
            opset=fields.read("opset", _optional(_positive_integer)),
            ir_version=fields.read("ir_version", _optional(_positive_integer)),
            minimum_onnxruntime=fields.read("minimum_onnxruntime", _optional(_version)),
            quantisation=fields.read("quantisation", _optional(_mapping)),
            limits=fields.read("limits", _any_text),
            license=fields.read("license", _any_text),
            content_sha256=fields.read("content_sha256", _sha256),
        )

    def sealed(self, content_sha256: str) -> "ModelCard":
        """The same card with its digest filled in."""
        return replace(self, content_sha256=content_sha256)


def beside_json(card: ModelCard, file_sha256: str) -> str:
    """Text of the ``NAME.json`` that lies beside a model: its sealed card, and the SHA-256 of the whole file."""
    return json.dumps({**asdict(card), "file_sha256": file_sha256}, indent=2, allow_nan=False) + "\n"


def card_beside(text: str | bytes, *, where: str) -> tuple[ModelCard, str]:
    """Read what ``beside_json`` wrote: the card and the file's SHA-256. Raises ModelError."""
    raw = _parsed(text, where)
    return ModelCard.from_mapping(raw, where=where), _Fields(raw, where).read("file_sha256", _sha256)


def _parsed(text: str | bytes, where: str) -> Mapping[str, Any]:
    """Numbers that JSON or a float cannot hold (NaN, 1e999) are refused, and nesting that nothing could print."""
    try:
        raw = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite_float)
        if not isinstance(raw, dict):
            raise ModelError(f"{where}: expected a card in JSON, found a {type(raw).__name__}; export again")
        _check_depth(raw)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where}: expected a card in JSON, found something else ({error}); export again") from error
    return raw


def _refuse_constant(constant: str) -> float:
    raise ValueError(f"the number {constant}")


def _finite_float(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise ValueError(f"the number {digits[:20]}")
    return value


def _check_depth(raw: dict[str, Any]) -> None:
    layer: list[Any] = [raw]
    for _ in range(_MAX_DEPTH):
        layer = [
            inner
            for value in layer
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not layer:
            return
    raise ValueError("objects nested too deeply")


class _Expected(Exception):  # not an error of its own: it carries what was expected to _Fields.read
    pass


class _Fields:
    """Reads fields of parsed JSON by name, and says on failure which one, what was expected, and what was found."""

    def __init__(self, raw: Mapping[str, Any], where: str, prefix: str = "") -> None:
        self._raw, self._where, self._prefix = raw, where, prefix

    def wrong(self, key: str, expected: str, found: Any) -> ModelError:
        shown = found if isinstance(found, str) else repr(found)
        shown = shown if len(shown) <= 100 else f"{shown[:100]}..."
        field_name = f"{self._prefix}{key}"
        return ModelError(f"{self._where}: card field '{field_name}': expected {expected}, found {shown}; export again")

    def read(self, key: str, check: Callable[[Any], _Value]) -> _Value:
        if key not in self._raw:
            raise self.wrong(key, "a value", "none")
        try:
            return check(self._raw[key])
        except _Expected as expected:
            raise self.wrong(key, str(expected), self._raw[key]) from None

    def within(self, key: str) -> "_Fields":
        return _Fields(self.read(key, _mapping), self._where, f"{self._prefix}{key}.")

    def each(self, key: str) -> list["_Fields"]:
        values = self.read(key, _list)
        if not values or not all(isinstance(value, dict) for value in values):
            raise self.wrong(key, "a list of objects", values)
        return [_Fields(value, self._where, f"{self._prefix}{key}[{at}].") for at, value in enumerate(values)]


def _tensor_contract(fields: _Fields) -> TensorContract:
    return TensorContract(
        name=fields.read("name", _text), dtype=fields.read("dtype", _text), shape=fields.read("shape", _shape)
    )


def _input_contract(fields: _Fields) -> InputContract:
    tensor = _tensor_contract(fields)
    kind = fields.read("kind", _one_of(INPUT_KINDS))
    if (kind == PIXELS) != (tensor.dtype == "uint8"):
        raise fields.wrong("dtype", "uint8" if kind == PIXELS else "a float", tensor.dtype)
    return InputContract(
        **asdict(tensor),
        kind=kind,
        channels=fields.read("channels", _channels),
        colour=fields.read("colour", _text),
    )


def _training_data(fields: _Fields) -> TrainingData:
    return TrainingData(source=fields.read("source", _text), fingerprint=fields.read("fingerprint", _text))


def _any_text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Expected("text")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _Expected("text")
    return value


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in choices:
            raise _Expected(f"one of {', '.join(choices)}")
        return str(value)

    return check


def _optional(check: Callable[[Any], _Value]) -> Callable[[Any], _Value | None]:
    return lambda value: None if value is None else check(value)


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Expected("an integer")
    return value


def _positive_integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _Expected("an integer above 0")
    return value


def _image_size(value: Any) -> int:
    if _positive_integer(value) > MAX_IMAGE_SIZE:
        raise _Expected(f"an integer from 1 to {MAX_IMAGE_SIZE}")
    return int(value)


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _Expected("a finite number")
    try:
        number = float(value)
    except OverflowError:  # an integer that no float can hold
        raise _Expected("a finite number") from None
    if not math.isfinite(number):
        raise _Expected("a finite number")
    return number


def _positive_number(value: Any) -> float:
    if _number(value) <= 0:
        raise _Expected("a number above 0")
    return float(value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _Expected("a list")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(item) for item in _list(value))


def _channels(value: Any) -> tuple[int, ...]:
    channels = tuple(_positive_integer(item) for item in _list(value))
    if not channels or not set(channels) <= set(CHANNELS):
        raise _Expected(f"one or more of {', '.join(map(str, CHANNELS))}")
    return channels


def _shape(value: Any) -> tuple[Dimension, ...]:
    return tuple(item if isinstance(item, str) else _positive_integer(item) for item in _list(value))


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _Expected("an object")
    return value


def _mapping_of_mappings(value: Any) -> Mapping[str, Mapping[str, Any]]:
    return {key: _mapping(item) for key, item in _mapping(value).items()}


def _mapping_of_texts(value: Any) -> Mapping[str, str]:
    return {key: _text(item) for key, item in _mapping(value).items()}


def _date(value: Any) -> str:
    try:
        datetime.fromisoformat(_text(value))
    except ValueError:
        raise _Expected("an ISO 8601 date") from None
    return str(value)


def _version(value: Any) -> str:
    is_short = isinstance(value, str) and len(value) <= _MAX_VERSION_LENGTH
    if not is_short or not all(part.isdecimal() for part in value.split(".")):
        raise _Expected("a version such as 1.18")
    return value


def _sha256(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise _Expected("64 lower-case hex digits")
    return value
