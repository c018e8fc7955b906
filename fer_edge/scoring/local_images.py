"""The image files of a folder of this machine, as a stream in the order of their names.

However many files a folder has, WINDOW of its names are held at a time: it is read again for the next ones.
"""

import heapq
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

from fer_edge.files import file_identity
from fer_edge.scoring.items import Item
from fer_edge.text import shown_name

WINDOW = 2**17
"""Names, 10 to 20 MB. A folder of a million files is read eight times, which takes seconds."""


class PassedOver:
    """Folders that could not be listed: how many, and the first; and files that are no images by their names."""

    def __init__(self) -> None:
        self.count = 0
        self.first: str | None = None
        self.files: Counter[str] = Counter()
        """How many, by suffix in small letters (``.mp4``), or ``other`` without one."""

    def add(self, folder: str, reason: object) -> None:
        """Count one."""
        self.count += 1
        self.first = self.first or f"{shown_name(folder)}: {reason}"

    def add_file(self, name: str) -> None:
        """Count a file that is no image; hidden ones, our own results and notes of systems and cameras are not."""
        from fer_edge.runtime.left_out import OTHER, is_silent

        if not is_silent(name):
            self.files[os.path.splitext(name)[1].lower() or OTHER] += 1  # noqa: PTH122


def local_images(folder: str, out: str | None, unreadable: PassedOver) -> Iterator[Item]:
    """Image files (by their suffix) in ``folder`` and below, without hidden ones and without the folder ``out``.

    Links to folders are not followed, so that loops cannot happen; links to files are. The files of a folder come
    before those of the folders in it. What cannot be listed is counted in ``unreadable``.
    """
    left_out = None if out is None else file_identity(out)
    pending: list[Iterator[str]] = [iter((folder,))]
    while pending:
        current = next(pending[-1], None)
        if current is None:
            pending.pop()
        elif left_out is None or file_identity(current) != left_out:
            _count_others(current, unreadable)
            for name in _names(current, _is_image, unreadable):
                path = os.path.join(current, name)  # noqa: PTH118  # a Path costs more than all the rest
                yield Item(path, path, _stamp(path))
            pending.append(_below(current, unreadable))


def _below(folder: str, unreadable: PassedOver) -> Iterator[str]:
    for name in _names(folder, _is_folder, unreadable):
        yield os.path.join(folder, name)  # noqa: PTH118


def _names(folder: str, is_wanted: Callable[["os.DirEntry[str]"], bool], unreadable: PassedOver) -> Iterator[str]:
    """Names of the wanted entries, sorted."""
    after = ""  # no name is smaller, or empty
    while True:
        try:
            with os.scandir(folder) as entries:
                found = heapq.nsmallest(WINDOW, (one.name for one in entries if one.name > after and is_wanted(one)))
        except OSError as error:
            unreadable.add(folder, error.strerror or error)
            return
        yield from found
        if len(found) < WINDOW:
            return
        after = found[-1]


def _count_others(folder: str, unreadable: PassedOver) -> None:
    with suppress(OSError), os.scandir(folder) as entries:  # said when its images are listed
        for entry in entries:
            if not is_image_name(entry.name) and entry.is_file():
                unreadable.add_file(entry.name)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    return not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)


def _is_image(entry: "os.DirEntry[str]") -> bool:
    return is_image_name(entry.name) and not _leads_to_folder(entry)


def _leads_to_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a loop: opening it says so
        return False


def is_image_name(name: str) -> bool:
    """Whether a file of this name is looked at in a folder."""
    from fer_edge.runtime.folder import image_suffixes

    return not name.startswith(".") and os.path.splitext(name)[1].lower() in image_suffixes()  # noqa: PTH122


def _stamp(path: str) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return "none"
    return f"{status.st_size} {status.st_mtime_ns}"
