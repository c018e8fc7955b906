"""Micro-batching: images of requests that come close together are scored together, by one thread."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fer_edge.backends.contract import Outputs
from fer_edge.runtime.batching import MAX_BATCH_PIXELS
from fer_edge.serving.model import Feed
from fer_edge.serving.tensors import RequestError

SMALL_BATCH, BATCH_S = 8, 0.01
"""All requests of a batch wait for its end. A model on a CPU takes as long for an image in a batch of 32 as in one of 8
(benchmarks/results/scoring.md), so that above SMALL_BATCH images a batch gathers no more than take about BATCH_S."""
_MAX_KEYS = 256
"""Shapes of which it is kept how long an image takes."""

Observe = Callable[[int, float], object]
"""Told the images of each batch and the seconds that it took."""


@dataclass
class _Part:
    feed: Feed
    future: "asyncio.Future[Outputs]"
    since: float = field(default_factory=time.monotonic)


class Batcher:
    """Scores feeds of one key together, up to ``size`` images, the one that has waited longest first.

    While the model is busy, images gather. While it is free, one waits ``deadline_s`` for others at the most. All
    methods are for the event loop's thread; ``run`` is called in a thread of its own, never twice at a time.
    """

    def __init__(
        self, run: Callable[[Feed], Outputs], *, size: int, deadline_s: float, observe: Observe | None = None
    ) -> None:
        self._run = run
        self._size = size
        self._deadline_s = deadline_s
        self._observe = observe
        self._waiting: dict[tuple[Any, ...], deque[_Part]] = {}
        self._image_s: dict[tuple[Any, ...], float] = {}
        self._is_busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def score(self, feeds: list[Feed]) -> Outputs:
        """Outputs of all images of ``feeds``, in order. Raises RequestError where the model cannot take one."""
        loop = asyncio.get_running_loop()
        parts = [_Part(part, loop.create_future()) for feed in feeds for part in self._cut(feed)]
        for part in parts:
            self._waiting.setdefault(part.feed.key, deque()).append(part)
        self._pump()
        if len(parts) == 1:
            return await parts[0].future
        found = await asyncio.gather(*(part.future for part in parts), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException):
                raise one
        return Outputs(
            np.concatenate([one.probabilities for one in found if isinstance(one, Outputs)]),
            np.concatenate([one.logits for one in found if isinstance(one, Outputs)]),
        )

    def close(self) -> None:
        """Wait for the batch that is being scored."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _limit(self, feed: Feed) -> int:
        """Images of a batch; fewer of large ones, whose values between layers take memory."""
        values = math.prod(feed.array.shape[1:])
        return min(self._size, max(1, 3 * MAX_BATCH_PIXELS // values))

    def _gathers(self, feed: Feed) -> int:
        """Images that a batch gathers: those that take about BATCH_S, as far as the last batches tell."""
        limit, image_s = self._limit(feed), self._image_s.get(feed.key)
        return limit if image_s is None else min(limit, max(SMALL_BATCH, int(BATCH_S / image_s)))

    def _cut(self, feed: Feed) -> list[Feed]:
        limit = self._limit(feed)
        if len(feed.array) <= limit:
            return [feed]
        return [Feed(feed.key, feed.array[at : at + limit], feed.is_raw) for at in range(0, len(feed.array), limit)]

    def _pump(self) -> None:
        """Start a batch where the model is free and one is due; else see to it that this is called again."""
        if self._is_busy or not self._waiting:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        now = time.monotonic()
        key = min(self._waiting, key=lambda one: self._waiting[one][0].since)
        limit = self._gathers(self._waiting[key][0].feed)
        due = self._waiting[key][0].since + self._deadline_s
        if due > now and sum(len(part.feed.array) for part in self._waiting[key]) < limit:
            full = [one for one in self._waiting if self._is_full(one)]
            if not full:
                self._timer = loop.call_later(due - now, self._pump)
                return
            key = full[0]
        self._start(self._taken(key), loop)

    def _is_full(self, key: tuple[Any, ...]) -> bool:
        parts = self._waiting[key]
        return sum(len(part.feed.array) for part in parts) >= self._gathers(parts[0].feed)

    def _taken(self, key: tuple[Any, ...]) -> list[_Part]:
        parts = self._waiting[key]
        taken: list[_Part] = []
        limit, rows = self._gathers(parts[0].feed), 0
        while parts and (not taken or rows + len(parts[0].feed.array) <= limit):
            part = parts.popleft()
            if part.future.cancelled():  # its client went away
                continue
            rows += len(part.feed.array)
            taken.append(part)
        if not parts:
            del self._waiting[key]
        return taken

    def _start(self, parts: list[_Part], loop: asyncio.AbstractEventLoop) -> None:
        if not parts:
            loop.call_soon(self._pump)
            return
        self._is_busy = True
        done = loop.run_in_executor(self._thread, self._score, [part.feed for part in parts])
        done.add_done_callback(lambda future: self._finish(parts, future))

    def _finish(self, parts: list[_Part], future: "asyncio.Future[list[Outputs | Exception]]") -> None:
        self._is_busy = False
        error = asyncio.CancelledError() if future.cancelled() else future.exception()
        for at, part in enumerate(parts):
            if part.future.done():
                continue
            if error is not None:
                part.future.set_exception(error)
                continue
            found = future.result()[at]
            if isinstance(found, Exception):
                part.future.set_exception(found)
            else:
                part.future.set_result(found)
        self._pump()

    def _score(self, feeds: list[Feed]) -> "list[Outputs | Exception]":
        """In the model's thread: the outputs of each feed, or what it failed with."""
        start = time.perf_counter()
        whole = feeds[0]
        if len(feeds) > 1:
            whole = Feed(whole.key, np.concatenate([feed.array for feed in feeds]), whole.is_raw)
        try:
            found = self._run(whole)
        except RequestError as error:
            if len(feeds) == 1:
                return [error]
            return [self._alone(feed) for feed in feeds]  # what failed together may not fail by every image
        spent = time.perf_counter() - start
        self._note(whole, spent)
        if self._observe is not None:
            self._observe(len(whole.array), spent)
        if len(feeds) == 1:
            return [found]
        ends = np.cumsum([len(feed.array) for feed in feeds])
        starts = [0, *ends[:-1].tolist()]
        return [
            Outputs(found.probabilities[at:end], found.logits[at:end]) for at, end in zip(starts, ends, strict=True)
        ]

    def _note(self, whole: Feed, spent: float) -> None:
        """In the model's thread: how long an image takes by now, half of it what was known before."""
        image_s = spent / len(whole.array)
        before = self._image_s.get(whole.key, image_s)
        if len(self._image_s) >= _MAX_KEYS:
            self._image_s = {}
        self._image_s[whole.key] = (before + image_s) / 2

    def _alone(self, feed: Feed) -> "Outputs | Exception":
        try:
            return self._run(feed)
        except RequestError as error:
            return error
