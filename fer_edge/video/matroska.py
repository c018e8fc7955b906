"""Whether a Matroska or WebM file was cut off: what browsers record states no length that would tell it.

Elements are read as RFC 8794 (EBML) and RFC 9559 (Matroska) have them: an id, a size, content. Only heads are read.
"""

import mmap
from pathlib import Path

_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
_MAX_ID_BYTES, _MAX_SIZE_BYTES = 4, 8


def ends_early(path: Path) -> bool:
    """Whether the file ends inside an element. False for one that is damaged elsewhere, or went since: nothing is known
    of it then."""
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _ends_early(data)
    except (OSError, ValueError):  # ValueError: no bytes
        return False


def _ends_early(data: mmap.mmap) -> bool:
    place, end = 0, len(data)
    while place < end:
        id_bytes = _length(data[place], _MAX_ID_BYTES)
        if not id_bytes:
            return False
        if place + id_bytes >= end:
            return True
        size_bytes = _length(data[place + id_bytes], _MAX_SIZE_BYTES)
        if not size_bytes:
            return False
        head_end = place + id_bytes + size_bytes
        if head_end > end:
            return True
        kind = int.from_bytes(data[place : place + id_bytes], "big")
        bits = 7 * size_bytes
        size = int.from_bytes(data[place + id_bytes : head_end], "big") & (1 << bits) - 1
        is_unknown = size == (1 << bits) - 1  # written before it was known, as all of a recording
        if not is_unknown and head_end + size > end:
            return True
        # What has no size, and the one that holds all others, is gone into: its elements follow one another.
        place = head_end if is_unknown or kind == _SEGMENT else head_end + size
        if is_unknown and kind not in (_SEGMENT, _CLUSTER):
            return False
    return False


def _length(first: int, most: int) -> int:
    """How many bytes a number has whose first byte this is; 0 for none of up to ``most``."""
    length = 9 - first.bit_length()
    return length if first and length <= most else 0
