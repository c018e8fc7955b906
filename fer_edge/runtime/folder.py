"""Finds image files in folders and opens them in threads, a little ahead of the model."""

import glob
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from fer_edge.errors import ImageError
from fer_edge.runtime.batching import Decoded, UntilError
from fer_edge.runtime.file_kind import IMAGE, RUN, kind_of, mistaken
from fer_edge.runtime.images import SUFFIXES, ImageSource, open_image
from fer_edge.runtime.pixels import check_pair
from fer_edge.runtime.prediction import Prediction
from fer_edge.text import shown_name

MAX_AHEAD_BYTES = 2**27
"""Pixels that may be open ahead of the model: 128 MB. Large photos are opened fewer at a time."""


IMAGES_PER_TASK = 8
"""Small images are handed to a thread together: opening one takes no longer than handing it over."""


@dataclass(frozen=True)
class Outcome:
    """What became of one image: its prediction, or the error that names it."""

    source: str
    prediction: Prediction | None
    error: ImageError | None


def images_in(folder: str | Path) -> Iterator[Path]:
    """Image files (by their suffix) in ``folder`` and below, by name, without hidden ones; links to folders are not
    followed, so loops cannot happen. Raises ImageError when there is no such folder, and in the end, when every other
    file was given, for folders below it that cannot be read."""
    unreadable: list[OSError] = []
    yield from _walk(folder, unreadable)
    _refuse_unreadable(unreadable)


def _walk(folder: str | Path, unreadable: list[OSError]) -> Iterator[Path]:
    """The files of ``images_in``; what cannot be read is added to ``unreadable``."""
    if not os.path.isdir(folder):  # noqa: PTH112  # Path.is_dir raises where a folder above cannot be read
        raise ImageError(f"{shown_name(str(folder))}: expected a folder, found none")
    for root, folders, files in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(root, name)


def _refuse_unreadable(unreadable: list[OSError]) -> None:
    if unreadable:
        first = unreadable[0]
        names = ", ".join(shown_name(one.filename) for one in unreadable)
        expected = "a folder that can be read" if len(unreadable) == 1 else "folders that can be read"
        raise ImageError(f"{names}: expected {expected}, found: {first.strerror or first}")


def count_images(folder: str | Path) -> int:
    """How many files ``images_in`` yields. Raises ImageError when there are none."""
    unreadable: list[OSError] = []
    total = sum(1 for _ in _walk(folder, unreadable))
    if total == 0:
        _refuse_unreadable(unreadable)
        raise ImageError(f"{shown_name(str(folder))}: expected image files ({', '.join(sorted(SUFFIXES))}), found none")
    return total


def images_named(argument: str) -> Iterator[Path | str]:
    """The image files that one word of a command line means: a file, a folder (as ``images_in``) or a glob.

    What is none of these is passed on as it is, so that opening it says what is wrong. Raises ImageError when a folder
    or a glob has no image.
    """
    # os.path: Path's own raise for names that are too long, and where a folder above cannot be read.
    if os.path.isdir(argument):  # noqa: PTH112
        if kind_of(Path(argument)) is RUN:
            raise ImageError(f"{shown_name(argument)}: expected images, {mistaken(argument, IMAGE)}")
        count_images(argument)
        yield from images_in(argument)
    elif os.path.exists(argument) or not glob.has_magic(argument):  # noqa: PTH110
        yield argument
    else:
        matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
        found = [path for path in matches if Path(path).suffix.lower() in SUFFIXES]
        if not found:
            raise ImageError(
                f"{shown_name(argument)}: expected image files ({', '.join(sorted(SUFFIXES))}), found none"
            )
        yield from found


def decode_ahead(
    images: Iterable[tuple[str, ImageSource]], *, threads: int, ahead: int, reduces: bool = True
) -> Iterator[Decoded[str]]:
    """Open named images in ``threads`` threads, in order; one that cannot be opened comes as its error.

    At most ``ahead`` images and about MAX_AHEAD_BYTES of pixels are opened before they are asked for. With ``reduces``
    large ones are made smaller (``open_image``).
    """
    given = UntilError(map(check_pair, images))
    remaining = iter(given)
    largest: int | None = None  # bytes of the largest image so far: the guess for those still being opened
    pending: deque[Future[list[Decoded[str]]]] = deque()
    num_pending = 0
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="decode") as pool:
        try:
            while True:
                limit = threads if largest is None else max(threads, min(ahead, MAX_AHEAD_BYTES // largest))
                part = list(islice(remaining, max(1, min(IMAGES_PER_TASK, limit // (2 * threads)))))
                if part:
                    pending.append(pool.submit(_decode_all, part, reduces))
                    num_pending += len(part)
                elif not pending:
                    if given.error is not None:
                        raise given.error
                    return
                while pending and (num_pending >= limit or not part):
                    for decoded in pending.popleft().result():
                        num_pending -= 1
                        if not isinstance(decoded.pixels, ImageError):
                            largest = max(largest or 1, decoded.pixels.nbytes)
                        yield decoded
        finally:  # the consumer stopped early: nothing more is opened
            for future in pending:
                future.cancel()


def _decode_all(images: list[tuple[str, ImageSource]], reduces: bool) -> list[Decoded[str]]:
    return [decode(name, image, reduces=reduces) for name, image in images]


def decode(name: str, source: ImageSource, *, reduces: bool = True) -> Decoded[str]:
    """Open one image; an error comes as a value, to be met when it is the image's turn."""
    try:
        opened = open_image(source, name=shown_name(name), reduces=reduces)
        return Decoded(name, opened.pixels, (opened.width, opened.height), opened.factor)
    except ImageError as error:
        return Decoded(name, error)
