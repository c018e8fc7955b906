"""Reads what must be known about an ONNX file before onnxruntime sees it: metadata, opset, operators, outside data.

An ONNX file is one protobuf message. Walking its fields takes a page of standard library and no ``onnx`` package; field
numbers are those of onnx/onnx.proto, wire types those of the protobuf encoding guide
(https://protobuf.dev/programming-guides/encoding/).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from fer_edge.errors import ModelError

_VARINT, _FIXED_64, _LENGTH_DELIMITED, _FIXED_32 = 0, 1, 2, 5
_MAX_NESTED_GRAPHS = 16

_EXTERNAL = 1  # TensorProto.DataLocation


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


def read_onnx(data: bytes, name: str) -> OnnxFile:
    """Walk the protobuf message ``data``. Raises ModelError, and nothing else, when it is not an ONNX model."""
    found = OnnxFile()
    try:
        for number, value in _fields(memoryview(data)):
            if number == 1 and isinstance(value, int):
                found.ir_version = value
            elif isinstance(value, int):
                continue
            elif number == 7:
                _walk_graph(value, found, depth=0)
            elif number == 8:
                _read_opset(value, found)
            elif number == 14:
                entry = dict(_fields(value))
                found.metadata.append((_text(entry.get(1)), _text(entry.get(2))))
            elif number == 25:  # FunctionProto: its nodes and default attributes
                for inner, part in _fields(value):
                    if inner == 7:
                        _walk_node(_message(part), found, depth=0)
                    elif inner == 11:
                        _walk_attribute(_message(part), found, depth=0)
    except ValueError as error:
        raise ModelError(f"{name}: expected an ONNX model, found other bytes ({error})") from error
    if found.ir_version is None or not found.operators:
        raise ModelError(f"{name}: expected an ONNX model, found other bytes (no IR version or no operators)")
    return found


def _walk_graph(graph: memoryview, found: OnnxFile, depth: int) -> None:
    if depth > _MAX_NESTED_GRAPHS:
        raise ValueError("graphs nested too deeply")
    for number, value in _fields(graph):
        if number == 1:
            _walk_node(_message(value), found, depth)
        elif number == 5:
            _read_tensor(_message(value), found)
        elif number == 15:
            _read_sparse_tensor(_message(value), found)


def _walk_node(node: memoryview, found: OnnxFile, depth: int) -> None:
    operator, domain = "", ""
    for number, value in _fields(node):
        if number == 4:
            operator = _text(value)
        elif number == 7:
            domain = _text(value)
        elif number == 5:
            _walk_attribute(_message(value), found, depth)
    found.operators[operator if domain in ("", "ai.onnx") else f"{domain}.{operator}"] += 1


def _walk_attribute(attribute: memoryview, found: OnnxFile, depth: int) -> None:
    for number, value in _fields(attribute):
        if number in (5, 10):
            _read_tensor(_message(value), found)
        elif number in (6, 11):
            _walk_graph(_message(value), found, depth + 1)
        elif number in (22, 23):
            _read_sparse_tensor(_message(value), found)


def _read_tensor(tensor: memoryview, found: OnnxFile) -> None:
    name, is_external = "", False
    for number, value in _fields(tensor):
        if number == 8:
            name = _text(value)
        elif number == 13:
            is_external = True
        elif number == 14:
            is_external = is_external or value == _EXTERNAL
    if is_external:
        found.external_tensors.append(name)


def _read_sparse_tensor(tensor: memoryview, found: OnnxFile) -> None:
    for number, value in _fields(tensor):
        if number in (1, 2):
            _read_tensor(_message(value), found)


def _read_opset(opset: memoryview, found: OnnxFile) -> None:
    entry = dict(_fields(opset))
    version = entry.get(2)
    if _text(entry.get(1)) in ("", "ai.onnx") and isinstance(version, int):
        found.opset = version


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
