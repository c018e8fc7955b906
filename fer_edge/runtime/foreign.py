"""Models that this project did not make: what somebody says of them (``ForeignDescription``), and their metadata.

Nothing ties such a description to its file, and no checkpoint was compared with it: what it answers is not verified.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from fer_edge.errors import ModelError, UsageError
from fer_edge.labels import label_set_named, label_set_of
from fer_edge.metadata import MAX_IMAGE_SIZE, NORMALISED, InputContract, ModelMetadata, TensorContract, TrainingData
from fer_edge.runtime.onnx_file import OnnxFile, OnnxValue
from fer_edge.text import printable

LAYOUTS, ORDERS, OUTPUTS = ("NCHW", "NHWC"), ("RGB", "BGR"), ("logits", "probabilities")
RANGES = {"0-1": (1 / 255, 0.0), "0-255": (1.0, 0.0), "-1-1": (2 / 255, -1.0)}
"""What pixels become before ``mean`` and ``std``: a factor, and what is added."""
INTERPOLATIONS = ("bilinear", "bicubic", "nearest", "lanczos", "box")
UNKNOWN = "unknown"
"""What metadata say where they must say something and nobody has told."""
_DTYPES = {1: "float32", 2: "uint8", 10: "float16"}
"""ONNX's element types that an input of images may have."""


@dataclass(frozen=True, kw_only=True)
class ForeignDescription:
    """How to feed an image classifier, and what its answer means. Fields that the file itself tells may be left out."""

    labels: tuple[str, ...]
    """In the order of the outputs."""
    layout: str = ""
    """NCHW or NHWC; left out: where the input has its 1 or 3 channels."""
    channels: int = 0
    """1 (grey) or 3; left out: the input's."""
    size: tuple[int, int] | None = None
    """Height and width of the input in pixels; left out: the input's."""
    mean: tuple[float, ...] = (0.0,)
    """Subtracted from the pixels in their ``range``: one number, or one a channel in the model's order."""
    std: tuple[float, ...] = (1.0,)
    """Divides what is left."""
    order: str = "RGB"
    """Of three channels: RGB or BGR."""
    range: str = "0-1"
    """What pixels are brought to first: 0-1, 0-255 or -1-1."""
    outputs: str = "logits"
    """What the answer is: logits or probabilities."""
    output: str = ""
    """Name of the output that is the answer; left out: the first."""
    shortest: int = 0
    """Resize until the shorter side has so many pixels and take the middle; 0: stretch to ``size``."""
    interpolation: str = "bilinear"
    source: str = field(default="options", compare=False)
    """Where it was said."""

    def __post_init__(self) -> None:
        """Raises UsageError for what is no description."""
        try:
            label_set_of(self.labels)
        except UsageError as error:
            raise _wrong(
                self.source, "labels", *str(error).removeprefix("labels: expected ").split(", found ")
            ) from error
        for name, allowed in (
            ("layout", ("", *LAYOUTS)),
            ("order", ORDERS),
            ("range", tuple(RANGES)),
            ("outputs", OUTPUTS),
            ("interpolation", INTERPOLATIONS),
            ("channels", (0, 1, 3)),
        ):
            if getattr(self, name) not in allowed:
                words = ", ".join(str(one) for one in allowed if one)
                raise _wrong(self.source, name, f"one of {words}", getattr(self, name))
        if self.size is not None and not all(1 <= side <= MAX_IMAGE_SIZE for side in self.size):
            raise _wrong(self.source, "size", f"1 to {MAX_IMAGE_SIZE} pixels", self.size)
        if not 0 <= self.shortest <= 2 * MAX_IMAGE_SIZE:
            raise _wrong(self.source, "shortest", f"0 to {2 * MAX_IMAGE_SIZE} pixels", self.shortest)
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, 3) or not all(map(math.isfinite, values)) or (name == "std" and min(values) <= 0):
                above = " above 0" if name == "std" else ""
                raise _wrong(self.source, name, f"one number or three{above}", values)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any], source: str) -> "ForeignDescription":
        """From JSON or options, whose values may be text. Raises UsageError that names the key."""
        known = {one.name for one in fields(cls)} - {"source"}
        unknown = [str(key) for key in raw if key not in known]
        if unknown:
            raise UsageError(
                f"{source}: expected keys among {', '.join(sorted(known))}, found {printable(', '.join(unknown))}"
            )
        if not raw.get("labels"):
            raise UsageError(
                f"{source}: expected labels, the names of the classes in the order of the outputs, found none"
            )
        return cls(**{key: _read(key, value, source) for key, value in raw.items()}, source=source)

    @classmethod
    def from_worker(cls, values: Mapping[str, Any]) -> "ForeignDescription":
        """What ``asdict`` made of one, after JSON, which knows no tuples."""
        plain: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in values.items()}
        return cls(**plain)

    def in_words(self) -> str:
        """For people, in a line."""
        scaled = {"0-1": "pixel/255", "0-255": "pixel", "-1-1": "pixel/127.5 - 1"}[self.range]
        height, width = self.size or (0, 0)
        fitted = (
            f"shorter side to {self.shortest}, middle {width}x{height}" if self.shortest else f"to {width}x{height}"
        )
        colours = "grey" if self.channels == 1 else self.order
        return (
            f"{colours}, {self.layout}, {self.interpolation} {fitted}, ({scaled} - {_numbers(self.mean)}) / "
            f"{_numbers(self.std)}, gives {self.outputs}"
        )


@dataclass(frozen=True, kw_only=True)
class ForeignMetadata(ModelMetadata):
    """Metadata of a model that has none of its own: the graph's part is read from the file, the rest was described."""

    description: ForeignDescription
    """Complete: layout, channels and size are known."""


def foreign_metadata(path: Path, graph: OnnxFile, description: ForeignDescription) -> ForeignMetadata:
    """What is known about the model ``graph``. Raises ModelError where file and description contradict each other."""
    images = [value for value in graph.inputs if value.name not in graph.initialisers]
    if len(images) != 1:
        found = ", ".join(printable(value.name) for value in images) or "none"
        raise ModelError(f"{path}: expected a model with one input, an image, found {found}")
    (image,) = images
    shape = image.shape or ()
    if len(shape) != 4 or image.element_type not in _DTYPES:
        found = f"{_DTYPES.get(image.element_type, 'another type')} {_in_words(shape)}"
        raise ModelError(f"{path}: expected an input of four dimensions of float32, float16 or uint8, found {found}")
    layout, channels, size = _completed(path, image, shape, description)
    batch = shape[0] if isinstance(shape[0], int) else "batch"
    sides: tuple[str | int, ...] = (channels, *size) if layout == "NCHW" else (*size, channels)
    complete = replace(description, layout=layout, channels=channels, size=size)
    for name, values in (("mean", complete.mean), ("std", complete.std)):
        if len(values) not in (1, channels):
            raise ModelError(
                f"{path}: expected one {name} or {channels}, as the input has channels, found {len(values)}"
            )
    is_quantised = any("QuantizeLinear" in name or "Integer" in name or "QLinear" in name for name in graph.operators)
    dtype = _DTYPES[image.element_type]
    return ForeignMetadata(
        name=path.stem,
        format="onnx",
        architecture=UNKNOWN,
        settings={},
        precision="int8" if is_quantised else "fp16" if dtype == "float16" else "fp32",
        input=InputContract(
            name=image.name,
            dtype=dtype,
            shape=(batch, *sides),
            kind=NORMALISED,
            channels=(channels,),
            colour=complete.in_words(),
        ),
        outputs=(_answer(path, graph, complete, batch),),
        image_size=max(size),
        mean=sum(complete.mean) / len(complete.mean),
        std=sum(complete.std) / len(complete.std),
        training_data=TrainingData(UNKNOWN, UNKNOWN),
        metrics={},
        versions={},
        created="",
        opset=graph.opset,
        ir_version=graph.ir_version,
        quantisation={"weights": UNKNOWN} if is_quantised else None,
        labels=complete.labels,
        description=complete,
    )


def _completed(
    path: Path, image: OnnxValue, shape: Sequence[str | int], description: ForeignDescription
) -> tuple[str, int, tuple[int, int]]:
    """Layout, channels and size, from the description where it has them and from the input's shape where it has not."""
    fits = [
        layout
        for layout, at in (("NCHW", 1), ("NHWC", 3))
        if shape[at] in (1, 3) or (not isinstance(shape[at], int) and description.channels)
    ]
    layout = description.layout or (fits[0] if len(fits) == 1 else "")
    if not layout:
        raise ModelError(
            f"{path}: expected layout (NCHW or NHWC) and channels in the description, because the input is "
            f"{_in_words(shape)}, found none; say layout=NCHW"
        )
    found_channels = shape[1 if layout == "NCHW" else 3]
    found_size = tuple(shape[2:] if layout == "NCHW" else shape[1:3])
    channels = description.channels or (found_channels if isinstance(found_channels, int) else 0)
    if isinstance(found_channels, int) and found_channels not in (1, 3):
        raise ModelError(
            f"{path}: expected 1 or 3 channels where {layout} has them, found {found_channels} in the input "
            f"{_in_words(shape)}; say layout={'NHWC' if layout == 'NCHW' else 'NCHW'}"
        )
    if channels not in (1, 3):
        raise ModelError(
            f"{path}: expected channels (1 or 3) in the description, because the input is {_in_words(shape)}"
        )
    if isinstance(found_channels, int) and found_channels != channels:
        raise ModelError(
            f"{path}: expected {found_channels} channels, as the input {image.name} {_in_words(shape)} has as "
            f"{layout}, found {channels} in the description ({description.source})"
        )
    size = description.size
    if size is None:
        if not all(isinstance(side, int) for side in found_size):
            raise ModelError(f"{path}: expected size in the description, because the input is {_in_words(shape)}")
        size = (int(found_size[0]), int(found_size[1]))
    if any(isinstance(one, int) and one != own for one, own in zip(found_size, size, strict=True)):
        raise ModelError(
            f"{path}: expected the size {'x'.join(map(str, found_size))}, as the input has it as {layout}, found "
            f"{size[0]}x{size[1]} in the description ({description.source})"
        )
    return layout, channels, size


def _answer(path: Path, graph: OnnxFile, description: ForeignDescription, batch: str | int) -> TensorContract:
    names = [value.name for value in graph.outputs]
    wanted = description.output or names[0]
    if wanted not in names:
        raise ModelError(
            f"{path}: expected an output among {', '.join(map(printable, names))}, found {wanted!r} described"
        )
    count = len(description.labels)
    shape = graph.outputs[names.index(wanted)].shape
    classes = [side for side in (shape or ())[1:] if side != 1]
    if classes and all(isinstance(side, int) for side in classes) and classes != [count]:
        others = [printable(one) for one in names if one != wanted]
        raise ModelError(
            f"{path}: expected as many labels as the output {printable(wanted)} has classes, "
            f"{'x'.join(map(str, classes))}, found {count} in the description ({description.source})"
            + (f"; the answer may be another: output={' or output='.join(others)}" if others else "; name as many")
        )
    return TensorContract(wanted, "float32", (batch, count))


def _read(key: str, value: Any, source: str) -> Any:
    """A value of JSON or of an option as the field's type."""
    readers: dict[str, Callable[[Any], Any]] = {
        "labels": _labels,
        "size": _size,
        "mean": _floats,
        "std": _floats,
        "channels": int,
        "shortest": int,
    }
    if value is None or isinstance(value, bool):
        raise _wrong(source, key, "a value", value)
    try:
        if key in readers:
            return readers[key](value)
    except (TypeError, ValueError, IndexError) as error:
        expected = {"labels": "names with commas between them", "size": "pixels, such as 224 or 224x192 (height first)"}
        raise _wrong(source, key, expected.get(key, "numbers"), value) from error
    if not isinstance(value, str):
        raise _wrong(source, key, "text", value)
    text = value.strip()
    upper = {"layout", "order"}
    return text.upper() if key in upper else text if key == "output" else text.lower()


def _labels(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return label_set_named(value).names
    if isinstance(value, Mapping):  # {"0": "angry", ...}, as Hugging Face writes it
        numbers = sorted(int(key) for key in value)
        if numbers != list(range(len(numbers))):
            raise UsageError(
                f"labels by number: expected the outputs, 0 to {len(numbers) - 1}, each once, found "
                f"{', '.join(map(str, numbers[:10]))}; correct them, or name them with --describe labels=A,B,C"
            )
        return tuple(str(value[key]) for key in sorted(value, key=int))
    return tuple(str(one) for one in value)


def _size(value: Any) -> tuple[int, int]:
    parts = (
        value.lower().split("x") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    )
    sides = [int(part) for part in parts]
    if len(sides) not in (1, 2):
        raise ValueError(value)
    return sides[0], sides[-1]


def _floats(value: Any) -> tuple[float, ...]:
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    return tuple(float(part) for part in parts)


def _wrong(source: str, key: str, expected: str, found: Any = "none") -> UsageError:
    return UsageError(f"{source}: {key}: expected {expected}, found {printable(str(found))[:100]}")


def _in_words(shape: Sequence[str | int]) -> str:
    return f"({', '.join(printable(str(side)) for side in shape)})"


def _numbers(values: Sequence[float]) -> str:
    return f"{values[0]:g}" if len(values) == 1 else f"({', '.join(f'{value:g}' for value in values)})"
