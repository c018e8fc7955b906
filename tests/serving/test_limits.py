"""What a running server does with clients that send too much, too slowly, too many, or something else than they say."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

SOUND = json.dumps({"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 1, 1, 1], "data": [7]}]}).encode()
INFER = "/v2/models/tiny/infer"
TIMEOUT = 0.5


@pytest.fixture(scope="module")
def port(start: Any) -> int:
    found: int = start(max_body_bytes=20_000, client_timeout_s=TIMEOUT, max_connections=40).port
    return found


def request(body: bytes = SOUND, path: str = INFER, length: object = None, *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body) if length is None else length}", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


CHUNKED = b"POST /v2/models/tiny/infer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


def talk(port: int, *parts: bytes, pause: float = 0) -> bytes:
    """Everything that the server says until it hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        for part in parts:
            with contextlib.suppress(OSError):  # it may have hung up already
                client.sendall(part)
            time.sleep(pause)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while part := client.recv(65536):
                found += part
        return found


def statuses(answer: bytes) -> list[int]:
    return [int(one[:3]) for one in answer.split(b"HTTP/1.1 ")[1:]]


def error_of(answer: bytes) -> str:
    found = json.loads(answer[answer.rindex(b"\r\n\r\n") :])
    assert list(found) == ["error"]
    return str(found["error"])


def test_a_sound_request_leaves_the_connection_open_until_the_time_is_up(port: int) -> None:
    before = time.monotonic()
    assert statuses(talk(port, request(), request(), pause=0.05)) == [200, 200]
    assert TIMEOUT * 0.9 < time.monotonic() - before < TIMEOUT + 2


@pytest.mark.parametrize(
    "parts",
    [[b"POST /v2/models/tiny/in"], [request()[:60]], [request()[:-9]], [CHUNKED, b"4\r\nabcd\r\n"]],
    ids=["path", "headers", "body", "chunks"],
)
def test_slow_requests_are_answered_408(port: int, parts: list[bytes]) -> None:
    before = time.monotonic()
    answer = talk(port, *parts)
    assert statuses(answer) == [408]
    assert error_of(answer) == "expected the whole request within 0.5 s, found a part"
    assert TIMEOUT * 0.9 < time.monotonic() - before < TIMEOUT + 2


def test_a_byte_now_and_then_is_no_way_around_the_time_limit(port: int) -> None:
    before = time.monotonic()
    assert statuses(talk(port, *[bytes([one]) for one in request()[:12]], pause=0.1))[:1] == [408]
    assert time.monotonic() - before < 12 * 0.1 + 2


def test_who_says_nothing_is_hung_up_on(port: int) -> None:
    assert talk(port) == b""


BAD = {
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "another version": (b"GET /v2 HTTP/9.9\r\n\r\n", 400),
    "a length below 0": (request(length=-1), 400),
    "a length that is none": (request(length="many"), 400),
    "a length of many digits": (request(length="9" * 400), 400),
    "two lengths": (request(SOUND, INFER, len(SOUND), "Content-Length: 3"), 400),
    "length and chunks": (request(SOUND, INFER, len(SOUND), "Transfer-Encoding: chunked"), 400),
    "a path that is none": (b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "a long path": (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n", 431),
    "a long header": (b"GET /v2 HTTP/1.1\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431),
    "many headers": (b"GET /v2 HTTP/1.1\r\n" + b"X: a\r\n" * 20_000 + b"\r\n", 431),
    "too large by its word": (request(length=20_001), 413),
    "a broken chunk": (CHUNKED + b"ZZ\r\n", 400),
    "compressed": (request(SOUND, INFER, None, "Content-Encoding: gzip"), 415),
    "wrong size of its JSON": (request(SOUND, INFER, None, "Inference-Header-Content-Length: -3"), 400),
}


@pytest.mark.parametrize(("data", "status"), BAD.values(), ids=BAD)
def test_malformed_requests_are_refused_in_json(port: int, data: bytes, status: int) -> None:
    answer = talk(port, data)
    assert statuses(answer)[0] == status
    assert error_of(answer)


def test_a_header_without_an_end_is_not_gathered(port: int) -> None:
    answer = talk(port, b"GET /v2 HTTP/1.1\r\nX: ", b"a" * 20_000, b"a" * 20_000, pause=0.05)
    assert statuses(answer) == [431]


def test_more_than_was_said_is_no_part_of_the_request(port: int) -> None:
    assert statuses(talk(port, request(SOUND + b"rest", INFER, len(SOUND))))[-1] == 400
    assert statuses(talk(port, request(SOUND, INFER, len(SOUND)), b"rest", pause=0.2)) == [200, 400]


def test_less_than_was_said_is_no_request(port: int, start: Any) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(request(SOUND, INFER, len(SOUND) + 10))
        client.shutdown(socket.SHUT_WR)
        assert statuses(client.recv(65536)) in ([], [400], [408])
    assert statuses(talk(port, request())) == [200]


def test_after_413_the_client_may_send_on_and_ask_again(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for body, status in ((bytes(90_000), 413), (SOUND, 200)):
        connection.request("POST", INFER, body)
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (status, True)
    connection.close()


def test_chunks_are_counted_and_put_together(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for chunks, status in (([SOUND[:20], SOUND[20:]], 200), ([bytes(15_000)] * 2, 413), ([SOUND], 200)):
        connection.request("POST", INFER, iter(chunks), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (status, True)
    connection.close()


def test_who_asks_before_sending_is_told(port: int) -> None:
    expects = request(b"", INFER, len(SOUND), "Expect: 100-continue")
    assert statuses(talk(port, expects, SOUND, pause=0.1)) == [100, 200]
    assert statuses(talk(port, request(b"", INFER, 10**6, "Expect: 100-continue"))) == [413]


def test_many_requests_at_once_on_a_connection_are_refused(port: int) -> None:
    few = talk(port, request() * 10)
    assert statuses(few) == [200] * 10
    assert 429 in statuses(talk(port, request() * 60))


@pytest.fixture
def held(start: Any) -> Iterator[Any]:
    """A server of a queue of two images whose model waits, how many it has begun, and the event that it waits for."""
    free, begun = threading.Event(), threading.Semaphore(0)

    def waits(run: Any) -> Any:
        def score(feed: Any) -> Any:
            begun.release()
            assert free.wait(20)
            return run(feed)

        return score

    yield start(queue=2, max_connections=3, max_held_bytes=1000, score=waits).port, begun, free
    free.set()


def post(port: int) -> tuple[int, str | None, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", INFER, SOUND)
    answer = connection.getresponse()
    found = answer.status, answer.getheader("Retry-After"), answer.read()
    connection.close()
    return found


def in_threads(port: int, count: int) -> tuple[list[threading.Thread], list[tuple[int, str | None, bytes]]]:
    found: list[tuple[int, str | None, bytes]] = []
    threads = [threading.Thread(target=lambda: found.append(post(port))) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, found


def wait_for_images(port: int, count: int) -> None:
    for _ in range(200):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        if f"fer_edge_queue_images {count}.0" in text:
            return
        time.sleep(0.02)
    raise AssertionError(text)


def test_a_full_queue_is_503_and_comes_back(held: Any) -> None:
    port, begun, free = held
    threads, found = in_threads(port, 2)
    assert begun.acquire(timeout=20)
    wait_for_images(port, 2)
    status, retry, text = post(port)
    assert (status, retry) == (503, "1")
    assert "the queue is full" in error_of(b"\r\n\r\n" + text)
    free.set()
    for thread in threads:
        thread.join()
    assert [one[0] for one in found] == [200, 200]
    assert post(port)[0] == 200


def test_full_memory_is_503(held: Any) -> None:
    port, _, free = held
    free.set()
    assert post(port)[0] == 200
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", INFER, SOUND + b" " * 2000)
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Retry-After")) == (503, "1")
    connection.close()
    assert post(port)[0] == 200  # what was refused is not held


def test_a_new_connection_takes_the_place_of_the_idlest_and_of_none_at_work(held: Any) -> None:
    port, _, free = held
    threads, found = in_threads(port, 2)
    wait_for_images(port, 2)
    idle = socket.create_connection(("127.0.0.1", port), timeout=10)
    time.sleep(0.1)
    late = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    late.connect()
    with contextlib.suppress(ConnectionResetError):
        assert idle.recv(10) == b""  # closed for the late one
    for method, path, status in (("GET", "/v2/health/live", 200), ("POST", INFER, 503)):
        late.request(method, path, SOUND)
        answer = late.getresponse()
        assert (answer.status, bool(answer.read())) == (status, True)
    free.set()
    for thread in threads:
        thread.join()
    assert [one[0] for one in found] == [200, 200]
    for one in (idle, late):
        one.close()


def test_a_model_that_fails_unexpectedly_is_an_answer_500_in_words_and_the_next_request_is_answered(start: Any) -> None:
    failures = iter([True])

    def breaks(run: Any) -> Any:
        def score(feed: Any) -> Any:
            if next(failures, False):
                raise ZeroDivisionError("inside")
            return run(feed)

        return score

    port = start(score=breaks).port
    status, _, body = post(port)
    assert (status, json.loads(body)) == (500, {"error": "the server failed; its log says why"})
    assert post(port)[0] == 200
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/metrics")
    assert b'fer_edge_requests_total{code="500",kind="infer"} 1.0' in connection.getresponse().read()
    connection.close()
