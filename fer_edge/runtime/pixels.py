"""Which arrays are images: what a caller hands over is checked once, before anything guesses from its shape."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from fer_edge.errors import ImageError

CHANNELS = (1, 3, 4)
"""Grey, RGB, RGB with alpha."""

MIN_STACK_SIDE = 16
"""Pixels. A last dimension below it holds channels: nobody has a stack (N, H, W) of grey images as narrow as that."""


def check_images(pixels: NDArray[Any]) -> None:
    """Refuse (ImageError) what is no uint8 array (N, H, W, 1 | 3 | 4)."""
    _check(pixels, "(N, H, W, 1 | 3 | 4)", 4)


def check_photo(pixels: NDArray[Any]) -> None:
    """Refuse (ImageError) what is no uint8 array (H, W, 1 | 3 | 4)."""
    _check(pixels, "(H, W, 1 | 3 | 4)", 3)


def _check(pixels: NDArray[Any], shape: str, ndim: int) -> None:
    if not isinstance(pixels, np.ndarray):
        raise ImageError(f"expected a uint8 array {shape}, found {type(pixels).__name__}; decode_image makes one")
    if pixels.ndim != ndim or pixels.shape[-1] not in CHANNELS or pixels.dtype != np.uint8:
        raise ImageError(
            f"expected a uint8 array {shape}, found {pixels.dtype} {pixels.shape}; "
            "predict and predict_many take images of other kinds"
        )


def check_one(image: object, several: str) -> None:
    """Refuse (ImageError) a list, tuple or generator where one image belongs; ``several`` is the method for them."""
    # A file is an iterator too, over its lines.
    if isinstance(image, list | tuple | Iterator) and not hasattr(image, "read"):
        raise ImageError(f"expected one image, found a {type(image).__name__}; use {several} for several")


def check_several(images: object) -> None:
    """Refuse (ImageError) one image where several belong, and what cannot be iterated.

    An array (N, H, W, 1 | 3 | 4) or (N, H, W) holds images, and one of dimension 1 may hold paths. An array (H, W, C)
    is one image, whatever C is.
    """
    if isinstance(images, np.ndarray):
        _check_stack(images)
    elif isinstance(images, str | Path | bytes | bytearray | memoryview | Image) or hasattr(images, "read"):
        raise ImageError("expected several images, found one; use predict")
    elif not isinstance(images, Iterable):
        raise ImageError(f"expected several images, as a list or generator, found {type(images).__name__}")


def _check_stack(array: NDArray[Any]) -> None:
    if array.ndim <= 2 and not (array.ndim == 1 and array.dtype.kind in "OU"):
        raise ImageError("expected several images, found one; use predict")
    if array.ndim == 3 and array.shape[2] < MIN_STACK_SIDE:
        raise ImageError(
            f"expected several images, found one array {array.shape}: use predict for one image (H, W, C); for grey "
            "images (N, H, W) as narrow as that pass list(array)"
        )
    if array.ndim > 3 and (array.ndim > 4 or array.shape[3] not in CHANNELS):
        raise ImageError(f"expected images (N, H, W) or (N, H, W, 1 | 3 | 4), found an array {array.shape}")


def check_pair(item: object) -> tuple[str, Any]:
    """An item of the iterables that hold (name, image), as it is. Raises ImageError for anything else."""
    if not (isinstance(item, tuple | list) and len(item) == 2 and isinstance(item[0], str)):
        raise ImageError(
            f"expected pairs (name, image), found {type(item).__name__}; "
            "for example ((str(path), path) for path in paths)"
        )
    return item[0], item[1]
