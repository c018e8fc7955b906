"""Models that are folders, such as Core ML's .mlpackage: read as the bytes of one file, and written from them.

The bytes are those of a tar archive of the files in the order of their names, without times or owners: the same files
give the same bytes, so that one SHA-256 stands for all of them.
"""

import hashlib
import io
import shutil
import stat
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from fer_edge import leftovers
from fer_edge.errors import ModelError

FOLDER_SUFFIXES = (".mlpackage",)
"""Ends of the names of such folders."""
_MAX_FILES = 64
_LEFT_BY_SYSTEMS = (".DS_Store",)
"""What Finder puts into a folder that it shows."""


def is_folder_model(path: Path) -> bool:
    """Whether a model of this name is a folder; a link to one is not."""
    return path.suffix in FOLDER_SUFFIXES and not path.is_symlink() and path.is_dir()


def pack(files: Mapping[str, bytes]) -> bytes:
    """The bytes that stand for ``files``, by their paths below the folder, separated by ``/``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            archive.addfile(entry, io.BytesIO(files[name]))
    return buffer.getvalue()


def unpacked(data: bytes, where: Path) -> dict[str, bytes]:
    """The files in what ``pack`` gave. Raises ModelError for others."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            found = {entry.name: archive.extractfile(entry) for entry in archive.getmembers() if entry.isfile()}
            files = {name: stream.read() for name, stream in found.items() if stream is not None}
    except (tarfile.TarError, OSError, ValueError) as error:
        raise ModelError(f"{where}: expected the files of a folder, found something else ({error})") from error
    if any(PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts for name in files):
        raise ModelError(f"{where}: expected files below the folder, found a path that leads elsewhere")
    return files


def read_folder(folder: Path, limit: int) -> bytes:
    """``pack`` of what is in ``folder``. Raises ModelError for links, devices and more than ``limit`` bytes."""
    files: dict[str, bytes] = {}
    num_bytes = 0
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode) or path.name in _LEFT_BY_SYSTEMS:
            continue
        num_bytes += status.st_size
        if not stat.S_ISREG(status.st_mode) or len(files) >= _MAX_FILES or num_bytes > limit:
            raise ModelError(
                f"{folder}: expected at most {_MAX_FILES} files of {limit} bytes and no links, found others; "
                "is it the right folder?"
            )
        files[path.relative_to(folder).as_posix()] = path.read_bytes()
    return pack(files)


def write_model(path: Path, data: bytes) -> None:
    """Write a model's file, or its folder from the bytes that stand for it, in place of what is there."""
    from fer_edge.files import write_bytes

    if path.suffix not in FOLDER_SUFFIXES:
        write_bytes(path, data)
        return
    shutil.rmtree(path, ignore_errors=True)
    for name, content in unpacked(data, path).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path / name, content)


def sha256_of(path: Path) -> str | None:
    """Of a file's content or a model folder's; None where there is none, or another folder, a link, pipe or device."""
    if not is_folder_model(path):
        return leftovers.sha256_of(path)
    try:
        return hashlib.sha256(read_folder(path, 2**31)).hexdigest()
    except (OSError, ModelError):
        return None
