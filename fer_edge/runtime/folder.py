"""Finds image files in folders and opens them in threads, a little ahead of the model."""

import glob
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from threading import Event

from fer_edge.errors import ImageError
from fer_edge.runtime.batching import Decoded, UntilError
from fer_edge.runtime.file_kind import IMAGE, RUN, kind_of, mistaken
from fer_edge.runtime.images import SUFFIXES, ImageSource, open_image
from fer_edge.runtime.known_formats import AVIF, HEIC, can_open
from fer_edge.runtime.left_out import LeftOut
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


@cache
def image_suffixes() -> frozenset[str]:
    """In small letters, those of the files that a folder is searched for: HEIC and AVIF where they can be opened."""
    suffixes = set(SUFFIXES)
    if can_open(HEIC):
        suffixes |= {".heic", ".heif"}
    if can_open(AVIF):
        suffixes.add(".avif")
    return frozenset(suffixes)


def images_in(folder: str | Path, left_out: LeftOut | None = None) -> Iterator[Path]:
    """Image files (by their suffix) in ``folder`` and below, by name, without hidden ones; links to folders are not
    followed, so loops cannot happen. ``left_out`` counts the other files. Raises ImageError when there is no such
    folder, and in the end, when every other file was given, for folders below it that cannot be read."""
    unreadable: list[OSError] = []
    yield from _walk(folder, unreadable, left_out)
    _refuse_unreadable(unreadable)


def _walk(folder: str | Path, unreadable: list[OSError], left_out: LeftOut | None) -> Iterator[Path]:
    """The files of ``images_in``; folders that cannot be read are added to ``unreadable``."""
    if not os.path.isdir(folder):  # noqa: PTH112  # Path.is_dir raises where a folder above cannot be read
        raise ImageError(f"{shown_name(str(folder))}: expected a folder, found none")
    for root, folders, files in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in image_suffixes():
                yield Path(root, name)
            elif left_out is not None:
                left_out.add(Path(root, name))


def _refuse_unreadable(unreadable: list[OSError]) -> None:
    if unreadable:
        first = unreadable[0]
        names = ", ".join(shown_name(one.filename) for one in unreadable)
        expected = "a folder that can be read" if len(unreadable) == 1 else "folders that can be read"
        raise ImageError(f"{names}: expected {expected}, found: {first.strerror or first}")


def count_images(folder: str | Path) -> int:
    """How many files ``images_in`` yields. Raises ImageError when there are none."""
    unreadable: list[OSError] = []
    total = sum(1 for _ in _walk(folder, unreadable, None))
    if total == 0:
        _refuse_unreadable(unreadable)
        left_out = LeftOut()
        deque(_walk(folder, unreadable, left_out), maxlen=0)
        raise _none_found(str(folder), left_out)
    return total


def _none_found(name: str, left_out: LeftOut) -> ImageError:
    found = f"none in {left_out.told()}" if left_out else "none"
    return ImageError(
        f"{shown_name(name)}: expected image files ({', '.join(sorted(image_suffixes()))}), found {found}"
    )


def images_named(argument: str, left_out: LeftOut | None = None) -> Iterator[Path | str]:
    """The image files that one word of a command line means: a file, a folder (as ``images_in``) or a glob.

    What is none of these is passed on as it is, so that opening it says what is wrong. ``left_out`` counts the other
    files of a folder or glob, but where no image is among them: the error tells them. Raises ImageError when a folder
    or a glob has no image.
    """
    # os.path: Path's own raise for names that are too long, and where a folder above cannot be read.
    if os.path.isdir(argument):  # noqa: PTH112
        if kind_of(Path(argument)) is RUN:
            raise ImageError(f"{shown_name(argument)}: expected images, {mistaken(argument, IMAGE)}")
        count_images(argument)
        yield from images_in(argument, left_out)
    elif os.path.exists(argument) or not glob.has_magic(argument):  # noqa: PTH110
        yield argument
    else:
        matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
        found = [path for path in matches if Path(path).suffix.lower() in image_suffixes()]
        others = LeftOut() if left_out is None or not found else left_out
        if not found or left_out is not None:
            for path in sorted({*matches} - {*found}):
                if os.path.isfile(path):  # noqa: PTH113
                    others.add(Path(path))
        if not found:
            raise _none_found(argument, others)
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
    is_stopped = Event()
    pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="decode")
    try:
        while True:
            limit = threads if largest is None else max(threads, min(ahead, MAX_AHEAD_BYTES // largest))
            part = list(islice(remaining, max(1, min(IMAGES_PER_TASK, limit // (2 * threads)))))
            if part:
                pending.append(pool.submit(_decode_all, part, reduces, is_stopped))
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
    finally:  # the consumer stopped early, by Ctrl-C for one: nothing more is opened, and nobody waits for what is
        is_stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _decode_all(images: list[tuple[str, ImageSource]], reduces: bool, is_stopped: Event) -> list[Decoded[str]]:
    found = []
    for name, image in images:
        if is_stopped.is_set():  # a large image takes seconds, and eight of them half a minute
            break
        found.append(decode(name, image, reduces=reduces))
    return found


def decode(name: str, source: ImageSource, *, reduces: bool = True) -> Decoded[str]:
    """Open one image; an error comes as a value, to be met when it is the image's turn."""
    try:
        opened = open_image(source, name=shown_name(name), reduces=reduces)
        return Decoded(name, opened.pixels, (opened.width, opened.height), opened.factor)
    except ImageError as error:
        return Decoded(name, error)
