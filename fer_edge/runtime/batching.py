"""Scores a stream of images of mixed sizes in batches of equal size, in the order they came, within bounded memory."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from fer_edge.errors import ImageError, ModelError
from fer_edge.text import shown_name

MAX_BATCH_PIXELS = 2**23
"""8 megapixels: as floats in the graph about 100 MB for RGB. Larger images make smaller batches, down to one."""

MAX_HELD_PIXELS = 2**25
"""Pixels that wait for others of their size before a smaller batch is run with those there are."""

WINDOW_BATCHES = 4
"""Images that may overtake one that waits for others of its size, in batches."""

Key = TypeVar("Key")

_Waiting: TypeAlias = tuple[int, Key, NDArray[np.uint8]]
"""One image's place in the stream, its key, and its pixels (H, W, C)."""


@dataclass(frozen=True)
class Decoded(Generic[Key]):
    """One image on its way: its pixels (H, W, C), or the error that opening it ended with. Errors name ``key``."""

    key: Key
    pixels: NDArray[np.uint8] | ImageError
    size: tuple[int, int] | None = None
    """Width and height of the whole image, where ``pixels`` are fewer; None: they are all."""
    factor: int = 1
    """So many pixels of the image, across and down, are one of ``pixels``."""


@dataclass(frozen=True)
class Scored(Generic[Key]):
    """One image's probabilities (C,) and its share of the batch's time in milliseconds, or its error."""

    key: Key
    result: NDArray[np.float32] | ImageError
    latency_ms: float = 0.0


Score = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Pixels (N, H, W, C) to probabilities (N, classes). Raises ModelError for pixels that the model cannot take."""


def score_in_batches(images: Iterable[Decoded[Key]], score: Score, batch_size: int) -> Iterator[Scored[Key]]:
    """Yield a Scored for each image, in order. Images of equal (H, W, C) share a batch of up to ``batch_size``.

    With ``batch_size`` 1 every result comes as soon as its image went in, as a camera needs it. One image that the
    model cannot take comes as its own ImageError: the others of its batch are scored without it. What ``images`` itself
    raises is raised after the results of all images before it.
    """
    if batch_size < 1:
        raise ValueError(f"expected a batch size of at least 1, found {batch_size}")
    batcher: _Batcher[Key] = _Batcher(score, batch_size)
    return batcher.run(images)


Item = TypeVar("Item")


class UntilError(Generic[Item]):
    """The items of ``items`` up to its end, or to the error that it raised: so what came before is not lost."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = items
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[Item]:
        remaining = iter(self._items)
        while True:
            try:
                item = next(remaining)
            except StopIteration:
                return
            except Exception as error:
                self.error = error
                return
            yield item


class _Batcher(Generic[Key]):
    """Images that wait, by shape; and results that wait for an earlier image. Dicts keep insertion order: the first
    group holds the image that has waited longest, because a group leaves as a whole."""

    def __init__(self, score: Score, batch_size: int) -> None:
        self._score = score
        self._batch_size = batch_size
        self._waiting: dict[tuple[int, ...], list[_Waiting[Key]]] = {}
        self._held_pixels = 0
        self._done: dict[int, Scored[Key]] = {}
        self._next = 0

    def run(self, images: Iterable[Decoded[Key]]) -> Iterator[Scored[Key]]:
        given = UntilError(images)
        for index, image in enumerate(given):
            if isinstance(image.pixels, ImageError):
                self._done[index] = Scored(image.key, image.pixels)
            else:
                self._add(index, image.key, image.pixels)
            while self._held_pixels > MAX_HELD_PIXELS or (
                self._waiting and index + 1 - self._next > WINDOW_BATCHES * self._batch_size
            ):
                self._score_group(next(iter(self._waiting)))
                yield from self._ready()
            yield from self._ready()
        while self._waiting:
            self._score_group(next(iter(self._waiting)))
            yield from self._ready()
        if given.error is not None:
            raise given.error

    def _add(self, index: int, key: Key, pixels: NDArray[np.uint8]) -> None:
        group = self._waiting.setdefault(pixels.shape, [])
        group.append((index, key, pixels))
        size = pixels.shape[0] * pixels.shape[1]
        self._held_pixels += size
        if len(group) >= min(self._batch_size, max(1, MAX_BATCH_PIXELS // size)):
            self._score_group(pixels.shape)

    def _score_group(self, shape: tuple[int, ...]) -> None:
        group = self._waiting.pop(shape)
        self._held_pixels -= len(group) * shape[0] * shape[1]
        try:
            self._score_together(group)
        except ModelError:
            self._score_one_by_one(group)

    def _score_together(self, group: list[_Waiting[Key]]) -> None:
        start = time.perf_counter()
        probabilities = self._score(np.stack([pixels for _, _, pixels in group]))  # (n, H, W, C) -> (n, classes)
        latency_ms = (time.perf_counter() - start) * 1e3 / len(group)
        for (index, key, _), row in zip(group, probabilities, strict=True):
            self._done[index] = Scored(key, row, latency_ms)

    def _score_one_by_one(self, group: list[_Waiting[Key]]) -> None:
        """What failed together may not have failed by every image, and a smaller batch also takes less memory."""
        for image in group:
            try:
                self._score_together([image])
            except ModelError as error:
                index, key, _ = image
                self._done[index] = Scored(
                    key, ImageError(f"{shown_name(str(key))}: the model cannot take it: {error}")
                )

    def _ready(self) -> Iterator[Scored[Key]]:
        while self._next in self._done:
            yield self._done.pop(self._next)
            self._next += 1
