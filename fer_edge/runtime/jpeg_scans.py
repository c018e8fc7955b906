"""Counts what makes a decoder of JPEG slow: scans, each a pass over the whole image however short it is, and Exif."""

import re

_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_WITHOUT_LENGTH = (0x01, 0xD8)
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
"""Behind a scan's data, in which FF is followed by 00 or by a restart marker (ITU-T T.81, B.1.1).

Any number of FF may stand before a marker. The last one is enough: a pattern of all of them would look through a run
that ends in 00 again from each of its bytes.
"""
_WINDOW = 2**24
"""Bytes that are searched at once: ``re`` hears no signal while it searches."""


def has_more_exif(data: bytes, limit: int) -> bool:
    """Whether ``data`` is a JPEG file with more blocks of Exif than ``limit``; in linear time."""
    return data.startswith(b"\xff\xd8") and data.count(b"Exif\0") > limit


def has_more_scans(data: bytes, limit: int) -> bool:
    """Whether the first image in ``data``, the bytes of a JPEG file, has more scans than ``limit``; in linear time."""
    if data.count(bytes((0xFF, _START_OF_SCAN))) <= limit:  # thumbnails and profiles can only add to it
        return False
    scans, position = 0, 2
    while scans <= limit and (found := _next_marker(data, position)):
        marker, position = found.group(1)[0], found.end()
        if marker == _END_OF_IMAGE:
            break
        scans += marker == _START_OF_SCAN
        if marker not in _WITHOUT_LENGTH:  # what lies in a segment is stepped over with it
            position += max(2, int.from_bytes(data[position : position + 2], "big"))
    return scans > limit


def _next_marker(data: bytes, position: int) -> re.Match[bytes] | None:
    for start in range(position, len(data), _WINDOW):
        if found := _MARKER.search(data, start, start + _WINDOW + 1):  # one more: its second byte may be in the next
            return found
    return None
