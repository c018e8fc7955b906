"""Requests and answers of the Open Inference Protocol v2, by its REST binding and its extension for binary tensors.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md and, for binary
tensors and classification, docs/protocol/ of https://github.com/triton-inference-server/server.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from numpy.typing import NDArray

from fer_edge.serving.tensors import BYTES, DATATYPES, RequestError, from_binary, from_json, shown, to_binary, to_json

HEADER_LENGTH = b"inference-header-content-length"
"""Header of a body that is not JSON alone: the bytes of JSON at its start."""

_Parameters = dict[str, bool | int | float | str | None]
_UNSUPPORTED = ("shared_memory_region", "sequence_id", "priority", "timeout")
"""Parameters that change what is computed or where it lies: refused rather than ignored, unless they are 0."""


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: _Parameters = {}
    data: msgspec.Raw = msgspec.Raw()


class _Output(msgspec.Struct):
    name: str
    parameters: _Parameters = {}


class _Body(msgspec.Struct):
    inputs: Annotated[list[_Input], Meta(min_length=1, max_length=16)]
    id: str | None = None
    parameters: _Parameters = {}
    outputs: Annotated[list[_Output], Meta(max_length=64)] | None = None


_decoder = msgspec.json.Decoder(_Body)


@dataclass(frozen=True)
class Tensor:
    """An input or output with its values: an array, or the elements of a BYTES tensor in row-major order."""

    name: str
    datatype: str
    shape: list[int]
    values: "NDArray[Any] | list[bytes]"


@dataclass(frozen=True)
class RequestedOutput:
    """An output that a client asks for."""

    name: str
    is_binary: bool
    classes: int = 0
    """Above 0: instead of the values so many of the highest, each as ``VALUE:INDEX:LABEL``."""


@dataclass(frozen=True)
class InferRequest:
    """What a client asks."""

    id: str | None
    inputs: list[Tensor]
    outputs: list[RequestedOutput] | None
    """None: all that the model has."""
    is_binary: bool
    """Whether outputs come as bytes where the request does not say otherwise of one."""


def parse_request(body: bytes, json_length: str | None) -> InferRequest:
    """The request in a body; ``json_length`` is the header HEADER_LENGTH. Raises RequestError for any other."""
    size = _json_size(body, json_length)
    view = memoryview(body)
    try:
        read = _decoder.decode(view[:size])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise RequestError(f"expected an inference request in JSON, found another: {shown(error)}") from error
    _refuse_unsupported(read.parameters)
    inputs, at = [], size
    for one in read.inputs:
        _refuse_unsupported(one.parameters)
        num_bytes = one.parameters.get("binary_data_size")
        if num_bytes is None:
            if not len(one.data):
                raise RequestError(f"input '{shown(one.name)}': expected data or binary_data_size, found neither")
            values = from_json(one.name, one.datatype, one.shape, one.data)
        else:
            if isinstance(num_bytes, bool) or not isinstance(num_bytes, int) or not 0 <= num_bytes <= len(body) - at:
                raise RequestError(
                    f"input '{shown(one.name)}': expected binary_data_size from 0 to the {len(body) - at} bytes left, "
                    f"found {shown(num_bytes)}"
                )
            if len(one.data):
                raise RequestError(f"input '{shown(one.name)}': expected data or binary_data_size, found both")
            values = from_binary(one.name, one.datatype, one.shape, view[at : at + num_bytes])
            at += num_bytes
        inputs.append(Tensor(one.name, one.datatype, one.shape, values))
    if at != len(body):
        raise RequestError(f"expected {at} bytes by the sizes of the inputs, found {len(body)}")
    is_binary = _flag(read.parameters, "binary_data_output", default=False)
    outputs = None if not read.outputs else [_requested(one, is_binary) for one in read.outputs]
    return InferRequest(read.id, inputs, outputs, is_binary)


def render_answer(
    model: str, version: str, request_id: str | None, outputs: list[tuple[Tensor, bool]]
) -> tuple[bytes, int | None]:
    """The body of an answer, and the bytes of JSON at its start where bytes follow. ``outputs``: each with whether it
    comes as bytes."""
    described: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for tensor, is_binary in outputs:
        one: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        if is_binary:
            parts.append(to_binary(tensor.values))
            one["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            one["data"] = to_json(tensor.values)
        described.append(one)
    answer: dict[str, Any] = {"model_name": model, "model_version": version}
    if request_id is not None:
        answer["id"] = request_id
    answer["outputs"] = described
    head = msgspec.json.encode(answer)
    return (b"".join((head, *parts)), len(head)) if parts else (head, None)


def datatype_of(dtype: str) -> str:
    """The protocol's name of a numpy type of a model's."""
    return DATATYPES[dtype]


def bytes_tensor(name: str, shape: list[int], texts: list[str]) -> Tensor:
    """A BYTES tensor of texts."""
    return Tensor(name, BYTES, shape, [text.encode("utf-8", "replace") for text in texts])


def _json_size(body: bytes, json_length: str | None) -> int:
    if json_length is None:
        return len(body)
    digits = json_length.strip()
    # ASCII digits alone: int() would take +5, 1_000 and digits of other scripts.
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 12 or int(digits) > len(body):
        raise RequestError(
            f"Inference-Header-Content-Length: expected 0 to {len(body)}, the bytes of the body, "
            f"found '{shown(json_length)}'"
        )
    return int(digits)


def _requested(one: _Output, is_binary: bool) -> RequestedOutput:
    _refuse_unsupported(one.parameters)
    classes = one.parameters.get("classification") or 0
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 0:
        raise RequestError(
            f"output '{shown(one.name)}': expected classification as a number of classes, found {shown(classes)}"
        )
    return RequestedOutput(one.name, _flag(one.parameters, "binary_data", default=is_binary), classes)


def _flag(parameters: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise RequestError(f"parameter {name}: expected true or false, found {shown(value)}")
    return value


def _refuse_unsupported(parameters: Mapping[str, Any]) -> None:
    for name in _UNSUPPORTED:
        if parameters.get(name):
            raise RequestError(f"parameter {name}: expected none, because this server has no such extension, found one")
