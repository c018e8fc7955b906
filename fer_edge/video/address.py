"""What a name given for a video means: a file, a camera's device, or the address of a live stream."""

import re
from pathlib import Path

SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "udp")
"""Of the addresses that are opened as live streams."""

_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)})://", re.IGNORECASE)
_DEVICE = re.compile(r"/dev/video(\d{1,3})")


def is_address(name: object) -> bool:
    """Whether ``name`` is the address of a stream, by how it begins."""
    return isinstance(name, str) and _ADDRESS.match(name) is not None


def source_named(name: str) -> int | str | Path:
    """What VideoSource takes for ``name``: a camera's number for /dev/videoN, the address of a stream, or a path."""
    device = _DEVICE.fullmatch(name)
    if device is not None:
        return int(device[1])
    return name if is_address(name) else Path(name)
