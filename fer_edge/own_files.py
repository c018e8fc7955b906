"""Files that a command may write again: each folder keeps a list of what was written there, by name and SHA-256.

A command never writes over a file that it did not write itself, nor over one that somebody changed since. ``LIST`` is a
hidden file beside the written ones, a line of JSON for each. Lines are only ever added: many files take linear time.
Two commands at once wait for each other while a file is written and listed: neither takes the other's for foreign.
For whole folders that are written again see ``fer_edge.folder_manifest``.
"""

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from fer_edge.errors import StorageError
from fer_edge.files import require_writable, storage_errors
from fer_edge.folder_files import is_folder_model, sha256_of
from fer_edge.folder_lock import locked_folder
from fer_edge.text import as_utf8, shown_name

LIST = ".fer-edge-files.jsonl"
"""Name of the list in every folder that files were written to."""

_MAX_LIST_BYTES = 2**28
"""Two million files; what is longer was not written here."""

_FILE = "another file"
_CHANGED = "one that was changed since"


class OwnFiles:
    """The files of one command. ``remedy``: what to do other than moving a foreign file away, e.g. "choose another with
    --out"."""

    def __init__(self, remedy: str) -> None:
        self._remedy = remedy
        self._lists: dict[Path, _FolderList] = {}
        """Of the folders, as they were read or written last."""
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
        return bool(self._foreign([path]))

    def source_of(self, path: Path) -> str:
        """Of what ``path`` was made last, as ``writing`` was told; empty where that is not known, or nothing is there.

        Another command's word from this moment counts, too.
        """
        folder = self._list(path.parent)
        folder.read_on()
        return folder.sources.get(as_utf8(path.name), "") if os.path.lexists(path) else ""

    def refuse_foreign(self, paths: Iterable[Path]) -> None:
        """Raise StorageError where writing ``paths`` would replace what no command wrote, or a link, and where their
        folders cannot be written or made.

        Call it before the work, too: nobody likes to hear it after minutes.
        """
        paths = list(paths)
        if foreign := self._foreign(paths):
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
    def writing(self, *paths: Path, source: str = "") -> Iterator[None]:
        """Let the block write ``paths``, whose folders are made where missing, and remember what it wrote, also
        where it fails half-way. Other commands that write there wait meanwhile. ``source``: what they are made of.

        Raises StorageError as ``refuse_foreign`` does: what is free before long work may be taken after it.
        """
        with self.alone_in(*(path.parent for path in paths)):
            self.refuse_foreign(paths)
            before = {path: sha256_of(path) for path in paths}
            for path in self._accepted.intersection(paths):  # one that a crash leaves as it was stays ours
                self._list(path.parent).add(path.name, before[path] or "", source)
            try:
                yield
            except BaseException:
                with suppress(StorageError):  # the block's own error says more
                    self._remember(before, source)
                raise
            self._remember(before, source)

    @contextmanager
    def alone_in(self, *folders: Path) -> Iterator[None]:
        """Let no other command write into ``folders``, which are made where missing, and go again where the block
        fails with nothing in them. Raises StorageError."""
        missing = {one for folder in folders for one in (folder, *folder.parents) if not os.path.lexists(one)}
        with ExitStack() as locks:
            try:
                for folder in sorted({Path(os.path.realpath(folder)) for folder in folders}):  # one order for all
                    locks.enter_context(locked_folder(folder))
                yield
            except BaseException:
                for folder in sorted(missing, key=lambda one: -len(one.parts)):
                    with suppress(OSError):  # what was written in it stays
                        folder.rmdir()
                raise

    def _remember(self, before: Mapping[Path, str | None], source: str) -> None:
        for path, earlier in before.items():
            sha256, name, folder = sha256_of(path), as_utf8(path.name), self._list(path.parent)
            if sha256 is not None and (sha256 != earlier or folder.sources.get(name, "") != source):
                folder.add(path.name, sha256, source)

    def _list(self, folder: Path) -> "_FolderList":
        if folder not in self._lists:
            self._lists[folder] = _FolderList(folder)
        return self._lists[folder]

    def _hashes(self, path: Path) -> set[str]:
        """Of what was written as ``path``, by the list of its folder as it was read or written last."""
        return self._list(path.parent).hashes.setdefault(as_utf8(path.name), set())

    def _foreign(self, paths: list[Path]) -> list[tuple[Path, str]]:
        """Those whose place is taken by what is not ours, each with what that is in words."""
        foreign = [(path, found) for path in paths if (found := self._in_the_way(path))]
        for folder in {path.parent for path, found in foreign if found in (_FILE, _CHANGED)}:
            # Another command may have listed it since, or be about to: between writing and listing it is alone there.
            with locked_folder(folder):
                self._list(folder).read_on()
        return [(path, found) for path, _ in foreign if (found := self._in_the_way(path))]

    def _in_the_way(self, path: Path) -> str:
        """What has the place of ``path`` and is not ours, in words; empty where it may be written."""
        found = _found(path)
        if found != _FILE:
            return found
        hashes = self._hashes(path)
        if sha256_of(path) in hashes:
            return ""
        return _CHANGED if hashes else _FILE


class _FolderList:
    """The list of one folder: every content that was written under a name, and of what that was made last."""

    def __init__(self, folder: Path) -> None:
        self._place = folder / LIST
        self._last_line = 0
        """Where it begins, in bytes."""
        self.hashes: dict[str, set[str]] = {}
        self.sources: dict[str, str] = {}
        self.read_on()

    def read_on(self) -> None:
        """Read what was added since; a damaged line is none."""
        with suppress(OSError):
            if self._place.is_symlink() or not self._place.is_file():
                return
            size = self._place.stat().st_size
            if size > _MAX_LIST_BYTES:
                return
            start = self._last_line if size > self._last_line else 0
            with self._place.open("rb") as stream:
                stream.seek(start)
                added = stream.read()
            # The last line is read again next time: another command may not have written it to its end.
            self._last_line = start + max(added.rfind(b"\n"), 0)
            for line in added.splitlines():
                with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
                    entry = json.loads(line)
                    self._note(entry["name"], entry["sha256"], str(entry.get("source", "")))

    def add(self, name: str, sha256: str, source: str) -> None:
        """Add a line. Raises StorageError."""
        entry = {"name": as_utf8(name), "sha256": sha256} | ({"source": source} if source else {})
        # The line break comes first: what a full disk cut off before spoils no more than its own line.
        line = "\n" + json.dumps(entry)
        with storage_errors(self._place):
            # No link is followed: the list is a file of the folder itself.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            descriptor = os.open(self._place, flags, 0o666)
            try:
                if os.write(descriptor, line.encode("ascii")) < len(line):
                    raise OSError(errno.ENOSPC, "")
            finally:
                os.close(descriptor)
        self._note(entry["name"], sha256, source)

    def _note(self, name: str, sha256: str, source: str) -> None:
        self.hashes.setdefault(name, set()).add(sha256)
        self.sources[name] = source


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
