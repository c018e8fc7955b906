"""Which images are one face already, cut out by somebody: those are not cut again.

The rule, so that another language can do the same. An image is taken whole

1. where no side is above MAX_UNSEARCHED_SIDE: a face in there would be too small to be cut out, as FER-2013's are; or
2. where it was searched, one face alone was found, and that face fills it: the longer side of its box is at least
   MIN_FILL of the image's longer side, the middles of both are within MAX_SHIFT of that side of one another, across and
   down, and the image is square: its shorter side lacks at most SQUARE_TOLERANCE of the longer.

Every other face is cut out as fer_edge/runtime/crops.py says. An image of nobody is nobody's face, whatever its size.
benchmarks/results/face_crops.md has what this gives.
"""

from collections.abc import Sequence

from fer_edge.runtime.detector import Face

MAX_UNSEARCHED_SIDE = 48
"""Pixels: FER-2013's size."""

MIN_FILL = 0.8
"""FER-2013 frames a face so that its box is as long as the image (median 1.0); in an avatar it is half of that."""

MAX_SHIFT = 0.15

SQUARE_TOLERANCE = 0.1
"""How much of the longer side the shorter one may lack in an image that counts as square."""

ASKED, SMALL, FILLED = "asked", "small", "filled"
REASONS = {
    ASKED: "as asked",
    SMALL: f"at most {MAX_UNSEARCHED_SIDE} pixels",
    FILLED: "a face fills it",
}
"""Why an image was taken as one face, in words."""


def is_small_crop(width: int, height: int) -> bool:
    """Whether an image of so many pixels is too small to be searched (1)."""
    return max(width, height) <= MAX_UNSEARCHED_SIDE


def is_filled(width: int, height: int, faces: Sequence[Face]) -> bool:
    """Whether the faces found in an image of so many pixels are one that fills it (2)."""
    if len(faces) != 1:
        return False
    (face,) = faces
    side = max(width, height)
    x, y = face.box.centre
    is_square = side - min(width, height) <= SQUARE_TOLERANCE * side
    is_central = max(abs(x - width / 2), abs(y - height / 2)) <= MAX_SHIFT * side
    return is_square and is_central and max(face.box.width, face.box.height) >= MIN_FILL * side
