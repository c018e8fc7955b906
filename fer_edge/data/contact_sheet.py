"""A picture of a few faces of every expression."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fer_edge.data.faces import FaceData
from fer_edge.labels import EXPRESSIONS, label_of

CELL = 96
GAP = 6
MARGIN = 28
HEADER = 78
NAMES_WIDTH = 130

_PAPER, _INK, _FAINT = (255, 255, 255), (32, 33, 36), (110, 114, 120)


def draw_contact_sheet(data: FaceData, *, faces_per_class: int = 10, seed: int = 0) -> Image.Image:
    """Draw one row of faces for each expression, chosen at random by ``seed`` from the first split with faces."""
    split, faces = next((name, faces) for name, faces in data.splits.items() if faces)
    width = 2 * MARGIN + NAMES_WIDTH + faces_per_class * (CELL + GAP) - GAP
    height = MARGIN + HEADER + len(EXPRESSIONS) * (CELL + GAP) - GAP + MARGIN
    sheet = Image.new("RGB", (width, height), _PAPER)
    ink = ImageDraw.Draw(sheet)
    counts = faces.counts()
    ink.text((MARGIN, MARGIN), _fitted(data.source, 26, width - 2 * MARGIN), _INK, ImageFont.load_default(26))
    subtitle = f"{split}: {len(faces):,} faces, up to {faces_per_class} of each expression · {data.layout}"
    ink.text((MARGIN, MARGIN + 38), _fitted(subtitle, 16, width - 2 * MARGIN), _FAINT, ImageFont.load_default(16))

    generator = np.random.default_rng(seed)
    for row, expression in enumerate(EXPRESSIONS):
        top = MARGIN + HEADER + row * (CELL + GAP)
        ink.text((MARGIN, top + CELL // 2 - 22), expression, _INK, ImageFont.load_default(22))
        ink.text((MARGIN, top + CELL // 2 + 6), f"{counts[expression]:,}", _FAINT, ImageFont.load_default(16))
        members = np.flatnonzero(faces.labels == label_of(expression))
        for column, place in enumerate(generator.permutation(members)[:faces_per_class]):
            cell = Image.fromarray(faces.faces[place]).resize((CELL, CELL), Image.Resampling.BICUBIC)
            sheet.paste(cell, (MARGIN + NAMES_WIDTH + column * (CELL + GAP), top))
    return sheet


def _fitted(text: str, size: int, width: int) -> str:
    """``text``, shortened at its end where it is longer than ``width`` pixels."""
    font = ImageFont.load_default(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + " ...") > width:
        text = text[:-1]
    return text + " ..."
