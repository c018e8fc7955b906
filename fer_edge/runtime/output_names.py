"""Names of files that are made of images, one or more for each: told apart, short enough, and no image's own."""

import os
import sys
import unicodedata
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from fer_edge.files import file_identity

_MAX_NAME_BYTES = 255
"""Of a file's name on nearly every system."""


class OutputNames:
    """Hands out paths in ``folder``, none twice, in time that grows with their number.

    Names that differ only in case or in how accents are composed are one file on some systems: told apart, too.
    """

    def __init__(self, folder: Path, images: Collection[tuple[int, int] | str] = frozenset()) -> None:
        """``images``: the ``file_identity`` of files whose names are not handed out."""
        self._folder = folder
        self._images = images
        self._taken: set[str] = set()
        self._last: dict[str, int] = {}
        """The number that was tried last for names that would be equal without one."""
        self._max_bytes = _max_name_bytes(folder)

    def path(self, stem: str, ending: str) -> Path:
        """``folder/STEM-ENDING``; with a number before the suffix where that is taken. ``ending``: ``faces.jpg``.

        A stem too long for a file's name is cut.
        """
        kind, suffix = Path(ending).stem, Path(ending).suffix
        room = self._max_bytes - len(f"-{kind}-{sys.maxsize}{suffix}")
        first = f"{_cut(stem, room)}-{kind}"
        key = _as_one_name(first)
        while True:
            number = self._last[key] = self._last.get(key, 0) + 1
            name = f"{first}-{number}{suffix}" if number > 1 else f"{first}{suffix}"
            path = self._folder / name
            if _as_one_name(name) not in self._taken and not (self._images and file_identity(path) in self._images):
                self._taken.add(_as_one_name(name))
                return path


def _as_one_name(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _cut(stem: str, max_bytes: int) -> str:
    """The first characters of ``stem``, as many as ``max_bytes`` have room for."""
    if len(os.fsencode(stem)) <= max_bytes:
        return stem
    total = 0
    for end, character in enumerate(stem):
        total += len(os.fsencode(character))
        if total > max_bytes:
            return stem[:end]
    return stem


def _max_name_bytes(folder: Path) -> int:
    """What the file system of ``folder``, or of what it is to be made in, allows."""
    if hasattr(os, "pathconf"):  # not on Windows
        for place in (folder, *folder.absolute().parents):
            with suppress(OSError, ValueError):
                return min(_MAX_NAME_BYTES, int(os.pathconf(place, "PC_NAME_MAX")))
    return _MAX_NAME_BYTES
