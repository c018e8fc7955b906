"""One process at a time in a folder, for as long as it takes to write a file and to list it."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fer_edge.files import make_folder

_GUARD = threading.Lock()
_IN_PROCESS: dict[str, threading.RLock] = {}
_HELD = threading.local()
"""``paths``: the folders that this thread has locked."""


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Make ``folder`` where it is missing, and keep other threads and processes that ask for the same out of the block.

    The lock is the system's own on the folder itself (``flock``): nothing is left behind, and it goes with its process.
    Where there is none (Windows, some network drives) only threads wait. May be asked for again inside the block.
    Raises StorageError.
    """
    make_folder(folder)
    key = os.path.realpath(folder)
    with _GUARD:
        lock = _IN_PROCESS.setdefault(key, threading.RLock())
    with lock:
        held: set[str] = _HELD.__dict__.setdefault("paths", set())
        if key in held:
            yield
            return
        descriptor = _locked(folder)
        held.add(key)
        try:
            yield
        finally:
            held.discard(key)
            if descriptor is not None:
                os.close(descriptor)


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the lock until it is closed; None where there are no such locks."""
    if sys.platform == "win32":
        return None
    try:
        import fcntl
    except ImportError:  # Pyodide, say
        return None
    while True:
        make_folder(folder)
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            is_there = _is_at(descriptor, folder)
        except OSError:
            os.close(descriptor)
            return None
        except BaseException:  # Ctrl-C while waiting
            os.close(descriptor)
            raise
        if is_there:
            return descriptor
        os.close(descriptor)  # whoever had the lock made the folder, failed, and removed it again


def _is_at(descriptor: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except FileNotFoundError:
        return False
