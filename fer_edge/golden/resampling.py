"""Resizes as other libraries do them by default, for the mistakes that a kit knows."""

import numpy as np
from numpy.typing import NDArray

CENTRES, CORNERS, START = "centres", "corners", "start"


def positions(old: int, new: int, place: str) -> NDArray[np.float64]:
    """Where each of ``new`` pixels lies among ``old``: their centres on centres (ONNX's half_pixel), the first and last
    on the first and last (align_corners), or from the start (asymmetric)."""
    if place == CENTRES:
        return (np.arange(new) + 0.5) * old / new - 0.5
    if place == CORNERS:
        return np.arange(new) * (old - 1) / max(1, new - 1)
    return np.arange(new) * old / new


def bilinear(pixels: NDArray[np.uint8], sides: tuple[int, int], place: str) -> NDArray[np.uint8]:
    """uint8 (N, H, W, C) to (N, height, width, C) from the two nearest pixels of each side, however much it shrinks."""
    values = pixels.astype(np.float64)
    for axis, new in zip((1, 2), sides, strict=True):
        old = pixels.shape[axis]
        where = np.clip(positions(old, new, place), 0, old - 1)
        first = np.floor(where).astype(np.intp)
        shape = [1] * values.ndim
        shape[axis] = new
        share = (where - first).reshape(shape)
        second = np.minimum(first + 1, old - 1)
        values = values.take(first, axis) * (1 - share) + values.take(second, axis) * share
    return np.asarray(np.rint(values), np.uint8)


def nearest(pixels: NDArray[np.uint8], sides: tuple[int, int], place: str) -> NDArray[np.uint8]:
    """uint8 (N, H, W, C) to (N, height, width, C): the pixel at each place, of ``start`` the one at or before it."""
    for axis, new in zip((1, 2), sides, strict=True):
        old = pixels.shape[axis]
        where = positions(old, new, place) + (0.5 if place == CENTRES else 0)
        pixels = pixels.take(np.clip(np.floor(where), 0, old - 1).astype(np.intp), axis)
    return pixels
