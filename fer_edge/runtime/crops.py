"""Cuts a found face out of a photo, framed as the model's training faces are.

The rule, so that another language can do the same. With the box of the face, its centre (cx, cy) and the margin:

    size = max(1, floor(margin * max(width, height) + 0.5))
    left = floor(cx - size / 2 + 0.5),  top = floor(cy - size / 2 + 0.5)

The crop is the square of the photo's own pixels from (left, top), ``size`` a side, not resized: the model's graph does
that. Beyond the border the photo's outermost pixel is repeated (column and row clamped to the photo). A photo in which
``size`` is above MAX_CROP_SIDE is made smaller first: by k = ceil(size / MAX_CROP_SIDE), each pixel the mean of k by k
(fewer at the right and lower edge), rounded; box and landmarks are divided by k.

With ``align`` the square is turned about its middle until the eyes are level. With (dx, dy) from the right to the left
eye, normalised to length 1, and (u, v) the middle of a pixel of the crop seen from the middle of the square, its value
is that of the photo at (u * dx - v * dy, u * dy + v * dx) seen from there, bilinear, rounded, and clamped as above.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_edge.errors import UsageError
from fer_edge.runtime.detector import Face

DEFAULT_MARGIN = 1.0
"""What benchmarks/results/face_margin.json favours: FER-2013 frames its faces so that the longer side of YuNet's box is
the side of the image and their middles agree. Accuracy is best there, flat from 0.8 to 1.05, and falls above."""

MARGIN_LIMITS = (0.5, 3.0)

MAX_CROP_SIDE = 1024
"""Pixels: about twenty times the side of the model's own input, so nothing it could see is lost."""


@dataclass(frozen=True)
class Framing:
    """How much of a photo goes with a face."""

    margin: float = DEFAULT_MARGIN
    """Side of the square crop over the longer side of the face's box."""
    align: bool = False
    """Whether the crop is turned until the eyes are level. By the same measurements it wins about three points of
    accuracy for heads tilted by 20 degrees, and may cost one for upright ones."""

    def __post_init__(self) -> None:
        low, high = MARGIN_LIMITS
        if not low <= self.margin <= high:
            raise UsageError(f"expected a margin from {low} to {high} of the face's longer side, found {self.margin}")


DEFAULT_FRAMING = Framing()


def crop_face(pixels: NDArray[np.uint8], face: Face, framing: Framing) -> NDArray[np.uint8]:
    """The square around one face of a photo uint8 (H, W, C): uint8 (size, size, C), independent of the photo."""
    size = max(1, math.floor(framing.margin * max(face.box.width, face.box.height) + 0.5))
    if size > MAX_CROP_SIDE:
        factor = -(-size // MAX_CROP_SIDE)
        return crop_face(_reduced(pixels, factor), face.enlarged(1 / factor), framing)
    cx, cy = face.box.centre
    left, top = math.floor(cx - size / 2 + 0.5), math.floor(cy - size / 2 + 0.5)
    if not framing.align:
        return _pixels_at(pixels, left + np.arange(size)[np.newaxis], top + np.arange(size)[:, np.newaxis])
    (right_eye_x, right_eye_y), (left_eye_x, left_eye_y) = face.landmarks[:2]
    dx, dy = left_eye_x - right_eye_x, left_eye_y - right_eye_y
    length = math.hypot(dx, dy) or 1.0
    return _turned(pixels, (left, top), size, dx / length if dx or dy else 1.0, dy / length)


def _turned(
    pixels: NDArray[np.uint8], start: tuple[int, int], size: int, cosine: float, sine: float
) -> NDArray[np.uint8]:
    middles = np.arange(size) + 0.5 - size / 2
    u, v = middles[np.newaxis], middles[:, np.newaxis]
    x = start[0] + size / 2 - 0.5 + u * cosine - v * sine  # of a pixel's middle, where 0 is the first pixel's
    y = start[1] + size / 2 - 0.5 + u * sine + v * cosine
    column, row = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    x_share, y_share = (x - column)[:, :, np.newaxis], (y - row)[:, :, np.newaxis]
    upper = _pixels_at(pixels, column, row) * (1 - x_share) + _pixels_at(pixels, column + 1, row) * x_share
    lower = _pixels_at(pixels, column, row + 1) * (1 - x_share) + _pixels_at(pixels, column + 1, row + 1) * x_share
    return np.floor(upper * (1 - y_share) + lower * y_share + 0.5).astype(np.uint8)


def _pixels_at(pixels: NDArray[np.uint8], columns: NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Pixels at whole places; beyond the border those of the border."""
    height, width = pixels.shape[:2]
    return pixels[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]


def _reduced(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    reduced = np.asarray(image.reduce(factor))
    return reduced[:, :, np.newaxis] if reduced.ndim == 2 else reduced
