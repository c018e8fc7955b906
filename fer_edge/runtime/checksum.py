"""The checksum: a hash that a model file carries of itself, so that a file that travels alone still notices damage.

The metadata inside the file say ``"content_sha256": "<64 hex digits>"``: the SHA-256 of the whole file with those 64
digits zero. ONNX and ort files store the metadata as plain bytes, so the digits are put in place after the file is
written. It finds damage, not malice: whoever can change a file on purpose can also write its checksum again.

TorchScript and pt2 files are zip archives, whose checksums would change with the digits; there the digest is that of
every other entry, by name.
"""

import hashlib
import io
import re
import zipfile

from fer_edge.errors import ModelError
from fer_edge.metadata import METADATA_KEY, NO_CHECKSUM

MAX_UNPACKED_BYTES = 2**31
"""Of an archive's entries together; a few megabytes may claim to hold more than memory does."""

_DIGITS = re.compile(rb'"content_sha256":\s?"([0-9a-f]{64})"')

ZIP_METADATA_ENTRY = f"extra/{METADATA_KEY}"
"""Where torch puts the metadata in an archive, below the archive's top folder."""

# torch derives this entry from the checksums of all others, that of the metadata included.
_SERIALIZATION_ID = ".data/serialization_id"


def file_sha256(data: bytes) -> str:
    """SHA-256 of ``data`` as 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()


def add_checksum(data: bytes, name: str = "model") -> bytes:
    """Fill in the digest of an ONNX or ort file that holds one such field, filled in or not. Raises ModelError."""
    start, end = _place_of_digits(data, name)
    return data[:start] + _digest_around(data, start, end).encode() + data[end:]


def verify_checksum(data: bytes, name: str) -> None:
    """Check the digest of an ONNX or ort file. Raises ModelError when any bit differs, or it has no checksum."""
    start, end = _place_of_digits(data, name)
    expected, found = data[start:end].decode(), _digest_around(data, start, end)
    if found != expected:
        raise _differs(name, expected, found)


def content_hash_of_zip(data: bytes, name: str = "model", *, metadata_entry: str = ZIP_METADATA_ENTRY) -> str:
    """SHA-256 over names and bytes of all entries of a TorchScript or pt2 file but the metadata, sorted by name.

    ``metadata_entry`` is their name below the archive's top folder (which may be called anything and does not count).
    As they have no part in it, the hash of a file whose metadata have no checksum yet is that of the file to write.
    Raises ModelError where the archive is damaged.
    """
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inflated = sum(entry.file_size for entry in archive.infolist())
            if inflated > MAX_UNPACKED_BYTES:
                raise zipfile.BadZipFile(f"{inflated} bytes unpacked, more than {MAX_UNPACKED_BYTES}")
            if len(set(archive.namelist())) < len(archive.namelist()):
                raise zipfile.BadZipFile("two entries of one name")
            for entry in sorted(archive.namelist()):
                content = archive.read(entry)  # also checks its CRC, where the entry is left out of the hash
                inner = entry.partition("/")[2] or entry
                if inner not in (metadata_entry, _SERIALIZATION_ID):
                    digest.update(f"{inner}\0{len(content)}\0".encode())
                    digest.update(content)
    except Exception as error:  # damaged: zipfile raises BadZipFile, zlib.error, EOFError and other kinds
        reason = " ".join(str(error).split())
        raise ModelError(f"{name}: expected an intact archive, found a damaged one ({reason})") from error
    return digest.hexdigest()


def clean_zip(data: bytes) -> bytes:
    """An archive whose checksum was verified once more, of the names and bytes of its entries alone, uncompressed.

    The checksum covers those. Readers go by more: an entry marked as a directory is one that torch does not read.
    """
    clean = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(clean, "w") as written:
        for entry in archive.namelist():
            written.writestr(zipfile.ZipInfo(entry), archive.read(entry))
    return clean.getvalue()


def verify_zip_checksum(data: bytes, name: str) -> bytes:
    """Check the digest of a TorchScript or pt2 file; gives its metadata as JSON. Runs nothing. Raises ModelError."""
    found = content_hash_of_zip(data, name)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        cards = [entry for entry in archive.namelist() if entry.partition("/")[2] == ZIP_METADATA_ENTRY]
        if len(cards) != 1:
            raise _no_checksum(name, len(cards))
        metadata = archive.read(cards[0])
    start, end = _place_of_digits(metadata, name)
    if found != metadata[start:end].decode():
        raise _differs(name, metadata[start:end].decode(), found)
    return metadata


def _place_of_digits(data: bytes, name: str) -> tuple[int, int]:
    places = [match.span(1) for match in _DIGITS.finditer(data)]
    if len(places) != 1:
        raise _no_checksum(name, len(places))
    return places[0]


def _digest_around(data: bytes, start: int, end: int) -> str:
    digest = hashlib.sha256(memoryview(data)[:start])
    digest.update(NO_CHECKSUM.encode())
    digest.update(memoryview(data)[end:])
    return digest.hexdigest()


def _differs(name: str, expected: str, found: str) -> ModelError:
    return ModelError(
        f"{name}: expected the content hash {expected[:12]}..., found {found[:12]}...: "
        "the file was damaged or changed; copy or export it again"
    )


def _no_checksum(name: str, count: int) -> ModelError:
    return ModelError(
        f"{name}: expected one entry of metadata with its content hash, found {count or 'none'}: "
        "fer_edge did not export this file, or it was damaged; export it again"
    )
