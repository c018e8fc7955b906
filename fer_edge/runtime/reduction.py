"""Large images made smaller while they are opened, so that none costs more memory than its decoder needs.

A face is looked for at 640 pixels and read at 48: of more than REDUCED_PIXELS nothing would be seen. JPEGs are decoded
at a half, a quarter or an eighth of their sides; others are decoded whole, by one thread at a time, and then averaged
band by band, k by k pixels to one.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Callable

from PIL import Image, JpegImagePlugin

REDUCED_PIXELS = 2**24
"""Images of more pixels (16.8 megapixels) are made smaller by a whole factor until they have no more."""

_BAND_PIXELS = 2**21
_JPEG_FACTORS = (2, 4, 8)


def one_at_a_time() -> threading.Lock:
    """Held while a large image is decoded: two would take twice the memory."""
    return _lock


def _glibc_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    return trim


_trim = _glibc_trim()


def _renew_lock() -> None:
    global _lock  # a lock that another thread held at a fork is never given back in the child
    _lock = threading.Lock()


_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def give_back() -> None:
    """Return what a large image took to the system. glibc keeps freed blocks of the size that Pillow takes (16 MB) for
    each thread; elsewhere this does nothing."""
    if _trim is not None:
        _trim(0)


def factor_of(width: int, height: int) -> int:
    """By how much an image of so many pixels is made smaller: 1 for none."""
    factor = 1
    while -(-width // factor) * -(-height // factor) > REDUCED_PIXELS:
        factor += 1
    return factor


def draft(image: Image.Image) -> int:
    """Tell a JPEG to decode itself smaller; the factor that this made (1, 2, 4 or 8)."""
    factor = factor_of(*image.size)
    if factor == 1 or not isinstance(image, JpegImagePlugin.JpegImageFile):
        return 1
    width, height = image.size
    wanted = next((one for one in _JPEG_FACTORS if one >= factor), _JPEG_FACTORS[-1])
    image.draft(None, (max(1, width // wanted), max(1, height // wanted)))
    return max(1, round(max(width, height) / max(image.size)))


def in_bands(image: Image.Image, factor: int, eight_bit: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """An image ``factor`` times smaller, as ``L`` or ``RGB``: each pixel the mean of factor by factor (fewer at the
    right and lower edge), as ``eight_bit`` gives them for a band of rows."""
    if factor == 1:
        return eight_bit(image)
    width, height = image.size
    rows = max(1, _BAND_PIXELS // (width * factor)) * factor
    smaller: Image.Image | None = None
    for top in range(0, height, rows):
        band = eight_bit(image.crop((0, top, width, min(height, top + rows)))).reduce(factor)
        if smaller is None:
            smaller = Image.new(band.mode, (-(-width // factor), -(-height // factor)))
        smaller.paste(band, (0, top // factor))
    assert smaller is not None  # an image has a row
    return smaller
