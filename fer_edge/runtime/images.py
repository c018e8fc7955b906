"""Opens images of any origin as uint8 pixels, and turns pixels into the face that the net was trained on."""

import inspect
import io
import os
import re
import stat
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from fer_edge.errors import ImageError
from fer_edge.runtime import reduction, tiff_layouts
from fer_edge.runtime.file_kind import IMAGE, IMAGE_SUFFIXES, mistaken
from fer_edge.runtime.jpeg_scans import has_more_exif, has_more_scans
from fer_edge.runtime.known_formats import DATA_URL, RAW, can_open, is_raw_photo, known_format
from fer_edge.runtime.plain_pixels import without_comments
from fer_edge.text import printable, shown_name

ImageSource: TypeAlias = str | Path | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[np.generic]
"""What can be opened: a path, the bytes of an image file, a file open in binary mode (BytesIO too, read from where it
stands), a PIL image, or an array (H, W) or (H, W, 1 | 3 | 4) in RGB order."""

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""The only decoders that untrusted bytes reach: each is widely used and widely fuzzed."""

SUFFIXES = frozenset(IMAGE_SUFFIXES)
"""File names that folders and globs pick up; a file that is named outright may be called anything."""

MAX_PIXELS = 2**30 // 4 // 3
"""Pillow's own bound (89 megapixels, 256 MB as RGB): above it an image is more likely a decompression bomb.

Opened whole (``decode_image``) such an image takes its decoder's 4 bytes a pixel and its pixels; ``predict`` and its
siblings make it smaller while it is opened: benchmarks/results/memory.md has the peaks and times.
"""

MAX_SIDE = 2**16 - 1
"""The most that a JPEG can have. Far above it, integers in onnxruntime's antialiased Resize overflow."""

MAX_FILE_BYTES = 2**30

MAX_JPEG_SCANS = 64
"""Progressive photos have about ten. A file of a few kilobytes can repeat one for an hour of decoding."""

MAX_JPEG_EXIF = 256
"""Photos have one. Pillow joins them one by one, and copies the whole of those before each time."""

BACKGROUND = 255
"""Transparent pixels lie on white, as they do on a page."""

FACE_SIZE = 48
"""Side of a FER-2013 face in pixels."""

_MARKS = (
    *((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n", "PNG"), (b"GIF8", "GIF")),
    *((b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"MM\0+", "TIFF")),
)
"""What files begin with, for those that Pillow cannot make out."""

_URL = re.compile(r"[a-z][a-z0-9+.-]+://|data:", re.IGNORECASE)
_STREAM = re.compile(r"(rtsps?|rtmps?|udp)://", re.IGNORECASE)
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = frozenset(_UPRIGHT[orientation] for orientation in (5, 6, 7, 8))


def decode_image(source: ImageSource, *, name: str | None = None) -> NDArray[np.uint8]:
    """Open an image as uint8 pixels (H, W, C): C is 1 for a grey image and 3 (RGB) for any other.

    EXIF orientation is applied, transparency lies on white, 16-bit grey is scaled to 8, palettes and CMYK become RGB,
    and of an animation the first frame counts. Wide integers in memory of which none is above 255 are refused: whether
    they are dark or 8-bit would be a guess. ``name`` is what an error calls the image (default: its path).

    Raises ImageError, one line that names the image, for anything else: no such file, a URL, bytes of another format,
    a truncated or damaged file, more than MAX_PIXELS, a side above MAX_SIDE, an array of another shape or type.
    """
    return open_image(source, name=name, reduces=False).pixels


@dataclass(frozen=True)
class OpenedImage:
    """The pixels of an image, and what it was before a large one was made smaller."""

    pixels: NDArray[np.uint8]
    """(H, W, 1 | 3), as ``decode_image`` gives them."""
    width: int
    """Of the whole image, as it stands upright."""
    height: int
    factor: int = 1
    """So many pixels of the image, across and down, are one of ``pixels``."""


def open_image(source: ImageSource, *, name: str | None = None, reduces: bool = True) -> OpenedImage:
    """As ``decode_image``; with ``reduces`` images of more than 16.8 megapixels (reduction.REDUCED_PIXELS) are made
    smaller by a whole factor while they are decoded, which takes less memory and time."""
    name = shown_name(source_name(source)) if name is None else printable(name)
    try:
        if isinstance(source, str | Path):
            return _decode_file(source, name, reduces)
        if isinstance(source, bytes | bytearray | memoryview):
            return _decode_bytes(bytes(source), name, reduces)
        if isinstance(source, Image.Image):
            return _pixels_of(source, name, reduces)
        if isinstance(source, np.ndarray):
            return _opened(_pixels_of_array(source, name), reduces)
        if hasattr(source, "read"):
            return _decode_bytes(_read(source, name), name, reduces)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(name) from error
    except Exception as error:  # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error, KeyError, ...
        reason = printable(" ".join(str(error).split())) or type(error).__name__
        raise ImageError(f"{name}: expected an intact image, found one that cannot be decoded ({reason})") from error
    raise ImageError(
        f"{name}: expected a path, bytes, an open file, a PIL image or a numpy array, found {type(source).__name__}"
    )


def source_name(source: object) -> str:
    """What an image is called: its path, or its kind in angle brackets where it has none."""
    if isinstance(source, str | Path):
        return str(source)
    if hasattr(source, "read") and isinstance(path := getattr(source, "name", None), str) and path:
        return path
    return f"<{type(source).__name__}>"


def face_pixels(pixels: NDArray[np.uint8], size: int = FACE_SIZE) -> NDArray[np.uint8]:
    """The reference preprocessing: uint8 (H, W) or (H, W, 1 | 3 | 4) to one grey face, uint8 (size, size).

    Grey by the luma weights of ITU-R BT.601 (Pillow's ``L``; alpha is dropped, as in the exported graph), then Pillow's
    antialiased bilinear resize. A grey image that already has the size comes back unchanged, bit for bit.
    """
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    image = Image.fromarray(np.ascontiguousarray(pixels if pixels.ndim == 2 else pixels[:, :, :3]))
    face = image.convert("L").resize((size, size), Image.Resampling.BILINEAR)
    return np.array(face, dtype=np.uint8)


def _decode_file(source: str | Path, name: str, reduces: bool) -> OpenedImage:
    if isinstance(source, str) and _URL.match(source):
        if _STREAM.match(source):
            raise ImageError(f"{name[:200]}: expected a file, found a stream; it is read by: fer-edge webcam ADDRESS")
        if source[:5].lower() == "data:":
            raise ImageError(f"{name[:60]}: expected a file, {DATA_URL}")
        raise ImageError(f"{name[:200]}: expected a file, found a URL; download it and pass the file")
    if not os.fspath(source):
        raise ImageError("'': expected the path of an image, found an empty text")
    try:
        status = os.stat(source)  # noqa: PTH116  # a Path costs as much as opening a small file
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{name}: expected an image file, found a folder")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{name}: expected an image file, found a device, pipe or socket; pass its bytes instead")
        if status.st_size > MAX_FILE_BYTES:
            raise ImageError(f"{name}: expected at most {MAX_FILE_BYTES} bytes, found {status.st_size}")
        with open(source, "rb") as stream:  # noqa: PTH123  # as above
            data = stream.read()
    except OSError as error:
        raise ImageError(f"{name}: cannot be opened: {error.strerror or error}") from error
    return _decode_bytes(data, name, reduces)


def _read(stream: Any, name: str) -> bytes:
    data = stream.read(MAX_FILE_BYTES + 1)
    if not isinstance(data, bytes):
        if inspect.iscoroutine(data):
            data.close()
        what = "text; open it with 'rb'" if isinstance(data, str) else f"{type(data).__name__}; pass the bytes instead"
        raise ImageError(f"{name}: expected a file whose read() gives bytes, found {what}")
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"{name}: expected at most {MAX_FILE_BYTES} bytes, found more")
    if not data:
        raise ImageError(f"{name}: expected a file at its start, found no bytes to read; call seek(0) first")
    return data


def _decode_bytes(data: bytes, name: str, reduces: bool) -> OpenedImage:
    known = None
    if has_more_exif(data, MAX_JPEG_EXIF):
        raise ImageError(
            f"{name}: expected a JPEG of at most {MAX_JPEG_EXIF} blocks of Exif, found more; save it again"
        )
    try:
        image = Image.open(io.BytesIO(without_comments(data)), formats=FORMATS)
    except UnidentifiedImageError as error:
        known = known_format(data)
        if known is None or not can_open(known):
            start = data[:8]
            found = f"other bytes (they start with {start.hex(' ')})" if start else "no bytes"
            if (own := next((words for mark, words in _MARKS if data.startswith(mark)), None)) is not None:
                found = f"a damaged {own}, or one of a rare kind; save it again, with 8 bits a value"
            told = known or mistaken(name, IMAGE, data) or f"found {found}"
            raise ImageError(f"{name}: expected a {', '.join(FORMATS)} image, {told}") from error
        try:
            image = Image.open(io.BytesIO(data), formats=[known.opener])
        except (UnidentifiedImageError, OSError, ValueError, RuntimeError) as damaged:
            raise ImageError(f"{name}: expected a whole image, found a damaged one ({known.words})") from damaged
    if is_raw_photo(image):
        raise ImageError(f"{name}: expected a {', '.join(FORMATS)} image, {RAW}")
    is_large = reduces and reduction.factor_of(*image.size) > 1
    with reduction.one_at_a_time() if is_large else nullcontext():
        with image:
            if image.format in ("JPEG", "MPO") and has_more_scans(data, MAX_JPEG_SCANS):
                raise ImageError(
                    f"{name}: expected a JPEG of at most {MAX_JPEG_SCANS} scans, found more; save it again"
                )
            opened = _pixels_of(image, name, reduces)
        del image  # before another thread decodes the next large one
        if is_large:
            reduction.give_back()
    return opened


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise _too_large(name)
    if max(width, height) > MAX_SIDE:
        raise ImageError(
            f"{name}: expected sides of at most {MAX_SIDE} pixels, found {width}x{height}; make the image smaller"
        )
    if width == 0 or height == 0:
        raise ImageError(f"{name}: expected pixels, found an image of {width}x{height}")


def _too_large(name: str) -> ImageError:
    return ImageError(f"{name}: expected at most {MAX_PIXELS} pixels, found more; make the image smaller")


def _pixels_of(image: Image.Image, name: str, reduces: bool) -> OpenedImage:
    _check_size(image.width, image.height, name)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and (fault := tiff_layouts.fault(image)):
        raise ImageError(f"{name}: {fault}")
    if isinstance(image, PngImagePlugin.PngImageFile):
        _scale_transparent_level(image)
    width, height = image.size
    factor = reduction.draft(image) if reduces else 1
    image.load()
    if factor == 1:
        width, height = image.size  # Pillow turns a TIFF as its tag says while it decodes
    if image.format is None and image.mode.startswith("I"):
        _refuse_narrow(np.asarray(image), name)
    more = reduction.factor_of(*image.size) if reduces else 1
    pixels = reduction.in_bands(image, more, lambda band: _eight_bit(band, image, name))
    turn = _turn_upright(image)
    if turn is not None:
        pixels = pixels.transpose(turn)
    if turn in _SWAPS_SIDES:
        width, height = height, width
    return OpenedImage(_as_array(pixels), width, height, factor * more)


def _opened(pixels: NDArray[np.uint8], reduces: bool) -> OpenedImage:
    """An image that was in memory already."""
    height, width = pixels.shape[:2]
    factor = reduction.factor_of(width, height) if reduces else 1
    if factor > 1:
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        pixels = _as_array(reduction.in_bands(image, factor, lambda band: band))
    return OpenedImage(pixels, width, height, factor)


def _as_array(image: Image.Image) -> NDArray[np.uint8]:
    pixels = np.array(image, dtype=np.uint8)  # a copy: writable, and independent of Pillow's buffer
    return pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels


def _eight_bit(part: Image.Image, image: Image.Image, name: str) -> Image.Image:
    """A part of an image, or all of it, as ``L`` or ``RGB``."""
    if not (part.mode.startswith("I") or part.mode == "F"):
        return _flattened(part)
    values = np.asarray(part)
    grey = _scaled_to_8_bit(values, name)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and tiff_layouts.is_inverted(image):
        grey = 255 - grey
    if isinstance(transparent := image.info.get("transparency"), int):  # a PNG's one transparent level
        grey[values == transparent] = BACKGROUND
    return Image.fromarray(grey)


def _scale_transparent_level(image: PngImagePlugin.PngImageFile) -> None:
    """Pillow scales grey levels of 2 and 4 bits to 8 as it decodes them, but not the one that is transparent."""
    level = image.info.get("transparency")
    stored = image.tile[0].args if image.tile else ""
    factor = {"L;2": 85, "L;4": 17}.get(stored) if isinstance(stored, str) else None
    if isinstance(level, int) and factor:
        image.info["transparency"] = level * factor


def _turn_upright(image: Image.Image) -> Image.Transpose | None:
    """What the EXIF orientation asks for. Unreadable EXIF leaves the image as it is: its pixels are sound."""
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # EXIF parsing raises as many types as the decoders do
        return None
    return _UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def _flattened(image: Image.Image) -> Image.Image:
    """Any 8-bit mode as ``L`` or ``RGB``, transparency composited."""
    is_grey = image.mode in ("1", "L", "LA", "La")
    if image.mode == "La":  # premultiplied alpha converts to LA alone
        image = image.convert("LA")
    if image.has_transparency_data:
        opaque = image.convert("RGBA")
        background = Image.new("RGBA", image.size, (BACKGROUND, BACKGROUND, BACKGROUND, 255))
        image = Image.alpha_composite(background, opaque)
    mode = "L" if is_grey else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _refuse_narrow(values: NDArray[np.generic], name: str) -> None:
    """A file says how many bits it has; wide integers in memory may hold 8-bit pixels, which scaling would blacken."""
    if int(values.max()) <= 255:
        raise ImageError(f"{name}: expected 16-bit values, found only 0-255: convert to uint8")


def _scaled_to_8_bit(values: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    """16-bit integers 0-65535 or floats 0-1 to uint8 0-255, rounded; a range that would be a guess is refused."""
    full_scale = 1.0 if np.issubdtype(values.dtype, np.floating) else 65535.0
    lowest, highest = float(values.min()), float(values.max())
    if not (lowest >= 0 and highest <= full_scale):  # written so that NaN is refused too
        raise ImageError(
            f"{name}: expected {values.dtype} values from 0 to {full_scale:g}, found {lowest:g} to {highest:g}; "
            "save it with 8 or 16 bits"
        )
    return np.rint(values.astype(np.float64) * (255.0 / full_scale)).astype(np.uint8)


def _pixels_of_array(array: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or array.size == 0:
        raise ImageError(f"{name}: expected an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), found {array.shape}")
    _check_size(array.shape[1], array.shape[0], name)
    if array.dtype.newbyteorder("=") == np.uint16:  # of either byte order
        _refuse_narrow(array, name)
        array = _scaled_to_8_bit(array, name)
    if array.dtype != np.uint8:
        raise ImageError(f"{name}: expected an array of uint8 (0-255) or uint16 (0-65535), found {array.dtype}")
    if array.ndim == 3 and array.shape[2] == 4:
        return np.array(_flattened(Image.fromarray(np.ascontiguousarray(array))), dtype=np.uint8)
    return np.array(array if array.ndim == 3 else array[:, :, np.newaxis], dtype=np.uint8, order="C")
