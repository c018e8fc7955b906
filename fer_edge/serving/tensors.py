"""Tensors as the Open Inference Protocol writes them: in JSON, and as bytes after it (the binary-tensor extension)."""

import base64
import binascii
import math
import struct
import types
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from fer_edge.text import printable

BYTES = "BYTES"
DATATYPES = {"uint8": "UINT8", "float16": "FP16", "float32": "FP32"}
"""numpy's name of a type to the protocol's, of what models here take and give."""
_DTYPES = {datatype: np.dtype(name).newbyteorder("<") for name, datatype in DATATYPES.items()}
MAX_DIMENSIONS = 8
_LENGTH = struct.Struct("<I")
"""Before each element of a BYTES tensor."""

_Byte = Annotated[int, Meta(ge=0, le=255)]
_LISTS: dict[str, Any] = {"UINT8": list[_Byte], "FP16": list[float], "FP32": list[float]}


class RequestError(Exception):
    """A request that is refused: ``status`` is the HTTP status; the text says what was expected and found."""

    def __init__(self, message: str, status: int = 400, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


def shown(value: object) -> str:
    """A client's own words in an error: one line, not long."""
    text = printable(str(value))
    return text if len(text) <= 80 else f"{text[:80]}..."


def num_elements(name: str, shape: list[int]) -> int:
    """Product of a shape. Raises RequestError for one of no dimensions, of too many, or with one below 1."""
    if not 1 <= len(shape) <= MAX_DIMENSIONS:
        raise RequestError(f"input '{shown(name)}': expected 1 to {MAX_DIMENSIONS} dimensions, found {len(shape)}")
    if min(shape) < 1:
        raise RequestError(f"input '{shown(name)}': expected dimensions of 1 or more, found {shown(shape)}")
    return math.prod(shape)


def from_binary(name: str, datatype: str, shape: list[int], data: memoryview) -> NDArray[Any] | list[bytes]:
    """A tensor, or the elements of a BYTES tensor, from its bytes. Raises RequestError where they do not fit."""
    expected = num_elements(name, shape)
    if datatype == BYTES:
        return _split(name, expected, data)
    dtype = _dtype(name, datatype)
    if len(data) != expected * dtype.itemsize:
        raise RequestError(
            f"input '{shown(name)}': expected {shown(expected * dtype.itemsize)} bytes for {datatype} {shown(shape)}, "
            f"found {len(data)}"
        )
    # A copy: writable, and it does not keep the whole request in memory. Not numpy's own, which would lend the
    # interpreter to the model's thread, and wait for it.
    array = np.frombuffer(bytearray(data), dtype).reshape(shape)
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def from_json(name: str, datatype: str, shape: list[int], data: msgspec.Raw) -> NDArray[Any] | list[bytes]:
    """As ``from_binary``, from JSON: flat in row-major order, or nested as the shape is. BYTES are base64.

    Raises RequestError.
    """
    expected = num_elements(name, shape)
    if datatype == BYTES:
        return [_base64(name, text) for text in _decoded(name, expected, list[str], data)]
    dtype = _dtype(name, datatype).newbyteorder("=")
    kind = _LISTS[datatype]
    if len(shape) > 1 and bytes(memoryview(data)[:64]).lstrip()[1:].lstrip().startswith(b"["):
        for _ in shape[1:]:
            kind = types.GenericAlias(list, (kind,))
        values = _decoded(name, shape[0], kind, data)
        try:
            array = np.array(values, dtype)
        except ValueError as error:
            raise RequestError(
                f"input '{shown(name)}': expected data of shape {shown(shape)}, found another"
            ) from error
        if array.shape != tuple(shape):
            raise RequestError(
                f"input '{shown(name)}': expected data of shape {shown(shape)}, found {shown(list(array.shape))}"
            )
        return array
    with np.errstate(over="ignore"):  # what a float of the type cannot hold is refused as infinite
        return np.array(_decoded(name, expected, kind, data), dtype).reshape(shape)


def to_binary(values: NDArray[Any] | list[bytes]) -> bytes:
    """The bytes of a tensor (little-endian, row-major), or of the elements of a BYTES tensor with their lengths."""
    if isinstance(values, list):
        return b"".join(_LENGTH.pack(len(one)) + one for one in values)
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def to_json(values: NDArray[Any] | list[bytes]) -> list[Any]:
    """A tensor's values in row-major order. A float32 comes back from its JSON bit for bit."""
    if isinstance(values, list):
        return [one.decode() for one in values]
    flat: list[Any] = values.reshape(-1).tolist()
    return flat


def _dtype(name: str, datatype: str) -> np.dtype[Any]:
    dtype = _DTYPES.get(datatype)
    if dtype is None:
        raise RequestError(
            f"input '{shown(name)}': expected a datatype of {', '.join((*_DTYPES, BYTES))}, found '{shown(datatype)}'"
        )
    return dtype


def _split(name: str, expected: int, data: memoryview) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    while at < len(data) and len(found) < expected:
        if len(data) - at < _LENGTH.size:
            break
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if length > len(data) - at:
            raise RequestError(
                f"input '{shown(name)}': expected an element of {length} bytes, found {len(data) - at} left"
            )
        found.append(bytes(data[at : at + length]))
        at += length
    if len(found) != expected or at != len(data):
        raise RequestError(
            f"input '{shown(name)}': expected {shown(expected)} elements in {len(data)} bytes, each with its length "
            f"before it, found {len(found)} in the first {at}"
        )
    return found


def _base64(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"input '{shown(name)}': expected BYTES in JSON as base64, found other text") from error


def _decoded(name: str, expected: int, kind: Any, data: msgspec.Raw) -> Any:
    try:
        values = msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise RequestError(f"input '{shown(name)}': data cannot be read: {shown(error)}") from error
    if len(values) != expected:
        raise RequestError(f"input '{shown(name)}': expected {shown(expected)} values, found {len(values)}")
    return values
