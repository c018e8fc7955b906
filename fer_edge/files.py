"""Files that are either whole or not there: written beside their place, flushed to disk, then renamed."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from fer_edge import leftovers
from fer_edge.errors import FerEdgeError, StorageError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_BLOCK = 4096
"""Bytes. Less space than that is none."""

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


@contextmanager
def temporary_folder(label: str = "") -> Iterator[str]:
    """A folder that goes with its ``with`` block, for files that libraries open; ``label`` is part of its name.

    Where the block fails for want of space, StorageError says so, whatever the library made of it. What a killed
    process left is swept. Windows deletes no file that is open: one that a library still holds, perhaps because it
    failed, is left for the next sweep, rather than hide what went wrong.
    """
    place = temporary_place()
    with storage_errors(place):
        sweep_once(place)
        folder = Path(tempfile.mkdtemp(prefix=leftovers.owned("fer-edge-") + label, dir=place))
    try:
        yield str(folder)
    except Exception as error:
        cause = _as_os_error(error)
        is_full = shutil.disk_usage(folder).free < _BLOCK or (cause is not None and cause.errno in _FULL)
        if is_full and not isinstance(error, StorageError):
            raise storage_error(place, OSError(errno.ENOSPC, "")) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def temporary_place() -> Path:
    """The folder for temporary files: TMPDIR, or where the system has them. Raises StorageError where there is none."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise StorageError(
            "expected a folder for temporary files that can be written, found none; set TMPDIR to one with free space"
        ) from error


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
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(errno.ENOTDIR, "") from error
    return path


def require_writable(folder: Path) -> None:
    """Raise StorageError unless files can be made in ``folder``, or, where it is to be made, in the nearest above it.

    For before the work: nobody likes to hear it after minutes. Nothing is left behind.
    """
    with storage_errors(folder):
        place = folder
        while not os.path.lexists(place):
            place = place.parent
        if not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "")
        # Tried, because permissions say neither what a mount nor what a system's own folder allows.
        with tempfile.TemporaryFile(dir=place, prefix=leftovers.owned(), suffix=leftovers.PART):
            pass


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to disk, then rename it to ``path``.

    Whatever happens, ``path`` holds either its old bytes or all of the new ones. Raises StorageError when the disk is
    full, read-only or closed to this user; the temporary file is removed.
    """
    with storage_errors(path):
        sweep_once(path.parent)
        descriptor, name = tempfile.mkstemp(prefix=leftovers.owned(), suffix=leftovers.PART, dir=path.parent)
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

    For many files that can be made again: a flush for each would take longer than making them. Files that ``out`` holds
    under the same names go only when the block has ended well, all others stay; refuse before what must be kept, or
    call ``fer_edge.folder_manifest.replace_folder``. Raises StorageError; then ``out`` is as it was. After a kill, the
    next call (or ``contents``) makes ``out`` as it was, or completes it.
    """
    is_new = not out.exists()
    with storage_errors(out), staging_folder(make_folder(out)) as stage:
        try:
            yield stage
            if hasattr(os, "sync"):  # not on Windows
                os.sync()
            whole = stage.rename(stage.with_suffix(leftovers.WHOLE))
            leftovers.move_up(whole)
            whole.rmdir()
            sync_folder(out)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
            if is_new and not any(out.iterdir()):
                out.rmdir()


@contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder inside ``folder`` that goes with its block, for files that are renamed to their place there."""
    sweep_once(folder)
    stage = Path(tempfile.mkdtemp(prefix=leftovers.owned(), suffix=leftovers.PART, dir=folder))
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def contents(folder: Path) -> list[Path]:
    """What ``folder`` holds, sorted, but for temporary files; those that killed processes left are removed first."""
    sweep_once(folder)
    return sorted(path for path in folder.iterdir() if not leftovers.is_temporary(path.name))


_SWEPT: set[str] = set()


def sweep_once(folder: Path) -> None:
    """A process sweeps a folder once: looking through it again for each file would take time that grows."""
    key = os.path.realpath(folder)
    if key not in _SWEPT:
        _SWEPT.add(key)
        with suppress(OSError):  # what cannot be removed is in nobody's way
            leftovers.sweep(folder)


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
