"""Files that a command may write again: each folder keeps a list of what was written there, by name and SHA-256.

A command never writes over a file that it did not write itself, nor over one that somebody changed since. ``LIST`` is a
hidden file beside the written ones, a line of JSON for each. Lines are only ever added: many files take linear time,
and two commands at once lose nothing. For whole folders that are written again see ``fer_edge.folder_manifest``.
"""

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from fer_edge.errors import StorageError
from fer_edge.files import make_folder, require_writable, storage_errors
from fer_edge.folder_files import is_folder_model, sha256_of
from fer_edge.text import as_utf8, shown_name

LIST = ".fer-edge-files.jsonl"
"""Name of the list in every folder that files were written to."""

_MAX_LIST_BYTES = 2**28
"""Two million files; what is longer was not written here."""

_FILE = "another file"


class OwnFiles:
    """The files of one command. ``remedy``: what to do other than moving a foreign file away, e.g. "choose another with
    --out"."""

    def __init__(self, remedy: str) -> None:
        self._remedy = remedy
        self._known: dict[Path, dict[str, set[str]]] = {}
        """The lists of the folders, as they were read or written last."""
        self._accepted: set[Path] = set()
        self._writable: set[Path] = set()
        """The folders in which files could be made."""

    def accept(self, path: Path) -> None:
        """Take ``path`` as it is now for one of ours: for a file that says by its content that a command wrote it."""
        sha256 = sha256_of(path)
        if sha256 is not None:
            self._hashes(path).add(sha256)
            self._accepted.add(path)

    def knows(self, path: Path) -> bool:
        """Whether a command wrote a file of this name there once, whatever it is now."""
        return bool(self._hashes(path))

    def is_foreign(self, path: Path) -> bool:
        """Whether ``path`` is taken by what no command wrote, or by a link. Raises StorageError."""
        return bool(self._foreign(path, set()))

    def refuse_foreign(self, paths: Iterable[Path]) -> None:
        """Raise StorageError where writing ``paths`` would replace what no command wrote, or a link, and where their
        folders cannot be written or made.

        Call it before the work, too: nobody likes to hear it after minutes.
        """
        reread: set[Path] = set()
        paths = list(paths)
        foreign = [(path, found) for path in paths if (found := self._foreign(path, reread))]
        if foreign:
            (path, found), others = foreign[0], len(foreign) - 1
            more = f" (and {others} more)" if others else ""
            raise StorageError(
                f"{shown_name(path)}{more}: expected no file, or one that was written here before, "
                f"found {found}, which is kept; move it away, or {self._remedy}"
            )
        for folder in {path.parent: None for path in paths if path.parent not in self._writable}:
            require_writable(folder)
            self._writable.add(folder)

    @contextmanager
    def writing(self, *paths: Path) -> Iterator[None]:
        """Let the block write ``paths``, whose folders are made where missing, and remember what it wrote, also
        where it fails half-way.

        Raises StorageError as ``refuse_foreign`` does: what is free before long work may be taken after it.
        """
        self.refuse_foreign(paths)
        folders = [path.parent for path in paths]
        missing = {one for folder in folders for one in (folder, *folder.parents) if not os.path.lexists(one)}
        for folder in folders:
            make_folder(folder)
        before = {path: sha256_of(path) for path in paths}
        for path in self._accepted.intersection(paths):  # one that a crash leaves as it was stays ours
            _add(path, before[path] or "")
        try:
            yield
        except BaseException:
            with suppress(StorageError):  # the block's own error says more
                self._remember(before)
            for folder in sorted(missing, key=lambda one: -len(one.parts)):
                with suppress(OSError):  # what was written in it stays
                    folder.rmdir()
            raise
        self._remember(before)

    def _remember(self, before: Mapping[Path, str | None]) -> None:
        for path, earlier in before.items():
            sha256 = sha256_of(path)
            if sha256 is not None and sha256 != earlier:
                _add(path, sha256)
                self._hashes(path).add(sha256)

    def _hashes(self, path: Path) -> set[str]:
        """Of what was written as ``path``, by the list of its folder as it was read or written last."""
        if path.parent not in self._known:
            self._known[path.parent] = _read(path.parent)
        return self._known[path.parent].setdefault(as_utf8(path.name), set())

    def _foreign(self, path: Path, reread: set[Path]) -> str:
        """What has the place of ``path`` and is not ours, in words; empty where it may be written. ``reread``: folders
        whose lists were read in this call."""
        found = _found(path)
        if found != _FILE:
            return found
        sha256, folder, hashes = sha256_of(path), path.parent, self._hashes(path)
        if sha256 not in hashes and folder not in reread:
            for name, added in _read(folder).items():  # another command may have added to it
                self._known[folder].setdefault(name, set()).update(added)
            reread.add(folder)
        if sha256 in hashes:
            return ""
        return "one that was changed since" if hashes else _FILE


def _found(path: Path) -> str:
    """What has the place of ``path``, in words; empty where it is free. Raises StorageError."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):  # the folder is to be made; or writing says what is wrong with it
        return ""
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
            return ""
        with storage_errors(path):
            raise
    if path.is_symlink():
        return "a link"
    if is_folder_model(path):
        return _FILE
    if path.is_dir():
        return "a folder"
    return _FILE if path.is_file() else "a device or pipe"


def _read(folder: Path) -> dict[str, set[str]]:
    """Name to the SHA-256 of every content that was written under it in ``folder``; a damaged line is none."""
    known: dict[str, set[str]] = {}
    place = folder / LIST
    with suppress(OSError):
        if place.is_symlink() or not place.is_file() or place.stat().st_size > _MAX_LIST_BYTES:
            return known
        for line in place.read_bytes().splitlines():
            with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
                entry = json.loads(line)
                known.setdefault(entry["name"], set()).add(entry["sha256"])
    return known


def _add(path: Path, sha256: str) -> None:
    """Add a line to the list of the folder of ``path``. Raises StorageError."""
    place = path.parent / LIST
    # The line break comes first: what a full disk cut off before spoils no more than its own line.
    line = "\n" + json.dumps({"name": as_utf8(path.name), "sha256": sha256})
    with storage_errors(place):
        # No link is followed: the list is a file of the folder itself.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(place, flags, 0o666)
        try:
            if os.write(descriptor, line.encode("ascii")) < len(line):
                raise OSError(errno.ENOSPC, "")
        finally:
            os.close(descriptor)
