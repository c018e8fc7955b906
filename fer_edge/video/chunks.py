"""Whether an AVI file or an mp4 in fragments was cut off: what told how long it was is lost then, or never was there.

Only the heads of the outermost chunks are read: of an AVI a name, a size and content, as Microsoft's RIFF and OpenDML's
extensions have them; of an mp4 a size, a name and content (ISO/IEC 14496-12, boxes).
"""

from pathlib import Path

_HEAD_BYTES = 8
_SLACK_BYTES = 64
"""Some writers of AVI count their own head, or a chunk that they did not write."""
_LONG, _TO_THE_END = 1, 0
"""Sizes of boxes that stand for others: eight more bytes have it; all that follows."""
_OF_FRAGMENTS = (b"moof", b"mdat", b"moov", b"styp", b"sidx", b"mfra", b"emsg", b"prft")


def avi_ends_early(path: Path) -> bool:
    """Whether an AVI ends inside a chunk. False for one that states no size, or went since: nothing is known then."""
    try:
        end = path.stat().st_size
        with path.open("rb") as stream:
            place = 0
            while place + _HEAD_BYTES <= end:
                stream.seek(place)
                head = stream.read(_HEAD_BYTES)
                size = int.from_bytes(head[4:], "little")
                if head[:4] != b"RIFF" or not size:  # what was appended, or was never finished
                    return False
                place += _HEAD_BYTES + size + size % 2
            return place > end + _SLACK_BYTES
    except OSError:
        return False


def mp4_ends_early(path: Path) -> bool:
    """Whether an mp4 ends inside a box of a fragment. False for what else may be appended, and for one that went."""
    try:
        end = path.stat().st_size
        with path.open("rb") as stream:
            place = 0
            while place < end:
                stream.seek(place)
                head = stream.read(2 * _HEAD_BYTES)
                size, name = int.from_bytes(head[:4], "big"), head[4:_HEAD_BYTES]
                if size == _LONG:
                    size = int.from_bytes(head[_HEAD_BYTES:], "big")
                if size == _TO_THE_END and len(head) >= _HEAD_BYTES:
                    return False
                if len(head) < _HEAD_BYTES or place + size > end:
                    return len(head) < _HEAD_BYTES or name in _OF_FRAGMENTS
                if size < _HEAD_BYTES:
                    return False
                place += size
            return False
    except OSError:
        return False
