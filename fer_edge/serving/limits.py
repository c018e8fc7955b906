"""Bounds on what clients may take: bytes of bodies, images under way."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fer_edge.serving.settings import ServerSettings
from fer_edge.serving.tensors import RequestError

if TYPE_CHECKING:
    from fer_edge.serving.metrics import Metrics

Receive = Callable[[], Awaitable[Any]]
"""As ASGI has it: the next message of a request."""
RETRY_AFTER = {"Retry-After": "1"}
"""Seconds; with 503: the request was sound, and is welcome again."""
_CLOSE = {"Connection": "close"}
"""What a client goes on to send is no request."""


class Limits:
    """Counts what is under way. For one thread."""

    def __init__(self, settings: ServerSettings, metrics: "Metrics") -> None:
        self._settings = settings
        self._metrics = metrics
        self._images = 0
        self.held_bytes = 0

    def check_images(self, count: int) -> None:
        """Refuse (RequestError) more images in one request than the queue holds."""
        if count > self._settings.queue:
            raise RequestError(f"expected at most {self._settings.queue} images a request, found {count}", 413)

    @contextmanager
    def images(self, count: int) -> Iterator[None]:
        """While so many images are scored. Raises RequestError (503) where the queue is full."""
        if self._images + count > self._settings.queue:
            raise self._busy("the queue is full")
        self._images += count
        self._metrics.waiting(self._images)
        try:
            yield
        finally:
            self._images -= count
            self._metrics.waiting(self._images)

    @contextmanager
    def body(self) -> "Iterator[HeldBody]":
        """While a body and what is made of it are held in memory."""
        held = HeldBody(self)
        try:
            yield held
        finally:
            held.release()

    def hold(self, num_bytes: int) -> None:
        """Count bytes as held. Raises RequestError (503) where all together are too many."""
        if self.held_bytes + num_bytes > self._settings.max_held_bytes:
            raise self._busy("its memory for requests is full")
        self.held_bytes += num_bytes

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive, held: "HeldBody") -> bytes:
        """The whole body of a request with these headers. Raises RequestError: 413 above the limit, 408 cut off. The
        time limit is the connection's."""
        limit = self._settings.max_body_bytes
        declared = headers.get(b"content-length")
        if declared is not None and declared.isdigit() and int(declared[:20]) > limit:
            raise self._too_large(limit, _CLOSE if b"expect" in headers else None)
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise RequestError(f"expected the whole request, found {size} bytes and the connection closed", 408)
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size > limit:
                raise self._too_large(limit)
            held.holds(len(part))
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _too_large(self, limit: int, headers: dict[str, str] | None = None) -> RequestError:
        # The connection stays open, and what still comes is thrown away: a client that sends gets to read this.
        return RequestError(f"expected a body of at most {limit} bytes, found a larger one", 413, headers)

    def _busy(self, why: str) -> RequestError:
        self._metrics.turned_away()
        return RequestError(f"expected a free server, found one where {why}; ask again", 503, RETRY_AFTER)


class HeldBody:
    """The bytes that one request holds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._bytes = 0

    def holds(self, num_bytes: int) -> None:
        """So many more. Raises RequestError (503)."""
        self._limits.hold(num_bytes)
        self._bytes += num_bytes

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """As ``Limits.read``."""
        return await self._limits.read(headers, receive, self)

    def release(self) -> None:
        """None any more."""
        self._limits.held_bytes -= self._bytes
        self._bytes = 0
