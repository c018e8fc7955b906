"""The archive of a bundle: a zip that is the same for the same files, and is read as if it meant harm.

Entries are stored, not compressed: other versions of zlib give other bytes, and what is stored cannot grow when it is
unpacked. Names are checked before a byte of any entry is read.
"""

import re
import stat
import unicodedata
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from fer_edge.errors import EvidenceError, StorageError
from fer_edge.files import is_reserved_name, storage_errors
from fer_edge.runtime.file_kind import ARCHIVE, BUNDLE, kind_of
from fer_edge.text import printable

MAX_FILES = 2000
MAX_BYTES = 2**32
"""Of a bundle: two of the largest models."""
MAX_NAME = 180
_CHUNK = 2**20
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first date that a zip can have."""
_FILE_MODE = 0o100644
_UNIX = 3
_PART = re.compile(r"[^/\\:*?\"<>|\x00-\x1f\x7f]+")
"""What every file system takes for part of a path."""
_ENCRYPTED = 0x1


def files_below(folder: Path) -> list[str]:
    """Paths of the files below ``folder``, separated by slashes, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def write_archive(stream: IO[bytes], folder: Path) -> None:
    """Write every file below ``folder`` to ``stream`` as a zip: sorted, stored, without times. Raises EvidenceError for
    names and sizes that ``extract`` would refuse."""
    names = files_below(folder)
    _check_names(names, "bundle")
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr, entry.create_system = _FILE_MODE << 16, _UNIX
            path = folder / name
            entry.file_size = path.stat().st_size
            with path.open("rb") as source, archive.open(entry, "w") as target:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)


def extract(path: Path, folder: Path) -> list[str]:
    """Unpack the bundle ``path`` into the empty ``folder``; gives the names of the files.

    Raises EvidenceError for what is no zip, is cut off or damaged, and for entries that lead elsewhere, are links or
    devices, come twice, are compressed or encrypted, or are too many or too large; nothing is written then but below
    ``folder``. Raises StorageError where the disk is full.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise EvidenceError(f"{path}: expected a bundle, a .zip file, found a folder or device; name the file")
        if (kind := kind_of(path)) not in (None, ARCHIVE, BUNDLE):
            raise EvidenceError(
                f"{path}: expected a bundle, found {kind.words}; name NAME-evidence.zip, as 'fer-edge bundle MODEL' "
                "writes it"
            )
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_entries(entries, status.st_size, str(path))
            for entry in entries:
                _unpack(archive, entry, folder)
    except FileNotFoundError as error:
        raise EvidenceError(f"{path}: no such bundle; make one with 'fer-edge bundle MODEL'") from error
    except (EvidenceError, StorageError):
        raise
    except Exception as error:  # of a damaged archive: BadZipFile, EOFError, struct.error, NotImplementedError and more
        told = printable(" ".join(str(error).split()))[:120] or type(error).__name__
        raise EvidenceError(
            f"{path}: expected a whole bundle, found a damaged file or none of these ({told}); copy it again"
        ) from error
    return [entry.filename for entry in entries]


def _check_entries(entries: Sequence[zipfile.ZipInfo], size: int, where: str) -> None:
    """Everything that can be known before an entry is read. Raises EvidenceError."""
    if len(entries) > MAX_FILES:
        raise EvidenceError(f"{where}: expected at most {MAX_FILES} files, found {len(entries)}; is it a bundle?")
    for entry in entries:
        name = printable(entry.orig_filename)[:100]
        mode = entry.external_attr >> 16
        if entry.is_dir() or (stat.S_IFMT(mode) and not stat.S_ISREG(mode)):
            raise EvidenceError(f"{where}: expected files alone, found a link, folder or device: {name}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & _ENCRYPTED:
            raise EvidenceError(
                f"{where}: expected files stored as they are, found a compressed or encrypted one: {name}; "
                "pass the bundle on as 'bundle' wrote it"
            )
        if entry.orig_filename != entry.filename:  # zipfile cut it at a NUL, or turned backslashes
            raise _bad_name(where, name)
    _check_names([entry.filename for entry in entries], where)
    total = sum(entry.file_size for entry in entries)
    if total > min(size, MAX_BYTES):  # entries that share their bytes are together larger than the file
        raise EvidenceError(
            f"{where}: expected files of at most {min(size, MAX_BYTES):,} bytes together, found {total:,}; "
            "it is damaged or made to fill the disk"
        )


def _check_names(names: Sequence[str], where: str) -> None:
    """Refuse (EvidenceError) names that lead out of the folder, or that some file system takes for another."""
    folded: set[str] = set()
    folders: set[str] = set()
    for name in names:
        parts = name.split("/")
        if len(name) > MAX_NAME or not all(_is_plain(part) for part in parts):
            raise _bad_name(where, printable(name)[:100])
        key = _folded(name)
        if key in folded:
            raise EvidenceError(f"{where}: expected each file once, found two called {printable(name)[:100]}")
        folded.add(key)
        folders.update(_folded("/".join(parts[:count])) for count in range(1, len(parts)))
    if both := folded & folders:
        raise EvidenceError(f"{where}: expected each file once, found a file and a folder: {printable(min(both))}")


def _is_plain(part: str) -> bool:
    return (
        _PART.fullmatch(part) is not None
        and part.isprintable()
        and part not in (".", "..")
        and part == part.strip()
        and not part.endswith(".")
        and not is_reserved_name(part)
    )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _bad_name(where: str, name: str) -> EvidenceError:
    return EvidenceError(f"{where}: expected names of files below its own folder, found {name!r}")


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / entry.filename
    left = entry.file_size
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        stream = target.open("xb")
    with stream, archive.open(entry) as source:  # reading checks the CRC
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise zipfile.BadZipFile(f"{entry.filename} is longer than it says")
            with storage_errors(target):
                stream.write(chunk)
    if left:
        raise zipfile.BadZipFile(f"{entry.filename} is shorter than it says")
