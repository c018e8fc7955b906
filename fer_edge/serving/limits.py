"""Bounds on what clients may take: bytes of bodies, images under way, seconds to send a request."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fer_edge.serving.settings import ServerSettings
from fer_edge.serving.tensors import RequestError

if TYPE_CHECKING:
    from fastapi import Request

    from fer_edge.serving.metrics import Metrics

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

    async def read(self, request: "Request", held: "HeldBody") -> bytes:
        """The whole body, in time. Raises RequestError: 413 above the limit, 408 too slowly, 400 cut off."""
        from starlette.requests import ClientDisconnect

        limit = self._settings.max_body_bytes
        declared = request.headers.get("content-length")
        if declared is not None and declared.isdecimal() and int(declared[:20]) > limit:
            raise self._too_large(limit, _CLOSE if "expect" in request.headers else None)
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._settings.client_timeout_s):
                async for part in request.stream():
                    size += len(part)
                    if size > limit:
                        raise self._too_large(limit)
                    held.holds(len(part))
                    parts.append(part)
        except TimeoutError as error:
            raise RequestError(
                f"expected the whole request within {self._settings.client_timeout_s:g} s, found {size} bytes",
                408,
                _CLOSE,
            ) from error
        except ClientDisconnect as error:
            raise RequestError(f"expected the whole request, found {size} bytes and the connection closed") from error
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

    async def read(self, request: "Request") -> bytes:
        """As ``Limits.read``."""
        return await self._limits.read(request, self)

    def release(self) -> None:
        """None any more."""
        self._limits.held_bytes -= self._bytes
        self._bytes = 0
