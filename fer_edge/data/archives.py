"""Archives that people name where faces are expected: known by their first bytes, whatever they are called."""

from pathlib import Path

_STARTS = (
    b"PK\x03\x04",  # zip
    b"\x1f\x8b",  # gzip
    b"\xfd7zXZ\x00",  # xz
    b"BZh",  # bzip2
    b"\x28\xb5\x2f\xfd",  # zstandard
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
)
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257


def is_archive(path: Path) -> bool:
    """Whether the file ``path`` is an archive or compressed; False where it cannot be read."""
    try:
        with path.open("rb") as stream:
            start = stream.read(_TAR_MAGIC_AT + len(_TAR_MAGIC))
    except OSError:
        return False
    return start.startswith(_STARTS) or start[_TAR_MAGIC_AT:] == _TAR_MAGIC
