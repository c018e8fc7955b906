"""Temporary files and folders carry their process's number, so that what a killed one left is known and removed.

SIGKILL and a power cut run no ``finally``. The next process of this package that uses the same folder sweeps it: what a
process that still runs has there, on this host or on another that shares the folder, stays.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

PREFIX = ".fer-edge-"
PART = ".part"
"""End of the name of what is being written."""
WHOLE = ".whole"
"""End of the name of a folder that is written, and whose content is being moved to its place."""

_STALE = ".fer-edge-stale"
"""Name of a file in such a folder: what is to go before its content is moved."""

_HOST = hashlib.sha256(platform.node().encode("utf-8", "replace")).hexdigest()[:6]
_OWNED = re.compile(r"\.?fer-edge-([0-9a-f]{6})-([0-9]{1,10})-")
_STILL_ACTIVE, _QUERY = 259, 0x1000  # of Windows' GetExitCodeProcess and OpenProcess


def owned(prefix: str = PREFIX) -> str:
    """``prefix``, followed by what names this process."""
    return f"{prefix}{_HOST}-{os.getpid()}-"


def sweep(folder: Path, *, is_ours: bool = False) -> list[Path]:
    """Remove what killed processes left in ``folder``; gives the paths, sorted.

    A folder whose content was being moved to its place is moved whole. ``is_ours``: nobody else fills ``folder``, so
    what names no process, as in versions before these names, is left from before, too.
    """
    swept = []
    for path in _temporaries(folder):
        if _is_left(path.name) or (is_ours and not _OWNED.match(path.name)):
            if path.name.endswith(WHOLE):
                move_up(path)
            _remove(path)
            swept.append(path)
    return sorted(swept)


def move_up(stage: Path) -> None:
    """Move what is in the folder ``stage`` into the folder that it is in: files in place of those of the same names,
    folders into those of the same names. What ``note_stale`` noted goes first.

    May be broken off anywhere: called again, it goes on.
    """
    notes = stage / _STALE
    if notes.is_file():
        _remove_stale(stage.parent, dict(json.loads(notes.read_bytes())))
        notes.unlink()
    _merge(stage, stage.parent)


def note_stale(stage: Path, files: Mapping[str, str]) -> None:
    """Have ``move_up`` remove files of the folder that ``stage`` is in: their paths below it, each with its SHA-256.

    One that holds anything else by then, or lies behind a link, stays."""
    if files:
        (stage / _STALE).write_text(json.dumps(dict(files)), encoding="utf-8")


def is_below(path: object) -> bool:
    """Whether ``path``, with slashes, names a file below the folder it is relative to, on every system."""
    return (
        isinstance(path, str)
        and not {*"\\:\0"} & set(path)
        and all(part not in ("", ".", "..") for part in path.split("/"))
    )


def sha256_of(path: Path) -> str | None:
    """Of an ordinary file's content; None where there is none, or a link, folder, pipe or device."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def _remove_stale(folder: Path, files: Mapping[str, str]) -> None:
    for name, sha256 in files.items():
        place = folder / name
        above = place.parents[: name.count("/")]  # below ``folder``, the innermost first
        if any(parent.is_symlink() for parent in above) or sha256_of(place) != sha256:
            continue
        place.unlink()
        with suppress(OSError):  # one that holds anything stays
            for parent in above:
                parent.rmdir()


def _merge(stage: Path, folder: Path) -> None:
    for made in sorted(stage.iterdir()):
        place = folder / made.name
        if made.is_dir() and not made.is_symlink() and place.is_dir() and not place.is_symlink():
            _merge(made, place)
            made.rmdir()
        else:
            made.replace(place)


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name is one of this package's temporaries, whoever's it is."""
    return name.startswith(PREFIX) and (name.endswith((PART, WHOLE)) or _OWNED.match(name) is not None)


def _temporaries(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        if is_temporary(name) or _OWNED.match(name):
            yield folder / name


def _is_left(name: str) -> bool:
    """Whether the process that a name names ran on this host and runs no more."""
    named = _OWNED.match(name)
    return named is not None and named[1] == _HOST and not _runs(int(named[2]))


def _runs(process: int) -> bool:
    if sys.platform == "win32":  # where os.kill(process, 0) would end the process
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(_QUERY, False, process)
        code = ctypes.c_ulong()
        known = bool(handle) and ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
        ctypes.windll.kernel32.CloseHandle(handle)
        return bool(known) and code.value == _STILL_ACTIVE
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is another user's
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
