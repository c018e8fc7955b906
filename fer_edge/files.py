"""Files that are either whole or not there: written beside their place, flushed to disk, then renamed."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fer_edge.errors import FerEdgeError, StorageError

TEMPORARY_PREFIX = ".fer-edge-"
TEMPORARY_SUFFIX = ".part"

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.EACCES: "permission denied; choose another folder or change its permissions",
    errno.EPERM: "permission denied; choose another folder or change its permissions",
    errno.ENOTDIR: "part of the path is a file, not a folder; choose another path",
    errno.EFBIG: "the file would be larger than this file system or user may write",
}


_IN_USE = (5, 32)
"""Windows's ERROR_ACCESS_DENIED and ERROR_SHARING_VIOLATION: so it answers for a file that a program has open."""

_RESERVED_NAME = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def storage_error(path: Path, error: OSError) -> StorageError:
    """Say in one line why ``path`` could not be written."""
    reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}")
    if getattr(error, "winerror", None) in _IN_USE and path.is_file():
        reason = "permission denied; a program may have it open: close that, or choose another name"
    return StorageError(f"{path}: cannot be written: {reason}")


def file_identity(path: str | Path) -> tuple[int, int] | str:
    """Equal for two names of one file: by links, and where a file system tells no upper from lower case."""
    try:
        status = os.stat(path)  # noqa: PTH116  # Path's own raises for names that are too long
    except OSError:
        return os.path.realpath(path)
    # Some network drives number no files.
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)


def is_reserved_name(name: str) -> bool:
    """Whether Windows takes a file of this name for a device (``nul.json``): refused everywhere, since files travel."""
    return _RESERVED_NAME.fullmatch(name) is not None


def temporary_folder(prefix: str | None = None) -> "tempfile.TemporaryDirectory[str]":
    """A folder that goes with its ``with`` block, for files that libraries open.

    Windows deletes no file that is open: one that a library still holds, perhaps because it failed, is left to the
    system, rather than hide what went wrong.
    """
    return tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)


def _as_os_error(error: BaseException) -> OSError | None:
    """The OSError behind ``error``: torch's zip writer, for one, raises a RuntimeError in its wake."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an OSError inside the block (also one that a library wrapped) into a StorageError that names ``path``."""
    try:
        yield
    except FerEdgeError:
        raise
    except Exception as error:
        cause = _as_os_error(error)
        if cause is None:
            raise
        raise storage_error(path, cause) from error


def make_folder(path: Path) -> Path:
    """Create ``path`` and its parents where they are missing. Raises StorageError."""
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to disk, then rename it to ``path``.

    Whatever happens, ``path`` holds either its old bytes or all of the new ones. Raises StorageError when the disk is
    full, read-only or closed to this user; the temporary file is removed.
    """
    with storage_errors(path):
        descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=TEMPORARY_SUFFIX, dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.chmod(0o666 & ~_umask())  # mkstemp makes files private; these are ordinary files
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically. Raises StorageError."""
    write_atomically(path, lambda stream: stream.write(data))


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path`` atomically, undecodable bytes of file names escaped. Raises StorageError."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


@contextmanager
def fill_folder(out: Path) -> Iterator[Path]:
    """Let the block fill a hidden folder inside ``out``, flush it to disk once, then move what is in it up to ``out``.

    For many files that can be made again: a flush for each would take longer than making them. What ``out`` holds under
    the same names goes only when the block has ended well; refuse before what must be kept. Raises StorageError; then
    ``out`` is as it was.
    """
    with storage_errors(out):
        is_new = not out.exists()
        make_folder(out)
        stage = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, suffix=TEMPORARY_SUFFIX, dir=out))
        try:
            yield stage
            if hasattr(os, "sync"):  # not on Windows
                os.sync()
            for made in sorted(stage.iterdir()):
                place = out / made.name
                if place.is_dir():
                    shutil.rmtree(place)
                made.replace(place)
            sync_folder(out)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
            if is_new and not any(out.iterdir()):
                out.rmdir()


def sweep_temporary_files(folder: Path) -> list[Path]:
    """Remove what a killed ``write_atomically`` left in ``folder``; call it only while holding the folder's lock."""
    leftovers = sorted(folder.glob(f"{TEMPORARY_PREFIX}*{TEMPORARY_SUFFIX}"))
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return leftovers


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable, where the system can open a folder (not on Windows)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
