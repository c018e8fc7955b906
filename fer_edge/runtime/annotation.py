"""Draws what was found on a photo: a box round each face, its expression and its confidence."""

import colorsys
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fer_edge import files
from fer_edge.errors import ImageError, UsageError
from fer_edge.runtime.detector import Box
from fer_edge.runtime.photos import FacePrediction

COLOURS = ("#ff8a65", "#26c6a2", "#d59bf6", "#ffd54f", "#e0e0e0", "#64b5f6", "#ffa8c5")
"""Of the first classes in their order. Each light enough for dark text (a contrast of 7 and more), and apart from each
other for most colour-blind readers; the words say it again."""

_HUE_STEP, _LIGHTNESS, _SATURATION = 0.618034, 0.8, 0.6
"""Of further classes: steps of the golden ratio round the circle of hues never meet."""

INK, NOTE_COLOUR = "#16181d", "#ffffff"
UNCERTAIN_COLOUR = "#b4b8bf"
"""Of an answer that is not certain."""

MIN_PICTURE_SIDE = 640
"""Pixels: a smaller image is enlarged by a whole factor, because letters over its faces could not be read."""

TEXT_OF_PICTURE = 1 / 42
"""Height of the letters over the picture's longer side where a face is wide enough for them."""

MIN_TEXT_OF_PICTURE = 1 / 60
"""The least height of letters over the longer side: 11 pixels in 640, still readable."""

PICTURE_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
"""What pictures are written as, by the end of the file's name."""

QUALITY = 92

_Area = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the picture."""


@dataclass(frozen=True)
class _Tag:
    text: str
    colour: str
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    padding: int
    width: int
    height: int

    def at(self, left: float, top: float) -> _Area:
        return left, top, left + self.width, top + self.height


def answer_text(face: FacePrediction) -> str:
    """What stands on a face's tag, such as ``happy 93%``; with a question mark where it is not certain."""
    return f"{face.label}{'?' * (face.is_certain is False)} {face.confidence:.0%}"


def annotate(
    pixels: NDArray[np.uint8], faces: Sequence[FacePrediction], *, note: str = "", texts: Sequence[str] | None = None
) -> NDArray[np.uint8]:
    """A picture of the photo uint8 (H, W, C) with its faces marked: uint8 RGB (H * k, W * k, 3).

    k is 1, or for a photo below MIN_PICTURE_SIDE the least whole number that brings it there. A tag stands above its
    face, or below or inside it where there is no room, and hides no other tag. ``note`` stands in the upper left
    corner; a photo without a face says so by itself. ``texts`` are the tags' texts; without them ``answer_text``'s. The
    mark of an answer that is not certain is grey.
    """
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    factor = max(1, -(-MIN_PICTURE_SIDE // max(image.size)))
    if factor > 1:
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)
    longer = max(image.size)
    draw = ImageDraw.Draw(image)
    areas = [_area(face.face.box, factor) if face.face else None for face in faces]
    taken: list[_Area] = []
    for area in areas:
        if area is not None:
            _draw_box(draw, area, longer, "#000000", extra=max(1, longer // 800))
    for face, area in zip(faces, areas, strict=True):
        if area is not None:
            _draw_box(draw, area, longer, _colour_of(face))
    if note:
        taken.append(_draw_tag(draw, _tag(note, NOTE_COLOUR, longer * TEXT_OF_PICTURE), 0, 0))
    boxes = [area for area in areas if area is not None]
    narrowest = min((box[2] - box[0] for box in boxes), default=longer)
    texts = [answer_text(face) for face in faces] if texts is None else texts
    size = _text_size(max(texts, key=len, default=""), longer, narrowest)  # one for all: they are read together
    for face, text, area in zip(faces, texts, areas, strict=True):
        tag = _tag(text, _colour_of(face), size)
        left, top = _place(tag, area, image.size, taken, boxes)
        taken.append(_draw_tag(draw, tag, left, top))
    if not faces:
        tag = _tag("no face found", NOTE_COLOUR, longer * TEXT_OF_PICTURE)
        _draw_tag(draw, tag, 0, image.height - tag.height)
    return np.array(image, dtype=np.uint8)


def colour(index: int) -> str:
    """``#rrggbb`` of the class at ``index`` of a label set, for any number of classes."""
    if index < len(COLOURS):
        return COLOURS[index]
    channels = colorsys.hls_to_rgb(index * _HUE_STEP % 1, _LIGHTNESS, _SATURATION)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)


def _colour_of(face: FacePrediction) -> str:
    if face.is_certain is False:
        return UNCERTAIN_COLOUR
    return colour(list(face.probabilities).index(face.label))


def write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write a picture uint8 in RGB order (H, W, 3) or grey (H, W, 1), as the suffix of ``path`` says, atomically.

    Raises UsageError for another suffix than those of PICTURE_FORMATS and StorageError; ImageError for a size that the
    format cannot hold.
    """
    file_format = PICTURE_FORMATS.get(path.suffix.lower())
    if file_format is None:
        raise UsageError(f"{path}: expected a picture that ends in {', '.join(PICTURE_FORMATS)}, found {path.suffix!r}")
    stream = io.BytesIO()
    image = Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
    try:
        image.save(stream, file_format, quality=QUALITY)
    except (OSError, ValueError) as error:  # WebP ends at 16383 pixels a side
        height, width = picture.shape[:2]
        raise ImageError(f"{path}: a picture of {width}x{height} pixels cannot be {file_format}; write .png") from error
    files.write_bytes(path, stream.getvalue())


def _area(box: Box, factor: int) -> _Area:
    return box.x * factor, box.y * factor, (box.x + box.width) * factor, (box.y + box.height) * factor


def _text_size(text: str, longer: int, available: float) -> float:
    """Height of letters with which a tag is ``available`` pixels wide, where a readable height allows it."""
    wanted = longer * TEXT_OF_PICTURE
    fitting = wanted * available / _tag(text, NOTE_COLOUR, wanted).width
    return min(wanted, max(longer * MIN_TEXT_OF_PICTURE, fitting))


def _tag(text: str, colour: str, size: float) -> _Tag:
    font = _font(round(size, 1))
    padding = max(2, round(size * 0.3))
    left, _, right, _ = font.getbbox(text)
    ascent_and_descent = round(size * 1.25)
    return _Tag(text, colour, font, padding, round(right - left) + 2 * padding, ascent_and_descent + padding)


@lru_cache(maxsize=32)  # a video asks for the same ones frame by frame
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _place(
    tag: _Tag, area: _Area | None, size: tuple[int, int], taken: Sequence[_Area], boxes: Sequence[_Area]
) -> tuple[float, float]:
    """Where a tag stands: the first place within the picture that hides the least of other tags and faces."""
    width, height = size
    if area is None:
        return 0, height - tag.height
    left, top, right, bottom = area
    wanted = [
        (left, top - tag.height),
        (left, bottom),
        (right - tag.width, top - tag.height),
        (right - tag.width, bottom),
        (left, top),
        (left, bottom - tag.height),
        (right, top),
        (left - tag.width, top),
    ]
    places = [
        (min(max(0.0, x), max(0, width - tag.width)), min(max(0.0, y), max(0, height - tag.height))) for x, y in wanted
    ]

    def hidden(place: tuple[float, float]) -> float:
        own = tag.at(*place)
        return 10 * sum(_shared(own, other) for other in taken) + sum(_shared(own, box) for box in boxes)

    return min(places, key=hidden)  # the first of equals


def _shared(one: _Area, other: _Area) -> float:
    """Square pixels that two areas have in common."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def _draw_box(draw: ImageDraw.ImageDraw, area: _Area, longer: int, colour: str, *, extra: int = 0) -> None:
    """A frame round ``area``; ``extra`` pixels wider on both sides make the dark edge under a coloured one."""
    thickness = max(2, round(longer / 320))
    left, top, right, bottom = area
    outline = (left - extra, top - extra, max(left, right) + extra, max(top, bottom) + extra)
    draw.rounded_rectangle(outline, radius=2 * thickness, outline=colour, width=thickness + 2 * extra)


def _draw_tag(draw: ImageDraw.ImageDraw, tag: _Tag, left: float, top: float) -> _Area:
    area = tag.at(left, top)
    draw.rounded_rectangle(area, radius=tag.padding, fill=tag.colour, outline=INK, width=max(1, tag.padding // 4))
    middle = (left + tag.width / 2, top + tag.height / 2)
    draw.text(middle, tag.text, fill=INK, font=tag.font, anchor="mm")
    return area
