"""Bodies of requests: what is read, and the words with which the rest is refused."""

import json
import struct
from typing import Any

import numpy as np
import pytest

from fer_edge.serving.protocol import Tensor, bytes_tensor, parse_request, render_answer
from fer_edge.serving.tensors import RequestError


def body(*inputs: dict[str, Any], tail: bytes = b"", **more: Any) -> tuple[bytes, str]:
    head = json.dumps({"inputs": list(inputs), **more}).encode()
    return head + tail, str(len(head))


def pixels(shape: Any = (1, 2, 2, 1), **more: Any) -> dict[str, Any]:
    return {"name": "image", "datatype": "UINT8", "shape": list(shape), **more}


@pytest.mark.parametrize("data", [[1, 2, 3, 255], [[[[1], [2]], [[3], [255]]]]], ids=["flat", "nested"])
def test_json_tensors_are_flat_or_nested(data: Any) -> None:
    request = parse_request(body(pixels(data=data))[0], None)
    assert request.inputs[0].values.tolist() == [[[[1], [2]], [[3], [255]]]]
    assert request.outputs is None


def test_binary_tensors_follow_the_json_in_order() -> None:
    floats = np.array([[0.5, -1]], "<f4")
    raw = {"name": "own", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}
    text, size = body(
        pixels(parameters={"binary_data_size": 4}), raw, tail=bytes([9, 8, 7, 6]) + floats.tobytes(), id="a"
    )
    request = parse_request(text, size)
    assert request.id == "a"
    assert request.inputs[0].values.reshape(-1).tolist() == [9, 8, 7, 6]
    assert request.inputs[1].values.tolist() == [[0.5, -1]]
    assert request.inputs[0].values.flags.writeable


def test_elements_of_bytes_come_with_their_lengths_or_as_base64() -> None:
    tail = struct.pack("<I", 2) + b"ab" + struct.pack("<I", 0)
    files = {"name": "image", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(tail)}}
    assert parse_request(*body(files, tail=tail)).inputs[0].values == [b"ab", b""]
    files = {"name": "image", "datatype": "BYTES", "shape": [1], "data": ["/9j/"]}
    assert parse_request(body(files)[0], None).inputs[0].values == [b"\xff\xd8\xff"]


def test_outputs_say_how_they_come() -> None:
    outputs = [
        {"name": "probabilities", "parameters": {"classification": 2}},
        {"name": "label", "parameters": {"binary_data": False}},
    ]
    request = parse_request(
        body(pixels(data=[0] * 4), outputs=outputs, parameters={"binary_data_output": True})[0], None
    )
    assert [(one.name, one.is_binary, one.classes) for one in request.outputs or ()] == [
        ("probabilities", True, 2),
        ("label", False, 0),
    ]


def test_a_float32_survives_json_bit_for_bit() -> None:
    values = np.random.default_rng(1).normal(size=(5, 7)).astype(np.float32)
    answer, size = render_answer("m", "1", None, [(Tensor("logits", "FP32", [5, 7], values), False)])
    assert size is None
    found = np.array(json.loads(answer)["outputs"][0]["data"], np.float32).reshape(5, 7)
    assert found.tobytes() == values.tobytes()


def test_bytes_of_an_answer_follow_its_json() -> None:
    values = np.array([[1, 2]], np.float32)
    outputs = [(Tensor("logits", "FP32", [1, 2], values), True), (bytes_tensor("label", [1], ["ä"]), True)]
    answer, size = render_answer("m", "1", "x", outputs)
    head = json.loads(answer[:size])
    assert [one["parameters"]["binary_data_size"] for one in head["outputs"]] == [8, 6]
    assert answer[size:] == values.astype("<f4").tobytes() + struct.pack("<I", 2) + "ä".encode()


DEEP = b"[" * 100_000
HUGE = [2**40, 2**40, 2**40, 3]


def in_bytes(size: Any, shape: Any = (1, 2, 2, 1), *, tail: int = 4, **more: Any) -> tuple[bytes, str]:
    return body({**pixels(shape, parameters={"binary_data_size": size}), **more}, tail=b"\xff" * tail)


def in_json(data: Any, shape: Any = (1, 2, 2, 1), **more: Any) -> tuple[bytes, None]:
    return body({**pixels(shape, data=data), **more})[0], None


def asking(name: str, value: Any) -> tuple[bytes, None]:
    return body(pixels(data=[0] * 4), outputs=[{"name": "logits", "parameters": {name: value}}])[0], None


JSON = "expected an inference request in JSON"
BAD = {
    "not JSON": (b"GIF89a", None, JSON),
    "a list": (b"[]", None, JSON),
    "no inputs": (b"{}", None, "inputs"),
    "empty inputs": (b'{"inputs":[]}', None, "inputs"),
    "deep": (DEEP, None, JSON),
    "deep data": (b'{"inputs":[{"name":"image","shape":[1],"datatype":"UINT8","data":' + DEEP, None, JSON),
    "deep in what is not read": (b'{"more":' + DEEP + b"]" * 100_000 + b',"inputs":[]}', None, JSON),
    "no UTF-8": (b'{"inputs":[{"name":"\xff","shape":[1],"datatype":"UINT8"}]}', None, JSON),
    "too few values": (*in_json([1]), "expected 4 values, found 1"),
    "values above 255": (*in_json([1, 2, 3, 256]), "data cannot be read"),
    "negative values": (*in_json([1, 2, 3, -1]), "data cannot be read"),
    "halves of pixels": (*in_json([1, 2, 3, 0.5]), "data cannot be read"),
    "texts": (*in_json(["a"] * 4), "data cannot be read"),
    "ragged": (*in_json([[[[1], [2]], [[3]]]]), "expected data of shape"),
    "nested otherwise": (*in_json([[[[1, 2], [3, 4]]]]), "expected data of shape"),
    "shape of nothing": (*in_json([], ()), "expected 1 to 8 dimensions"),
    "nine dimensions": (*in_json([1], [1] * 9), "expected 1 to 8 dimensions"),
    "a negative dimension": (*in_json([0] * 4, [-1, 2, 2, 1]), "dimensions of 1 or more"),
    "no images": (*in_json([], [0, 2, 2, 1]), "dimensions of 1 or more"),
    "a huge shape": (*in_json([0], HUGE), "values, found 1"),
    "dimension of 400 digits": (*in_json([0], [10**400]), "expected"),
    "a datatype that is none": (*in_json([0], [1], datatype="UINT128"), "datatype of UINT8, FP16, FP32, BYTES"),
    "no base64": (*in_json(["*"], [1], datatype="BYTES"), "base64"),
    "sizes that do not add up": (*in_bytes(4, tail=5), "by the sizes of the inputs"),
    "size beyond the body": (*in_bytes(40), "the 4 bytes left"),
    "a negative size": (*in_bytes(-4), "binary_data_size"),
    "size as text": (*in_bytes("4"), "binary_data_size"),
    "size true": (*in_bytes(True, (1,), tail=1), "binary_data_size"),
    "neither way": (body(pixels())[0], None, "found neither"),
    "both ways": (*in_bytes(4, data=[0] * 4), "found both"),
    "bytes that do not fit": (*in_bytes(4, (1, 2, 2, 3)), "expected 12 bytes"),
    "huge shape of bytes": (*in_bytes(4, HUGE), "bytes for UINT8"),
    "an element too long": (*in_bytes(4, [1], datatype="BYTES"), "an element of 4294967295 bytes"),
    "elements that are not there": (*in_bytes(0, [9], tail=0, datatype="BYTES"), "expected 9 elements"),
    "header beyond the body": (b"{}", "3", "Inference-Header-Content-Length"),
    "header below 0": (b"{}", "-1", "Inference-Header-Content-Length"),
    "header of letters": (b"{}", "two", "Inference-Header-Content-Length"),
    "header of many digits": (b"{}", "9" * 5000, "Inference-Header-Content-Length"),
    "header in other digits": (b"{}", "١", "Inference-Header-Content-Length"),
    "shared memory": (body(pixels(parameters={"shared_memory_region": "a"}))[0], None, "no such extension"),
    "a sequence": (body(pixels(data=[0] * 4), parameters={"sequence_id": 3})[0], None, "no such extension"),
    "classes below 0": (*asking("classification", -1), "classification"),
    "a flag that is none": (*asking("binary_data", 1), "binary_data"),
    "parameters that are none": (body(pixels(data=[0], parameters=[1]))[0], None, "parameters"),
}


@pytest.mark.parametrize(("text", "size", "told"), BAD.values(), ids=BAD)
def test_other_bodies_are_refused_in_one_short_line(text: bytes, size: str | None, told: str) -> None:
    with pytest.raises(RequestError, match=told) as refused:
        parse_request(text, size)
    assert refused.value.status == 400
    assert len(str(refused.value)) < 400
    assert "\n" not in str(refused.value)
