"""Some hundred of the requests that benchmarks/attacks/serving.py sends 10,000 of: never 5xx, and the server lives."""

import contextlib
import socket
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hostile_requests
import pytest

LIMIT = 4 * 2**20
TIMEOUT = 0.5


def answer(port: int, hostile: hostile_requests.Hostile) -> int | None:
    """The status of what the server says first; None where it hangs up without a word."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        with contextlib.suppress(OSError):
            for part in hostile.parts:
                client.sendall(part)
                time.sleep(hostile.pause_s)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while b"\r\n" not in found and (part := client.recv(65536)):
                found += part
    return int(found.split(b" ", 2)[1]) if found.startswith(b"HTTP/1.1 ") else None


@pytest.fixture(scope="module")
def port(start: Any) -> int:
    found: int = start(max_body_bytes=LIMIT, client_timeout_s=TIMEOUT).port
    return found


def test_hostile_requests_get_4xx_and_good_ones_their_answer_and_the_log_nothing(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    maker = hostile_requests.Maker("tiny", max_body_bytes=LIMIT, seed=7)
    sound = hostile_requests.Hostile("sound", [maker.sound()])
    assert answer(port, sound) == 200
    some = list(maker.some(len(maker.kinds) * 25))
    found: dict[str, set[int | None]] = defaultdict(set)
    with ThreadPoolExecutor(16) as pool:
        for hostile, status in zip(some, pool.map(lambda one: answer(port, one), some), strict=True):
            found[hostile.kind].add(status)
    may_pass = found.pop(hostile_requests.MAY_PASS)
    assert all(status is not None and 200 <= status < 500 for status in may_pass)
    wrong = {kind: some for kind, some in found.items() if not all(s is not None and 400 <= s < 500 for s in some)}
    assert not wrong
    assert set(found) == set(maker.kinds) - {hostile_requests.MAY_PASS}
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []
    assert answer(port, sound) == 200
