"""Requests that no sound client sends, for fer_edge.serving: what goes over a connection, by kind, from a seed.

Used by benchmarks/attacks/serving.py (10,000 of them) and tests/serving/test_hostile.py (some hundred).
"""

import json
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

INFER = "/v2/models/{model}/infer"
SIDE = 48
MAY_PASS = "mutated"
"""The kind that a flipped byte may leave sound."""


@dataclass(frozen=True)
class Hostile:
    """Parts that are sent one after the other, ``pause_s`` apart; what comes back is read until the server hangs up or
    has answered."""

    kind: str
    parts: list[bytes]
    pause_s: float = 0.0


class Maker:
    """Makes requests for the model of one name, on a server of ``max_body_bytes``."""

    def __init__(self, model: str, *, max_body_bytes: int, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._path = INFER.format(model=model)
        self._limit = max_body_bytes
        self.kinds: dict[str, Callable[[], Hostile]] = {
            name.removeprefix("_make_").replace("_", " "): getattr(self, name)
            for name in dir(self)
            if name.startswith("_make_")
        }

    def some(self, count: int) -> Iterator[Hostile]:
        """So many, of each kind as many, in an order of chance."""
        names = [name for at in range(count) for name in [list(self.kinds)[at % len(self.kinds)]]]
        self._random.shuffle(names)
        for name in names:
            made = self.kinds[name]()
            yield Hostile(name, made.parts, made.pause_s)

    def sound(self) -> bytes:
        """A request that is answered 200."""
        head, pixels = self._binary()
        return self._post(head + pixels, len(head))

    def _binary(self, **changes: Any) -> tuple[bytes, bytes]:
        pixels = self._random.randbytes(SIDE * SIDE)
        tensor = {
            "name": "image",
            "datatype": "UINT8",
            "shape": [1, SIDE, SIDE, 1],
            "parameters": {"binary_data_size": len(pixels)},
            **changes,
        }
        return json.dumps({"inputs": [tensor]}).encode(), pixels

    def _post(self, body: bytes, json_size: object = None, *more: str, length: object = None) -> bytes:
        lines = [f"POST {self._path} HTTP/1.1", "Host: localhost", "Connection: close"]
        lines.append(f"Content-Length: {len(body) if length is None else length}")
        if json_size is not None:
            lines.append(f"Inference-Header-Content-Length: {json_size}")
        return "\r\n".join([*lines, *more]).encode("latin-1") + b"\r\n\r\n" + body

    def _json(self, **changes: Any) -> bytes:
        tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 2, 1], "data": [1, 2, 3, 4], **changes}
        return self._post(json.dumps({"inputs": [tensor]}).encode())

    def _one(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def _make_bytes_that_are_no_http(self) -> Hostile:
        return Hostile("", [b"\x16\x03" + self._random.randbytes(self._random.randrange(1, 3000))])

    def _make_bad_request_line(self) -> Hostile:
        line = self._one("GET", "GET /v2 HTTP/7.3", "FETCH /v2 HTTP/1.1", "GET /v2 HTTP/1.1 more", "get /v2 HTTP/1.1")
        return Hostile("", [line.encode() + b"\r\n\r\n"])

    def _make_path_or_method(self) -> Hostile:
        line = self._one(
            "GET /etc/passwd",
            "GET /v2/models/..%2f..%2f..%2fetc%2fpasswd",
            "POST /v2/repository/models/x/load",
            "DELETE /v2/models/x",
            "GET /v2/models/%00",
            "POST /v2/health/live",
            f"PUT {self._path}",
            "POST /v2/models/https:%2f%2fexample.org/infer",
        )
        return Hostile("", [f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()])

    def _make_headers(self) -> Hostile:
        more = self._one(
            "Content-Length: 3",
            "Transfer-Encoding: chunked",
            "Content-Encoding: gzip",
            "X" * 40_000 + ": a",
            "X: " + "a" * 40_000,
            "No colon here",
            "X: a\x00b",
            "Transfer-Encoding: gzip, chunked",
            " folded: a",
        )
        head, pixels = self._binary()
        return Hostile("", [self._post(head + pixels, len(head), more)])

    def _make_length_of_the_json(self) -> Hostile:
        head, pixels = self._binary()
        wrong = self._one(
            "-1", "0", len(head) - 1, len(head) + 1, len(head) + len(pixels) + 1, "1e3", "9" * 4000, "x", ""
        )
        return Hostile("", [self._post(head + pixels, wrong)])

    def _make_lying_content_length(self) -> Hostile:
        head, pixels = self._binary()
        body = head + pixels
        length = self._one(-1, "0x10", len(body) - 100, len(body) + 100, 10**30, "1,2", 4)
        return Hostile("", [self._post(body, len(head), length=length)])

    def _make_too_large(self) -> Hostile:
        size = self._limit + self._random.randrange(1, 2**20)
        if self._random.random() < 0.1:  # really sends it
            return Hostile("", [self._post(bytes(size))])
        if self._random.random() < 0.2:
            head = f"POST {self._path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            chunk = b"%x\r\n" % 2**20 + bytes(2**20) + b"\r\n"
            return Hostile("", [head, *[chunk] * (self._limit // 2**20 + 1), b"0\r\n\r\n"])
        return Hostile("", [self._post(b"{", length=size)])

    def _make_slow(self) -> Hostile:
        head, pixels = self._binary()
        whole = self._post(head + pixels, len(head))
        cut = whole[: self._random.randrange(4, len(whole) - 1)]
        step = len(cut) // 4
        return Hostile("", [cut[:step], cut[step : 2 * step], cut[2 * step : 3 * step], cut[3 * step :]], pause_s=0.2)

    def _make_pipelined(self) -> Hostile:
        """Sound requests that are still under way where the one behind them is refused."""
        sound = self._json().replace(b"Connection: close\r\n", b"")
        return Hostile("", [sound * 3 + b"no HTTP\r\n\r\n" if self._random.random() < 0.5 else sound * 40])

    def _make_nesting(self) -> Hostile:
        depth = self._one(100, 2000, 100_000, 500_000)
        opening = self._one(b"[", b'{"a":')
        at = self._one(
            b"%s",
            b'{"inputs":%s',
            b'{"id":%s',
            b'{"inputs":[{"name":"image","datatype":"UINT8","shape":[1,2,2,1],"data":%s',
            b'{"inputs":[{"name":"image","datatype":"UINT8","shape":%s',
        )
        return Hostile("", [self._post(at.replace(b"%s", opening * depth)[: self._limit])])

    def _make_other_json(self) -> Hostile:
        text = self._one(
            b"", b"null", b"[]", b"NaN", b'{"inputs":null}', b'{"inputs":[]}', b'{"inputs":[{}]}', b"\xff\xfe{}",
            b'{"inputs":"' + b"a" * 100_000 + b'"}', b'{"inputs":[' + b"{}," * 10_000 + b"{}]}", b"{" * 50,
            b'{"inputs":[{"name":"\xed\xa0\x80","datatype":"UINT8","shape":[1],"data":[1]}]}', b'{"id":1e999}',
        )  # fmt: skip
        return Hostile("", [self._post(text)])

    def _make_shape(self) -> Hostile:
        shape = self._one(
            [], [1], [1, 2, 2], [1, 2, 2, 2], [-1, 2, 2, 1], [1, -2, -2, 1], [0, 2, 2, 1], [2**62, 2, 2, 1],
            [2**64, 2**64, 1, 1], [10**300], ["1", 2, 2, 1], [1.5, 2, 2, 1], [1, 4, 1, 1, 1], [1] * 500, None, "4",
            [1, 2, 2, True], {"a": 1}, [1000, 2, 2, 1],
        )  # fmt: skip
        return Hostile("", [self._json(shape=shape)])

    def _make_data(self) -> Hostile:
        data = self._one(
            [], [1, 2, 3], [1, 2, 3, 256], [1, 2, 3, -1], [1, 2, 3, 1e400], [[1, 2], [3]], "aaaa", None, [None] * 4,
            ["1", "2", "3", "4"], [1] * 100_000, [[[[[1]]]]] * 4, [10**100] * 4, [0.1, 0.2, 0.3, 0.4], {"a": [1]},
        )  # fmt: skip
        return Hostile("", [self._json(data=data)])

    def _make_binary_size(self) -> Hostile:
        size = self._one(
            -1, -(2**63), 2**63, 2**64, 0, SIDE * SIDE - 1, SIDE * SIDE + 1, 10**12, "2304", 2304.5, True, [1]
        )
        head, pixels = self._binary(parameters={"binary_data_size": size})
        return Hostile("", [self._post(head + pixels, len(head))])

    def _make_names_and_types(self) -> Hostile:
        changes = self._one(
            {"name": "input"}, {"name": "x" * 100_000}, {"name": ""}, {"name": None}, {"datatype": "INT64"},
            {"datatype": "FP64"}, {"datatype": 3}, {"datatype": "uint8"}, {"datatype": "BYTES"}, {"name": "../image"},
            {"parameters": {"shared_memory_region": "a"}}, {"parameters": [1]}, {"parameters": {"a": {"b": 1}}},
        )  # fmt: skip
        return Hostile("", [self._json(**changes)])

    def _make_outputs(self) -> Hostile:
        outputs = self._one(
            [{"name": "secrets"}], [{"name": "probabilities", "parameters": {"classification": -1}}], [{}], "all", [1],
            [{"name": "label", "parameters": {"classification": 3}}], [{"name": "logits"}] * 1000,
            [{"name": "logits", "parameters": {"binary_data": "yes"}}],
        )  # fmt: skip
        tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 2, 1], "data": [1, 2, 3, 4]}
        return Hostile("", [self._post(json.dumps({"inputs": [tensor], "outputs": outputs}).encode())])

    def _make_files(self) -> Hostile:
        def png(width: int, height: int, rest: bytes = b"") -> bytes:
            head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
            return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + rest

        file = self._one(
            b"", b"\xff\xd8\xff", self._random.randbytes(5000), png(60_000, 60_000), png(2**31 - 1, 1), png(0, 0),
            png(48, 48, b"\x00\x00\x10\x00IDAT" + self._random.randbytes(500)), b"<svg/>", b"%PDF-1.4", b"GIF89a",
            b"II*\x00" + b"\xff" * 40, b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(50), b"P6 99999 99999 255 a",
            b"http://localhost/face.jpg", b"/etc/passwd",
        )  # fmt: skip
        element = struct.pack("<I", self._one(len(file), len(file), len(file), len(file) + 1, 2**32 - 1)) + file
        head, _ = self._binary(datatype="BYTES", shape=[1], parameters={"binary_data_size": len(element)})
        return Hostile("", [self._post(head + element, len(head))])

    def _make_mutated(self) -> Hostile:
        head, pixels = self._binary()
        text = bytearray(self._post(head + pixels, len(head)))
        end = len(text) - len(pixels)
        for _ in range(self._random.randrange(1, 6)):
            text[self._random.randrange(end)] = self._random.randrange(256)
        return Hostile("", [bytes(text)])


def faces(count: int, seed: int = 0) -> np.ndarray:
    """(count, 48, 48, 1) pixels by chance, for clients that are sound."""
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 1), dtype=np.uint8)
