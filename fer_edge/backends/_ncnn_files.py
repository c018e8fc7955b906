"""ncnn's two files, read without ncnn: a net in text (.param) and its weights (.bin).

ncnn takes what its text says for granted: of weights that are too few, or that belong to another number of channels, it
reads the memory behind them. So every layer is of a known kind here, with settings that are known, and the shapes of
all values and the size of all weights are worked out before ncnn sees a byte.

Source of kinds, settings and tags of weights: https://github.com/Tencent/ncnn/wiki/operators and its modelbin.cpp.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_edge.errors import ModelError
from fer_edge.text import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Shape = tuple[int, ...]
"""(channels, height, width), or (values,)."""

MAGIC = "7767517"
_MAX_TEXT_BYTES = 2**20
_MAX_LAYERS = 2500
_MAX_VALUES = 2**26
"""Of one blob: far above those of an image classifier."""
_MAX_SETTING = 2**28
_MAX_NAME = 200
"""ncnn reads names into 256 characters."""
_SETTING = re.compile(r"(\d{1,2})=(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)")

_FLOAT32, _FLOAT16 = bytes(4), b"\x47\x6b\x30\x01"
"""What stands before weights."""

_CONVOLUTION = frozenset((*range(7), 9, *range(11, 17)))
_SETTINGS: Mapping[str, frozenset[int]] = {
    "Input": frozenset(),
    "BinaryOp": frozenset((0, 1, 2)),
    "Concat": frozenset((0,)),
    "Convolution": _CONVOLUTION,
    "ConvolutionDepthWise": _CONVOLUTION | {7},
    "InnerProduct": frozenset((0, 1, 2, 9)),
    "Pooling": frozenset((0, 1, 2, 3, 4, 5, 7, 8, *range(11, 16), 18)),
    "Flatten": frozenset(),
    "Softmax": frozenset((0, 1)),
    "Split": frozenset(),
    "ReLU": frozenset((0,)),
    "HardSwish": frozenset((0, 1)),
    "HardSigmoid": frozenset((0, 1)),
    "Sigmoid": frozenset(),
    "Swish": frozenset(),
    "Clip": frozenset((0, 1)),
    "Dropout": frozenset((0,)),
}
"""Every kind of layer that is read, and its settings by their numbers."""
WEIGHTED = ("Convolution", "ConvolutionDepthWise", "InnerProduct")
_RELU = 1


@dataclass(frozen=True)
class Layer:
    """One line of a .param file."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: Mapping[int, str]

    def number(self, key: int, otherwise: int = 0) -> int:
        """A setting that is a whole number. Raises ValueError for another."""
        found = int(self.settings.get(key, otherwise))
        if not -_MAX_SETTING <= found <= _MAX_SETTING:
            raise ValueError(f"the setting {key} of {self.name} is {found}")
        return found


class LayerWeights(NamedTuple):
    """Of one layer."""

    values: "NDArray[np.floating]"
    """(out, in / groups, height, width) of a convolution, (out, in) of a matrix product; float32 or float16."""
    bias: "NDArray[np.float32] | None"


def read_param(data: bytes, where: Path) -> list[Layer]:
    """The layers of a .param file in their order. Raises ModelError for another file, and for layers not known."""
    try:
        return _layers(data)
    except (ValueError, IndexError) as error:
        reason = printable(str(error))[:300]
        raise ModelError(
            f"{where}: expected an ncnn net of the layers that fer_edge writes, found another file ({reason}); "
            "export it again"
        ) from error


def write_param(layers: Sequence[Layer]) -> bytes:
    """The text of ``layers``."""
    blobs = sum(len(layer.outputs) for layer in layers)
    lines = [MAGIC, f"{len(layers)} {blobs}"]
    for layer in layers:
        settings = [f"{key}={value}" for key, value in layer.settings.items()]
        counts = [str(len(layer.inputs)), str(len(layer.outputs))]
        lines.append(" ".join([layer.kind, layer.name, *counts, *layer.inputs, *layer.outputs, *settings]))
    return ("\n".join(lines) + "\n").encode("ascii")


def _layers(data: bytes) -> list[Layer]:
    if len(data) > _MAX_TEXT_BYTES:
        raise ValueError(f"a text of {len(data)} bytes")
    lines = data.decode("ascii").split("\n")
    if lines[0] != MAGIC:
        raise ValueError(f"its first line is {lines[0][:40]!r}")
    count, blobs = map(int, lines[1].split())
    found = [_layer(line) for line in lines[2:] if line.strip()]
    known: set[str] = set()
    for layer in found:
        if not known.issuperset(layer.inputs) or known.intersection(layer.outputs):
            raise ValueError(f"{layer.name} takes what no layer before it gives, or gives what one gave")
        known.update(layer.outputs)
    if len(found) != count or len(known) != blobs or len(found) > _MAX_LAYERS:
        raise ValueError(f"{len(found)} layers and {len(known)} blobs where it says {count} and {blobs}")
    if [layer.kind for layer in found].count("Input") != 1 or found[0].kind != "Input":
        raise ValueError("it does not begin with its one input")
    return found


def _layer(line: str) -> Layer:
    kind, name, num_inputs, num_outputs, *rest = line.split()
    if kind not in _SETTINGS:
        raise ValueError(f"a layer of the kind {kind}")
    inputs, outputs = int(num_inputs), int(num_outputs)
    if min(inputs, outputs) < 0 or len(rest) < inputs + outputs:
        raise ValueError(f"{name} has fewer blobs than it says")
    blobs, words = rest[: inputs + outputs], rest[inputs + outputs :]
    if max(map(len, (name, *blobs))) > _MAX_NAME:
        raise ValueError("a name is too long")
    settings: dict[int, str] = {}
    for word in words:
        match = _SETTING.fullmatch(word)
        if match is None or int(match[1]) not in _SETTINGS[kind] or int(match[1]) in settings:
            raise ValueError(f"{name} has the setting {word}")
        settings[int(match[1])] = match[2]
    return Layer(kind, name, tuple(blobs[:inputs]), tuple(blobs[inputs:]), settings)


def read_shapes(layers: Iterable[Layer], image_size: int, where: Path) -> dict[str, Shape]:
    """The shape of every blob, for one grey face. Raises ModelError where the layers do not fit together."""
    shapes: dict[str, Shape] = {}
    for layer in layers:
        try:
            taken = [shapes[name] for name in layer.inputs]
            given = (1, image_size, image_size) if layer.kind == "Input" else _RULES[layer.kind](layer, taken)
            if layer.kind != "Split" and len(layer.outputs) != 1:
                raise ValueError("it gives several values")
            if min(given) < 1 or prod(given) > _MAX_VALUES:
                raise ValueError(f"it gives {given}")
        except (ValueError, ZeroDivisionError) as error:
            raise ModelError(
                f"{where}: expected layers that fit together, found {printable(layer.name)}: {printable(str(error))}; "
                "export it again"
            ) from error
        shapes.update(dict.fromkeys(layer.outputs, given))
    return shapes


def _one(layer: Layer, taken: Sequence[Shape], dimensions: int = 0) -> Shape:
    if len(taken) != 1 or (dimensions and len(taken[0]) != dimensions):
        raise ValueError(f"it takes {taken}")
    return taken[0]


def _same(layer: Layer, taken: Sequence[Shape]) -> Shape:
    return _one(layer, taken)


def _activated(layer: Layer) -> None:
    if layer.number(9) not in (0, _RELU):
        raise ValueError(f"its activation is {layer.number(9)}")


def _binary(layer: Layer, taken: Sequence[Shape]) -> Shape:
    if layer.number(1):
        return _one(layer, taken)  # with a number
    if len(taken) != 2:
        raise ValueError(f"it takes {taken}")
    small, large = sorted(taken, key=prod)
    if small != large and small not in (large[:1], (large[0], *(1 for _ in large[1:]))):
        raise ValueError(f"it takes {taken}")
    return large


def _concatenated(layer: Layer, taken: Sequence[Shape]) -> Shape:
    if layer.number(0) != 0 or not taken or len({shape[1:] for shape in taken}) != 1:
        raise ValueError(f"it takes {taken}")
    return (sum(shape[0] for shape in taken), *taken[0][1:])


def _kernel(layer: Layer) -> tuple[Shape, Shape, Shape, Shape]:
    """(Height, width) of kernel, dilation and stride; padding as (top, bottom, left, right)."""

    def pair(of_width: int, of_height: int, otherwise: int) -> Shape:
        width = layer.number(of_width, otherwise)
        return layer.number(of_height, width), width

    left = layer.number(4)
    right, top = layer.number(15, left), layer.number(14, left)
    kernel, dilation, stride = pair(1, 11, 0), pair(2, 12, 1), pair(3, 13, 1)
    padding = (top, layer.number(16, top), left, right)
    if min(*kernel, *dilation, *stride) < 1 or min(padding) < 0:
        raise ValueError(f"kernel {kernel}, dilation {dilation}, stride {stride}, padding {padding}")
    return kernel, dilation, stride, padding


def weights_shape(layer: Layer) -> Shape:
    """(out, in / groups, height, width) of a convolution, (out, in) of a matrix product. Raises ValueError."""
    out = layer.number(0)
    inner: Shape
    if layer.kind == "InnerProduct":
        count, inner = layer.number(2), ()
    else:
        count, inner = layer.number(6), _kernel(layer)[0]
    rest = (out, *inner)
    if min(rest) < 1 or count < 1 or count % prod(rest):
        raise ValueError(f"{count} weights for {out} channels")
    return (out, count // prod(rest), *inner)


def _convolved(layer: Layer, taken: Sequence[Shape]) -> Shape:
    channels, *size = _one(layer, taken, 3)
    _activated(layer)
    kernel, dilation, stride, (top, bottom, left, right) = _kernel(layer)
    out, per_group, *_ = weights_shape(layer)
    groups = layer.number(7, 1)
    if groups < 1 or channels != per_group * groups or out % groups:
        raise ValueError(f"its weights are for {per_group * groups} channels, it takes {channels}")
    padded = (size[0] + top + bottom, size[1] + left + right)
    spans = [(one - 1) * step + 1 for one, step in zip(kernel, dilation, strict=True)]
    if any(whole < span for whole, span in zip(padded, spans, strict=True)):
        raise ValueError(f"its kernel is larger than {padded}")
    return (out, *((whole - span) // step + 1 for whole, span, step in zip(padded, spans, stride, strict=True)))


def _multiplied(layer: Layer, taken: Sequence[Shape]) -> Shape:
    _activated(layer)
    out, values = weights_shape(layer)
    if prod(_one(layer, taken)) != values:
        raise ValueError(f"its weights are for {values} values, it takes {taken}")
    return (out,)


_FULL, _VALID = 0, 1
"""Of pooling: the last, partial window counts, or does not."""


def _pooled(layer: Layer, taken: Sequence[Shape]) -> Shape:
    channels, height, width = _one(layer, taken, 3)
    if layer.number(4):
        return (channels,)
    if layer.number(7):
        out_width = layer.number(8)
        return (channels, layer.number(18, out_width), out_width)
    # Its settings are numbered otherwise than a convolution's: stride 2, padding 3.
    kernel = (layer.number(11, layer.number(1)), layer.number(1))
    stride = (layer.number(12, layer.number(2, 1)), layer.number(2, 1))
    left = layer.number(3)
    top, right = layer.number(13, left), layer.number(14, left)
    bottom = layer.number(15, top)
    mode = layer.number(5)
    if min(*kernel, *stride) < 1 or min(left, top, right, bottom) < 0 or mode not in (_FULL, _VALID):
        raise ValueError(f"kernel {kernel}, stride {stride}, mode {mode}")
    sizes = []
    for whole, window, step in zip((height + top + bottom, width + left + right), kernel, stride, strict=True):
        if whole < window:
            raise ValueError(f"its window is larger than {whole}")
        over = step - 1 if mode == _FULL else 0
        sizes.append((whole - window + over) // step + 1)
    return (channels, *sizes)


_RULES: Mapping[str, Callable[[Layer, Sequence[Shape]], Shape]] = {
    **dict.fromkeys(_SETTINGS, _same),
    "BinaryOp": _binary,
    "Concat": _concatenated,
    "Convolution": _convolved,
    "ConvolutionDepthWise": _convolved,
    "InnerProduct": _multiplied,
    "Pooling": _pooled,
    "Flatten": lambda layer, taken: (prod(_one(layer, taken)),),
}


def read_weights(layers: Iterable[Layer], data: bytes, where: Path) -> dict[str, LayerWeights]:
    """The weights of each layer that has some, by its name. Raises ModelError where there are more or fewer than the
    layers say."""
    import numpy as np

    found: dict[str, LayerWeights] = {}
    place = 0

    def take(count: int) -> bytes:
        nonlocal place
        place += count
        if place > len(data):
            raise ModelError(f"{where}: expected at least {place} bytes, as the layers say, found {len(data)}")
        return data[place - count : place]

    for layer in layers:
        if layer.kind not in WEIGHTED:
            continue
        shape = weights_shape(layer)
        tag = take(len(_FLOAT32))
        if tag not in (_FLOAT32, _FLOAT16):
            raise ModelError(f"{where}: expected float32 or float16 weights of {layer.name}, found the tag {tag.hex()}")
        dtype: type[np.floating[Any]] = np.float32 if tag == _FLOAT32 else np.float16
        count = prod(shape)
        num_bytes = count * np.dtype(dtype).itemsize
        values = np.frombuffer(take(num_bytes + -num_bytes % 4), dtype, count).reshape(shape)
        bias = np.frombuffer(take(4 * shape[0]), np.float32) if layer.number(_bias_setting(layer)) else None
        found[layer.name] = LayerWeights(values, bias)
    if place != len(data):
        raise ModelError(f"{where}: expected {place} bytes, as the layers say, found {len(data)}; export it again")
    return found


def write_halved(layers: Iterable[Layer], weights: Mapping[str, LayerWeights]) -> bytes:
    """The weights as a .bin file, those of 32 bits rounded to 16; biases stay as they are, ncnn has no others."""
    import numpy as np

    parts = []
    for layer in layers:
        if layer.name in weights and layer.kind in WEIGHTED:
            values, bias = weights[layer.name]
            halved = values.astype(np.float16).tobytes()
            parts += [_FLOAT16, halved, bytes(-len(halved) % 4), b"" if bias is None else bias.tobytes()]
    return b"".join(parts)


def _bias_setting(layer: Layer) -> int:
    return 1 if layer.kind == "InnerProduct" else 5
