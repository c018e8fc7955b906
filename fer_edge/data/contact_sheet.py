"""A picture of a few faces of every class."""

import numpy as np
from PIL import Image, ImageDraw

from fer_edge.data.faces import FaceData
from fer_edge.data.fonts import Font, escaped, font_for

CELL = 96
GAP = 6
MARGIN = 28
HEADER = 78
NAMES_WIDTH = 130
"""For the names of the classes; wider, up to MAX_NAMES_WIDTH, where a name needs it."""
MAX_NAMES_WIDTH = 340
MAX_ROWS = 50
"""As many classes are shown, the first ones."""

_PAPER, _INK, _FAINT = (255, 255, 255), (32, 33, 36), (110, 114, 120)


def draw_contact_sheet(data: FaceData, *, faces_per_class: int = 10, seed: int = 0) -> Image.Image:
    """Draw one row of faces for each class, chosen at random by ``seed`` from the first split with faces."""
    split, faces = next((name, faces) for name, faces in data.splits.items() if faces)
    names = data.labels.names[:MAX_ROWS]
    widest = max(_drawable(name, 22)[1].getlength(_drawable(name, 22)[0]) for name in names)
    names_width = min(max(NAMES_WIDTH, round(widest) + 14), MAX_NAMES_WIDTH)
    width = 2 * MARGIN + names_width + faces_per_class * (CELL + GAP) - GAP
    height = MARGIN + HEADER + len(names) * (CELL + GAP) - GAP + MARGIN
    sheet = Image.new("RGB", (width, height), _PAPER)
    ink = ImageDraw.Draw(sheet)
    counts = faces.counts(data.labels)

    def write(text: str, size: int, left: int, top: int, colour: tuple[int, int, int], room: int) -> None:
        fitted, font = _fitted(text, size, room)
        ink.text((left, top), fitted, colour, font)

    write(data.source, 26, MARGIN, MARGIN, _INK, width - 2 * MARGIN)
    unseen = f", the first {len(names)} of {len(data.labels)} classes" if len(data.labels) > len(names) else ""
    subtitle = f"{split}: {len(faces):,} faces, up to {faces_per_class} of each class{unseen} · {data.layout}"
    write(subtitle, 16, MARGIN, MARGIN + 38, _FAINT, width - 2 * MARGIN)

    generator = np.random.default_rng(seed)
    for row, name in enumerate(names):
        top = MARGIN + HEADER + row * (CELL + GAP)
        write(name, 22, MARGIN, top + CELL // 2 - 22, _INK, names_width - 8)
        write(f"{counts[name]:,}", 16, MARGIN, top + CELL // 2 + 6, _FAINT, names_width - 8)
        members = np.flatnonzero(faces.labels == row)
        for column, place in enumerate(generator.permutation(members)[:faces_per_class]):
            cell = Image.fromarray(faces.faces[place]).resize((CELL, CELL), Image.Resampling.BICUBIC)
            sheet.paste(cell, (MARGIN + names_width + column * (CELL + GAP), top))
    return sheet


def _drawable(text: str, size: int) -> tuple[str, Font]:
    """``text``, or its escapes where no font on this machine has all of it, and the font for it."""
    font = font_for(text, size)
    if font is not None:
        return text, font
    plain = escaped(text)
    font = font_for(plain, size)
    assert font is not None, "Pillow's own font has ASCII"
    return plain, font


def _fitted(text: str, size: int, width: int) -> tuple[str, Font]:
    """``text``, shortened at its end where it is longer than ``width`` pixels, and the font for it."""
    text, font = _drawable(text, size)
    if font.getlength(text) <= width:
        return text, font
    while text and font.getlength(text + " ...") > width:
        text = text[:-1]
    return text + " ...", font
