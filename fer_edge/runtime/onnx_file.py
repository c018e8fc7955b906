"""Reads what must be known about an ONNX file before onnxruntime sees it: metadata, opset, operators, outside data.

An ONNX file is one protobuf message. Walking its fields takes a page of standard library and no ``onnx`` package; field
numbers are those of onnx/onnx.proto, wire types those of the protobuf encoding guide
(https://protobuf.dev/programming-guides/encoding/).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from fer_edge.errors import ModelError

MAX_NODES = 2_500
"""Of a file that is not trusted. The largest network of image classification has some 1,500, onnxruntime's optimiser
takes five seconds for a chain of so many and time that grows with their square."""
MAX_FIELDS = 100_000
"""Of all messages that are walked; the largest networks have some 60,000."""
MAX_VALUE_BYTES = 4_096
"""Of the description (name, type, shape) of one value."""

_VARINT, _FIXED_64, _LENGTH_DELIMITED, _FIXED_32 = 0, 1, 2, 5
_MAX_NESTED_GRAPHS = 16

_EXTERNAL = 1  # TensorProto.DataLocation


class OnnxValue(NamedTuple):
    """An input or output of the graph."""

    name: str
    element_type: int
    """ONNX's number: 1 is float32."""
    shape: tuple[str | int, ...] | None
    """A name, or "?", where a dimension may vary; None where the file does not say."""


@dataclass
class OnnxFile:
    """What the walk found."""

    ir_version: int | None = None
    opset: int | None = None
    """Of the default domain."""
    metadata: list[tuple[str, str]] = field(default_factory=list)
    """``metadata_props`` in file order; a list, because a hostile file may repeat a key."""
    operators: Counter[str] = field(default_factory=Counter)
    """Operator name (with its domain unless it is ONNX's own) to the number of nodes, nested graphs included."""
    external_tensors: list[str] = field(default_factory=list)
    """Tensors whose values lie in another file."""
    functions: int = 0
    """Operators that the file itself defines."""
    inputs: list[OnnxValue] = field(default_factory=list)
    """Of the main graph; in files of old IR versions its weights, too (see ``initialisers``)."""
    outputs: list[OnnxValue] = field(default_factory=list)
    initialisers: set[str] = field(default_factory=set)
    """Names of the main graph's weights."""

    def count(self, domain: str, operator: str) -> None:
        """One node more."""
        self.operators[operator if domain in ("", "ai.onnx") else f"{domain}.{operator}"] += 1


class TooLargeError(ValueError):
    """More of something than any model of this project's kind has."""


def read_onnx(data: bytes, name: str, *, bounded: bool = True) -> OnnxFile:
    """Walk the protobuf message ``data``. Raises ModelError, and nothing else, when it is not an ONNX model.

    It is refused, too, where it has more nodes, fields or longer descriptions than the bounds above, unless ``bounded``
    is off: parsers, optimisers and this walk itself would take minutes for what a few megabytes can hold.
    """
    try:
        found = _Walk(bounded).model(memoryview(data))
    except TooLargeError as error:
        raise too_large(name, error) from error
    except ValueError as error:
        raise ModelError(f"{name}: expected an ONNX model, found other bytes ({error})") from error
    if found.ir_version is None or not found.operators:
        raise ModelError(f"{name}: expected an ONNX model, found other bytes (no IR version or no operators)")
    return found


def too_large(name: str, error: TooLargeError) -> ModelError:
    """The refusal of a file that is more than a model of this project's kind, and the way out."""
    return ModelError(
        f"{name}: expected {error}; if you trust where it is from, open it with --trust (in Python: trust=True)"
    )


class _Walk:
    """Through one file's messages, by the field numbers of each."""

    def __init__(self, bounded: bool) -> None:
        self._bounded = bounded
        self._fields_left = MAX_FIELDS
        self._nodes_left = MAX_NODES
        self._found = OnnxFile()

    def model(self, message: memoryview) -> OnnxFile:
        found = self._found
        for number, value in self._fields(message):
            if number == 1 and isinstance(value, int):
                found.ir_version = value
            elif isinstance(value, int):
                continue
            elif number == 7:
                self._graph(value, depth=0)
            elif number == 8:
                self._opset(value)
            elif number == 14:
                entry = dict(self._fields(value))
                found.metadata.append((_text(entry.get(1)), _text(entry.get(2))))
            elif number == 20:  # TrainingInfoProto: two graphs
                for inner, part in self._fields(value):
                    if inner in (1, 2):
                        self._graph(_message(part), depth=0)
            elif number == 25:
                found.functions += 1
                self._function(value)
        return found

    def _function(self, function: memoryview) -> None:
        """Its nodes and default attributes."""
        for number, value in self._fields(function):
            if number == 7:
                self._node(_message(value), depth=0)
            elif number == 11:
                self._attribute(_message(value), depth=0)

    def _graph(self, graph: memoryview, depth: int) -> None:
        if depth > _MAX_NESTED_GRAPHS:
            raise ValueError("graphs nested too deeply")
        for number, value in self._fields(graph):
            if number == 1:
                self._node(_message(value), depth)
            elif number == 5:
                name = self._tensor(_message(value))
                if depth == 0:
                    self._found.initialisers.add(name)
            elif number == 15:
                self._sparse_tensor(_message(value))
            elif number in (11, 12, 13):
                if self._bounded and len(_message(value)) > MAX_VALUE_BYTES:
                    raise TooLargeError(
                        f"values described in at most {MAX_VALUE_BYTES} bytes, found a longer description"
                    )
                if depth == 0 and number != 13:
                    (self._found.inputs if number == 11 else self._found.outputs).append(_value(_message(value)))

    def _node(self, node: memoryview, depth: int) -> None:
        self._nodes_left -= 1
        if self._bounded and self._nodes_left < 0:
            raise TooLargeError(f"a network of at most {MAX_NODES:,} nodes, found more")
        operator, domain = "", ""
        for number, value in self._fields(node):
            if number == 4:
                operator = _text(value)
            elif number == 7:
                domain = _text(value)
            elif number == 5:
                self._attribute(_message(value), depth)
        self._found.count(domain, operator)

    def _attribute(self, attribute: memoryview, depth: int) -> None:
        for number, value in self._fields(attribute):
            if number in (5, 10):
                self._tensor(_message(value))
            elif number in (6, 11):
                self._graph(_message(value), depth + 1)
            elif number in (22, 23):
                self._sparse_tensor(_message(value))

    def _tensor(self, tensor: memoryview) -> str:
        """Its name."""
        name, is_external = "", False
        for number, value in self._fields(tensor):
            if number == 8:
                name = _text(value)
            elif number == 13:
                is_external = True
            elif number == 14:
                is_external = is_external or value == _EXTERNAL
        if is_external:
            self._found.external_tensors.append(name)
        return name

    def _sparse_tensor(self, tensor: memoryview) -> None:
        for number, value in self._fields(tensor):
            if number in (1, 2):
                self._tensor(_message(value))

    def _opset(self, opset: memoryview) -> None:
        entry = dict(self._fields(opset))
        version = entry.get(2)
        if _text(entry.get(1)) in ("", "ai.onnx") and isinstance(version, int):
            self._found.opset = version

    def _fields(self, message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        for one in _fields(message):
            self._fields_left -= 1
            if self._bounded and self._fields_left < 0:
                raise TooLargeError(f"a graph of at most {MAX_FIELDS:,} fields, found more")
            yield one


def _value(message: memoryview) -> OnnxValue:
    """ValueInfoProto: the name, and of a tensor its element type and shape."""
    entry = dict(_fields(message))
    kind = dict(_fields(_message(entry[2]))) if 2 in entry else {}
    tensor = dict(_fields(_message(kind[1]))) if 1 in kind else {}
    element_type = tensor.get(1, 0)
    if 2 not in tensor:
        shape = None
    else:
        dimensions = [dict(_fields(_message(one))) for number, one in _fields(_message(tensor[2])) if number == 1]
        sizes = [dimension.get(1, 0) for dimension in dimensions]
        shape = tuple(
            size if isinstance(size, int) and size else _text(dimension.get(2)) or "?"
            for size, dimension in zip(sizes, dimensions, strict=True)
        )
    return OnnxValue(_text(entry.get(1)), element_type if isinstance(element_type, int) else 0, shape)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field: an integer, or the bytes of a length-delimited one. Raises ValueError."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("field number 0")
        if wire_type == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire_type == _LENGTH_DELIMITED:
            size, at = _varint(message, at)
        elif wire_type in (_FIXED_32, _FIXED_64):
            size = 4 if wire_type == _FIXED_32 else 8
        else:
            raise ValueError(f"wire type {wire_type}")
        if size > len(message) - at:
            raise ValueError("a field reaches beyond the end")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7
    raise ValueError("a number without an end")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message belongs")
    return value


def _text(value: int | memoryview | None) -> str:
    """A string field; absent means empty, as everywhere in protobuf. UnicodeDecodeError is a ValueError."""
    return "" if value is None else str(bytes(_message(value)), "utf-8")
