"""Faces that a model should rather say nothing about: covered, turned, blurred, and pictures that show none.

Made from labelled faces by fixed changes of fixed strength, the same for every model. A face that is turned in the
picture's plane stands for one that is turned away, which no change of a flat picture can make.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image

from fer_edge.evaluation.corruptions import Corruption, blur, lower_contrast, resample

SEED = 0
NOT_A_FACE = "not a face"
"""The kind that has no right answer."""
_TILES = 4
"""A side of a scrambled face."""


def cover(faces: np.ndarray, part: str, grey: int = 96) -> np.ndarray:
    """Lay a flat grey bar over the lower half (as a hand or mask), the eyes (as sunglasses), or the left half."""
    covered = faces.copy()
    side = faces.shape[1]
    rows, columns = {
        "mouth": (slice(round(0.58 * side), side), slice(None)),
        "eyes": (slice(round(0.25 * side), round(0.48 * side)), slice(None)),
        "left half": (slice(None), slice(0, side // 2)),
    }[part]
    covered[:, rows, columns] = grey
    return covered


def turn(faces: np.ndarray, degrees: float) -> np.ndarray:
    """Turn each face anticlockwise in its plane; the corners that come in are its mean grey."""
    return np.stack(
        [
            np.asarray(
                Image.fromarray(face).rotate(degrees, Image.Resampling.BILINEAR, fillcolor=round(float(face.mean())))
            )
            for face in faces
        ]
    )


def scramble(faces: np.ndarray) -> np.ndarray:
    """Shuffle the tiles of each face: its pixels, and no face."""
    count, side, _ = faces.shape
    tile = side // _TILES
    whole = faces[:, : tile * _TILES, : tile * _TILES]
    tiles = whole.reshape(count, _TILES, tile, _TILES, tile).swapaxes(2, 3).reshape(count, _TILES**2, tile, tile)
    generator = np.random.default_rng(SEED)
    shuffled = np.stack([one[generator.permutation(_TILES**2)] for one in tiles])
    grid = shuffled.reshape(count, _TILES, _TILES, tile, tile).swapaxes(2, 3)
    return np.ascontiguousarray(grid.reshape(count, tile * _TILES, tile * _TILES))


def noise(faces: np.ndarray) -> np.ndarray:
    """Nothing but noise, as many pictures of the same size."""
    return np.random.default_rng(SEED).integers(0, 256, faces.shape, np.uint8)


def _with(change: Callable[..., np.ndarray], strength: object) -> Callable[[np.ndarray], np.ndarray]:
    return lambda faces: change(faces, strength)


DOUBTFUL: tuple[Corruption, ...] = (
    *(Corruption("covered", part, _with(cover, part)) for part in ("mouth", "eyes", "left half")),
    *(Corruption("blurred", f"sigma {sigma:g}", _with(blur, sigma)) for sigma in (1.0, 2.0, 3.0)),
    *(Corruption("turned", f"{angle} degrees", _with(turn, angle)) for angle in (15, 30, 60, 90, 180)),
    *(Corruption("small", f"{side} pixels", _with(resample, side)) for side in (16, 12, 8)),
    *(Corruption("low contrast", f"{left:.0%}", _with(lower_contrast, left)) for left in (0.25, 0.1)),
    Corruption(NOT_A_FACE, "scrambled", scramble),
    Corruption(NOT_A_FACE, "noise", noise),
)
