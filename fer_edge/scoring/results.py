"""The folder of a run's rows: whose it is, which run it is of, and the files that are written already."""

import io
import json
import os
import re
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fer_edge import leftovers
from fer_edge.errors import StorageError, UsageError
from fer_edge.files import make_folder, storage_errors, write_bytes
from fer_edge.scoring.columns import part_facts
from fer_edge.scoring.remote import as_local, file_system, is_address, remote_error
from fer_edge.text import shown_name

if TYPE_CHECKING:
    from fer_edge.scoring.report import PartFacts

MANIFEST, LOCK = "_score.json", "_score.lock"
"""Readers of Parquet folders (pyarrow, pandas, Spark, DuckDB's globs) leave out names that begin with an underscore."""
_PART = re.compile(r"part-([0-9]{6,})-([0-9a-f]{16})\.parquet")
_MAX_MANIFEST_BYTES = 2**24


def part_name(number: int, digest: str) -> str:
    """``part-000012-0123456789abcdef.parquet``."""
    return f"part-{number:06d}-{digest}.parquet"


def results_folder(out: str) -> "ResultsFolder | RemoteResults":
    """The folder that a path or an address names; nothing is written yet."""
    return RemoteResults(out) if is_address(out) else ResultsFolder(as_local(out))


class ResultsFolder:
    """A folder of this machine, held by this process inside ``with``: nobody else can hold it at the same time.

    The hold ends with the process, however it ends. Entering raises UsageError where another run holds the folder or
    other files are in it, and StorageError where it cannot be written.
    """

    def __init__(self, out: str) -> None:
        self.where = os.path.abspath(out)  # noqa: PTH100
        self._path = Path(self.where)
        self._lock: Any = None
        self._is_new = False

    def __enter__(self) -> "ResultsFolder":
        from filelock import FileLock, Timeout

        if os.path.lexists(self.where) and not os.path.isdir(self.where):  # noqa: PTH112
            raise UsageError(f"--out {shown_name(self.where)}: expected a folder, or a name that is free, found a file")
        self._is_new = not os.path.isdir(self.where)  # noqa: PTH112
        if not self._is_new:
            self._refuse_foreign()
        make_folder(self._path)
        with storage_errors(self._path):
            self._lock = FileLock(self._path / LOCK)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise UsageError(
                    f"--out {shown_name(self.where)}: expected a folder that nobody is using, found another run that "
                    "writes into it; wait for it, stop it, or choose another"
                ) from None
        with suppress(OSError):  # what cannot be removed is in nobody's way
            leftovers.sweep(self._path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:  # workers that were killed leave what they were writing
            with suppress(OSError):
                leftovers.sweep(self._path)
        if kind is not None and self._is_new and not (self._path / MANIFEST).exists():
            with suppress(OSError):
                (self._path / LOCK).unlink(missing_ok=True)
                self._path.rmdir()
        self._lock.release()

    def _refuse_foreign(self) -> None:
        with storage_errors(self._path), os.scandir(self.where) as entries:
            names = [entry.name for entry in entries]
        others = [name for name in names if name != LOCK and not leftovers.is_temporary(name)]
        if others and MANIFEST not in names:
            raise UsageError(
                f"--out {shown_name(self.where)}: expected a new or empty folder, or one of an earlier run, found "
                f"other files ({shown_name(min(others))}); choose another"
            )

    def read_manifest(self) -> bytes | None:
        """Its bytes; None where there is none."""
        path = self._path / MANIFEST
        if not path.exists():
            return None
        with storage_errors(path), path.open("rb") as stream:
            return stream.read(_MAX_MANIFEST_BYTES)

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all. Raises StorageError."""
        write_bytes(self._path / name, data)

    def parts(self) -> dict[str, str]:
        """The files of rows by the digests of their chunks."""
        with storage_errors(self._path), os.scandir(self.where) as entries:
            found = [(match[2], match[0]) for entry in entries if (match := _PART.fullmatch(entry.name))]
        return dict(found)

    def facts(self, name: str) -> "PartFacts":
        """What a file of rows says about itself. Raises ValueError for a damaged one."""
        return part_facts(os.fspath(self._path / name))

    def rename(self, name: str, new: str) -> None:
        """Give a file the number that its chunk has by now. Raises StorageError."""
        with storage_errors(self._path / new):
            (self._path / name).replace(self._path / new)

    def remove(self, name: str) -> None:
        """Remove a file of rows, of images that are no longer there. Raises StorageError."""
        with storage_errors(self._path / name):
            (self._path / name).unlink(missing_ok=True)


class RemoteResults:
    """A folder behind an address. Storages have no locks: two runs at once are not told apart there."""

    def __init__(self, out: str) -> None:
        self.where = out.rstrip("/")
        self._system, self._root = file_system(self.where)

    def __enter__(self) -> "RemoteResults":
        names = self._names()
        if names and MANIFEST not in names:
            raise UsageError(
                f"--out {shown_name(self.where)}: expected a new or empty folder, or one of an earlier run, found "
                f"other files ({shown_name(min(names))}); choose another"
            )
        with suppress(Exception):  # object storages have no folders
            self._system.makedirs(self._root, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def _place(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _names(self) -> list[str]:
        try:
            if not self._system.exists(self._root):
                return []
            found = self._system.ls(self._root, detail=False)
        except Exception as error:
            raise remote_error(self.where, error) from error
        names = [str(name).rstrip("/").rsplit("/", 1)[-1] for name in found if str(name).rstrip("/") != self._root]
        return [name for name in names if not leftovers.is_temporary(name)]

    def read_manifest(self) -> bytes | None:
        """Its bytes; None where there is none."""
        if MANIFEST not in self._names():
            return None
        try:
            return bytes(self._system.cat_file(self._place(MANIFEST)))
        except Exception as error:
            raise remote_error(self.where, error) from error

    def write(self, name: str, data: bytes) -> None:
        """Write a file. Object storages show it when it is whole; elsewhere it is moved to its place."""
        place, temporary = self._place(name), self._place(leftovers.owned() + name + leftovers.PART)
        protocols = {self._system.protocol} if isinstance(self._system.protocol, str) else {*self._system.protocol}
        try:
            if protocols & {"s3", "s3a", "gs", "gcs", "abfs", "az", "memory"}:
                self._system.pipe_file(place, data)
            else:
                self._system.pipe_file(temporary, data)
                self._system.mv(temporary, place)
        except Exception as error:
            raise StorageError(str(remote_error(f"{self.where}/{name}", error))) from error

    def parts(self) -> dict[str, str]:
        """The files of rows by the digests of their chunks."""
        return {match[2]: match[0] for name in self._names() if (match := _PART.fullmatch(name))}

    def facts(self, name: str) -> "PartFacts":
        """What a file of rows says about itself. Raises ValueError for a damaged one."""
        try:
            data = self._system.cat_file(self._place(name))
        except Exception as error:
            raise ValueError(str(error)) from error
        return part_facts(io.BytesIO(data))

    def rename(self, name: str, new: str) -> None:
        """As of a folder here."""
        try:
            self._system.mv(self._place(name), self._place(new))
        except Exception as error:
            raise StorageError(str(remote_error(self.where, error))) from error

    def remove(self, name: str) -> None:
        """As of a folder here."""
        try:
            self._system.rm_file(self._place(name))
        except Exception as error:
            raise StorageError(str(remote_error(self.where, error))) from error


Results = ResultsFolder | RemoteResults


def begin(results: Results, manifest: dict[str, Any]) -> bool:
    """Write the manifest of a new run, or compare it with that of the run that the folder is of; gives whether it goes
    on. Raises UsageError, in one line, for another input, model or setting."""
    found = results.read_manifest()
    if found is None:
        results.write(MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
        return False
    try:
        earlier = json.loads(found)
        same, other = dict(manifest["run"]), dict(earlier["run"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"--out {shown_name(results.where)}: expected the {MANIFEST} of an earlier run, found one that cannot be "
            "read; choose another folder"
        ) from error
    if (difference := _difference(other, same)) is not None:
        key, before, now = difference
        raise UsageError(
            f"--out {shown_name(results.where)}: expected the run that it was begun with, {key} {before}, "
            f"found {key} {now}; choose another folder, or the same settings to go on"
        )
    return True


def _difference(before: dict[str, Any], now: dict[str, Any]) -> tuple[str, str, str] | None:
    """The name of the first setting that is another one, and both values, as a line tells them."""
    for key in {**now, **before}:
        one, other = before.get(key), now.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            if (inner := _difference(one, other)) is not None:
                return inner
        elif one != other:
            return key.replace("_", " "), _told(one), _told(other)
    return None


def _told(value: object) -> str:
    return shown_name(value if isinstance(value, str) else json.dumps(value))[:200]
