"""What a connection may cost: uvicorn's HTTP protocol with limits on heads, waiting and the number of connections.

Import it where a server is started: it needs the extra ``serve``.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fer_edge.serving.settings import ServerSettings

MAX_HEAD_BYTES = 32 * 2**10
"""Of a request's line and headers."""
MAX_PIPELINED = 16
"""Requests that wait on one connection for the answer before them."""
_DRAINED = 8
"""Times ``max_body_bytes`` that are read and thrown away after a 413, so that the client gets to read it."""


class OpenConnections:
    """Those that wait for their client, the longest first; of one server. One clock goes over them all."""

    def __init__(self, settings: ServerSettings, refused: Callable[[int], object] = lambda _: None) -> None:
        self.settings = settings
        self.refused = refused
        """Told the status of each request that is refused here, before the app."""
        self.waiting: dict[Connection, float] = {}
        """With the loop's time at which each began to."""
        self._clock: asyncio.TimerHandle | None = None

    def make_room(self, open_now: int) -> bool:
        """Whether one more may be open, where need be after closing the one that has waited longest for its client."""
        if open_now <= self.settings.max_connections:
            return True
        for longest in self.waiting:
            longest.hang_up()
            return True
        return False

    def wait(self, one: "Connection") -> None:
        """From now on ``one`` waits for its client."""
        self.waiting.pop(one, None)  # to the end of the line
        self.waiting[one] = one.loop.time()
        if self._clock is None:
            self._clock = one.loop.call_later(self._tick_s, self._look, one.loop)

    @property
    def _tick_s(self) -> float:
        return min(0.25, self.settings.client_timeout_s / 10)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        limit = loop.time() - self.settings.client_timeout_s
        late = []
        for one, since in self.waiting.items():
            if since > limit:
                break
            late.append(one)
        for one in late:
            one.time_is_up()
        self._clock = loop.call_later(self._tick_s, self._look, loop) if self.waiting else None


class _OneWrite:
    """A transport that sends the head of an answer together with what follows: one call of the system, not two.

    What comes after the connection was closed (for a malformed request behind this one, say) is dropped: uvloop's
    transports raise where asyncio's drop it, and each such answer would be a traceback in the log."""

    def __init__(self, connection: "Connection") -> None:
        transport = connection.transport
        self._connection = connection
        self._transport = transport
        self._head: bytes | None = None
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        if self._head is not None:
            data, self._head = self._head + data, None
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100"):
            self._head = data
            return
        if not self.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        if self._head is not None and not self.is_closing():
            self._transport.write(self._head)
        self._head = None
        self._connection.end()


class Connection(HttpToolsProtocol):  # type: ignore[misc]  # uvicorn is not installed where types are checked
    """One connection. Its client has ``client_timeout_s`` to send each request, and to take each answer."""

    def __init__(self, *arguments: Any, others: OpenConnections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._others = others
        self._settings = others.settings
        self._write_due: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._is_in_head = True
        self._has_begun = False
        self._drained_bytes = 0
        self._is_ending = False
        self._refusal = (400, "expected an HTTP request, found other bytes")

    def connection_made(self, transport: Any) -> None:
        """Take it, or answer 503 where there is no room."""
        super().connection_made(transport)
        if not self._others.make_room(len(self.connections)):
            self._refuse(503, "expected a free connection, found none; ask again")
            return
        self._others.wait(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop its clocks."""
        self._stop_waiting()
        if self._write_due is not None:
            self._write_due.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and count what a request's head takes, and a body that nobody reads."""
        if self.transport.is_closing():
            return
        was_in_head = self._has_begun and self._is_in_head
        super().data_received(data)
        if self.transport.is_closing():
            return
        if was_in_head and self._is_in_head and self._has_begun:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse_head()
        elif self._has_begun and self.cycle is not None and self.cycle.response_complete:
            self._drained_bytes += len(data)
            if self._drained_bytes > _DRAINED * self._settings.max_body_bytes:
                self.hang_up()

    def on_message_begin(self) -> None:
        """A request's first byte: from now on the client has its time for the rest."""
        super().on_message_begin()
        self._others.wait(self)
        self._has_begun = self._is_in_head = True
        self._head_bytes = self._drained_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A part of its path."""
        super().on_url(url)
        self._count_head(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        super().on_header(name, value)
        self._count_head(name + value)

    def on_headers_complete(self) -> None:
        """The end of its head."""
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refusal = (429, f"expected at most {MAX_PIPELINED} requests at once on a connection, found more")
            raise ValueError(self._refusal[1])
        super().on_headers_complete()
        self.cycle.transport = _OneWrite(self)
        self._is_in_head = False

    def on_message_complete(self) -> None:
        """The end of its body: from now on the client waits for the server."""
        super().on_message_complete()
        self._has_begun, self._is_in_head = False, True
        self._head_bytes = 0
        if self._is_ending:
            self.transport.close()
        elif self.cycle is not None and self.cycle.response_complete:
            self._others.wait(self)  # answered before its body was there
        else:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """From now on the server waits for the client. As uvicorn does, but for its own clock of idle connections."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif not self._has_begun:
            self._others.wait(self)

    def pause_writing(self) -> None:
        """The client does not take its answer: it has so long."""
        super().pause_writing()
        if self._write_due is None:
            self._write_due = self.loop.call_later(self._settings.client_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client takes it."""
        super().resume_writing()
        if self._write_due is not None:
            self._write_due.cancel()
            self._write_due = None

    def send_400_response(self, msg: str) -> None:
        """Instead of uvicorn's text: an error as the protocol writes it."""
        self._refuse(*self._refusal)

    def end(self) -> None:
        """Close after what was written. While the client still sends, only this way: closed for good, the system would
        answer what comes by a reset, and the client might never read the answer."""
        if self._has_begun and not self.transport.is_closing():
            self._is_ending = True
            self.transport.write_eof()
        else:
            self.transport.close()

    def hang_up(self) -> None:
        """Close at once, whatever was still to be sent."""
        self._stop_waiting()
        self.transport.abort()

    def _count_head(self, part: bytes) -> None:
        self._head_bytes += len(part)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refusal = (431, f"expected at most {MAX_HEAD_BYTES} bytes of headers, found more")
            raise ValueError(self._refusal[1])

    def _refuse_head(self) -> None:
        self._refuse(431, f"expected at most {MAX_HEAD_BYTES} bytes of headers, found more")

    def _stop_waiting(self) -> None:
        self._others.waiting.pop(self, None)

    def time_is_up(self) -> None:
        """The client has had its time: say so where it has begun to ask, and close."""
        self._stop_waiting()
        if self.transport.is_closing():
            self.transport.abort()
        elif not self._has_begun:
            self.transport.close()
        elif self.pipeline or (self.cycle is not None and self.cycle.response_started and not self._is_in_head):
            self.hang_up()  # another answer is being written
        else:
            if not self._is_in_head:  # the app waits for its body
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            self._refuse(408, f"expected the whole request within {self._settings.client_timeout_s:g} s, found a part")

    def _refuse(self, status: int, message: str) -> None:
        self._stop_waiting()
        self._others.refused(status)
        body = json.dumps({"error": message}).encode()
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        retry = b"retry-after: 1\r\n" if status == 503 else b""
        self.transport.write(STATUS_LINE[status] + retry + head + body)
        self.transport.close()
