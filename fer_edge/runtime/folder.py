"""Finds image files in folders and opens them in threads, a little ahead of the model."""

import glob
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fer_edge.errors import ImageError
from fer_edge.runtime.batching import Decoded
from fer_edge.runtime.images import SUFFIXES, ImageSource, decode_image, shown
from fer_edge.runtime.prediction import Prediction

MAX_AHEAD_BYTES = 2**27
"""Pixels that may be open ahead of the model: 128 MB. Large photos are opened fewer at a time."""


@dataclass(frozen=True)
class Outcome:
    """What became of one image: its prediction, or the error that names it."""

    source: str
    prediction: Prediction | None
    error: ImageError | None


def images_in(folder: str | Path) -> Iterator[Path]:
    """Image files (by their suffix) in ``folder`` and below, by name, without hidden ones; links to folders are not
    followed, so loops cannot happen. Raises ImageError when there is no such folder."""
    if not Path(folder).is_dir():
        raise ImageError(f"{shown(str(folder))}: expected a folder, found none")
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(root, name)


def count_images(folder: str | Path) -> int:
    """How many files ``images_in`` yields. Raises ImageError when there are none."""
    total = sum(1 for _ in images_in(folder))
    if total == 0:
        raise ImageError(f"{shown(str(folder))}: expected image files ({', '.join(sorted(SUFFIXES))}), found none")
    return total


def images_named(argument: str) -> Iterator[Path | str]:
    """The image files that one word of a command line means: a file, a folder (as ``images_in``) or a glob.

    What is none of these is passed on as it is, so that opening it says what is wrong. Raises ImageError when a folder
    or a glob has no image.
    """
    if Path(argument).is_dir():
        count_images(argument)
        yield from images_in(argument)
    elif Path(argument).exists() or not glob.has_magic(argument):
        yield argument
    else:
        matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
        found = [path for path in matches if Path(path).suffix.lower() in SUFFIXES]
        if not found:
            raise ImageError(f"{shown(argument)}: expected image files ({', '.join(sorted(SUFFIXES))}), found none")
        yield from found


def decode_ahead(images: Iterable[tuple[str, ImageSource]], *, threads: int, ahead: int) -> Iterator[Decoded[str]]:
    """Open named images in ``threads`` threads, in order; one that cannot be opened comes as its error.

    At most ``ahead`` images and about MAX_AHEAD_BYTES of pixels are opened before they are asked for.
    """
    largest = 1  # bytes of the largest image so far: the guess for those still being opened
    pending: deque[Future[Decoded[str]]] = deque()
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="decode") as pool:
        try:
            for name, image in images:
                pending.append(pool.submit(decode, name, image))
                while len(pending) >= max(threads, min(ahead, MAX_AHEAD_BYTES // largest)):
                    decoded = pending.popleft().result()
                    largest = max(largest, 0 if isinstance(decoded.pixels, ImageError) else decoded.pixels.nbytes)
                    yield decoded
            while pending:
                yield pending.popleft().result()
        finally:  # the consumer stopped early: nothing more is opened
            for future in pending:
                future.cancel()


def decode(name: str, source: ImageSource) -> Decoded[str]:
    """Open one image; an error comes as a value, to be met when it is the image's turn."""
    try:
        return Decoded(name, decode_image(source, name=name))
    except ImageError as error:
        return Decoded(name, error)
