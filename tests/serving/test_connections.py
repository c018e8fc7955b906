"""uvicorn's protocol with limits, by a transport that writes down what becomes of it."""

import asyncio
from typing import Any

import pytest

uvicorn = pytest.importorskip("uvicorn", reason="the extra serve is not installed")


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_open, self.is_aborted = True, False

    def write(self, data: Any) -> None:
        if not self.is_open:
            raise RuntimeError("the handler is closed")  # as uvloop's
        self.written += data

    def close(self) -> None:
        self.is_open = False

    def abort(self) -> None:
        self.is_open, self.is_aborted = False, True

    def is_closing(self) -> bool:
        return not self.is_open

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def answer(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def connected(count: int = 1, **settings: Any) -> tuple[Any, list[Any]]:
    from uvicorn.server import ServerState

    from fer_edge.serving.connections import Connection, OpenConnections
    from fer_edge.serving.settings import ServerSettings

    others = OpenConnections(ServerSettings(**settings))
    config = uvicorn.Config(answer, log_config=None, lifespan="off")
    state = ServerState()
    made = []
    for _ in range(count):
        made.append(Connection(config=config, server_state=state, app_state={}, others=others))
        made[-1].connection_made(Transport())
    return others, made


def test_who_does_not_take_the_answer_is_cut_off() -> None:
    async def run() -> None:
        _, (slow, taker) = connected(2, client_timeout_s=0.05)
        slow.pause_writing()
        taker.pause_writing()
        taker.resume_writing()
        taker._stop_waiting()
        await asyncio.sleep(0.15)
        assert slow.transport.is_aborted
        assert taker.transport.is_open

    asyncio.run(run())


def test_the_one_that_has_waited_longest_makes_room() -> None:
    async def run() -> None:
        others, (first, second, third) = connected(3, max_connections=2)
        assert first.transport.is_aborted
        assert second.transport.is_open
        assert third.transport.is_open
        assert list(others.waiting) == [second, third]

    asyncio.run(run())


def test_where_all_are_at_work_one_more_is_refused() -> None:
    async def run() -> None:
        others, (first,) = connected(1, max_connections=1)
        first._stop_waiting()  # its request is there
        from fer_edge.serving.connections import Connection

        more = Connection(config=first.config, server_state=first.server_state, app_state={}, others=others)
        more.connection_made(Transport())
        assert more.transport.written.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in more.transport.written
        assert not more.transport.is_open
        assert first.transport.is_open

    asyncio.run(run())


def test_a_connection_waits_for_its_client_but_not_while_the_client_waits() -> None:
    async def run() -> None:
        others, (one,) = connected()
        assert one in others.waiting
        one.data_received(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na")
        await asyncio.sleep(0)
        assert one in others.waiting
        one.data_received(b"b")
        assert one not in others.waiting
        for _ in range(5):
            await asyncio.sleep(0)
        assert one.transport.written.startswith(b"HTTP/1.1 200 ")
        assert one in others.waiting
        one.connection_lost(None)
        assert not others.waiting

    asyncio.run(run())


def test_an_answer_after_the_connection_was_closed_is_dropped_and_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Anybody could fill the log with them: a request, and behind it one that is refused."""

    async def run() -> bytes:
        _, (one,) = connected()
        one.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + b"no HTTP\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(0)
        one.connection_lost(None)
        written: bytes = one.transport.written
        return written

    written = asyncio.run(run())
    assert written.startswith(b"HTTP/1.1 400 ")
    assert written.count(b"HTTP/1.1 ") == 1
    assert not [record for record in caplog.records if record.exc_info]
