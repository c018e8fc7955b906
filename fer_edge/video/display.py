"""Decoded frames as they are to be shown: upright, not mirrored, with square pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_ASPECT = 4
"""Pixels that are said to be longer than so many times their other side are taken as square."""

_HD_HEIGHT = 720
"""From here on colours of which a video says nothing are those of HD, as browsers and players take them."""
_UNSPECIFIED = 2
"""The number of no colour space (ISO/IEC 23091-2, matrix coefficients)."""


def shown_pixels(frame: Any, aspect: Any) -> NDArray[np.uint8]:
    """The pixels of a PyAV frame, uint8 RGB (H, W, 3). ``aspect``: a pixel's width over its height, None for square."""
    width, height = shown_size(frame, aspect)
    matrix = {"src_colorspace": "ITU709"} if frame.colorspace == _UNSPECIFIED and frame.height >= _HD_HEIGHT else {}
    pixels: NDArray[np.uint8] = frame.to_ndarray(width=width, height=height, format="rgb24", **matrix)
    return np.ascontiguousarray(_turned(pixels, frame))


def shown_size(frame: Any, aspect: Any) -> tuple[int, int]:
    """Width and height in square pixels, before the picture is turned: the shorter side of a pixel grows."""
    width, height = frame.width, frame.height
    if aspect and 1 < aspect <= MAX_ASPECT:
        width = round(width * aspect)
    elif aspect and 1 / MAX_ASPECT <= aspect < 1:
        height = round(height / aspect)
    return width, height


def _turned(pixels: NDArray[np.uint8], frame: Any) -> NDArray[np.uint8]:
    """Turned and mirrored as the display matrix has it (ISO/IEC 14496-12, track header), by whole quarters."""
    from av.sidedata.sidedata import Type

    found = frame.side_data.get(Type.DISPLAYMATRIX)
    if found is None:
        return pixels
    # A point (x, y) of the picture is shown at (a x + c y, b x + d y).
    a, b, _, c, d = np.frombuffer(bytes(found), np.int32)[:5].tolist()
    if abs(a) + abs(d) < abs(b) + abs(c):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
