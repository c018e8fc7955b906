"""Fonts for names in any script: one that has every sign of a name, and how a name is shown where there is none."""

import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_NOT_A_CHARACTER = "\U0010ffff"
"""Has no glyph in any font: what is drawn for it is drawn for everything that a font lacks."""

_PREFERRED = (
    "dejavusans.",
    "notosanscjk",
    "notosans",
    "arialunicode",
    "hiragino",
    "yugoth",
    "msgothic",
    "segoeui",
    "arial",
)
"""Beginnings of file names, without blanks and dashes, of fonts that are read first: each has many scripts."""


def font_for(text: str, size: float) -> Font | None:
    """A font of ``size`` pixels with a glyph for every sign of ``text``, Pillow's own where it will do; else None."""
    default = ImageFont.load_default(size)
    if _covers(default, text):
        return default
    for path in _system_fonts():
        try:
            font = ImageFont.truetype(path, size)
        except OSError:
            continue
        if _covers(font, text):
            return font
    return None


def escaped(text: str) -> str:
    """``text`` in ASCII, other signs as Python writes them: for where there is no font with them."""
    return text.encode("ascii", "backslashreplace").decode()


def _covers(font: Font, text: str) -> bool:
    missing = bytes(font.getmask(_NOT_A_CHARACTER))
    return all(sign.isspace() or bytes(font.getmask(sign)) != missing for sign in set(text) if sign > "~")


@cache
def _system_fonts() -> tuple[str, ...]:
    """Font files of this machine, the ones with many scripts first."""
    found = {path for folder in _font_folders() for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES}

    def preference(path: Path) -> tuple[int, str]:
        name = path.name.lower().replace("-", "").replace(" ", "")
        places = (place for place, start in enumerate(_PREFERRED) if name.startswith(start))
        return next(places, len(_PREFERRED)), str(path)

    return tuple(str(path) for path in sorted(found, key=preference))


_SUFFIXES = (".ttf", ".otf", ".ttc")


def _font_folders() -> Iterator[Path]:
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  # Path.home() raises where there is none
    if sys.platform == "win32":
        yield Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts"
    elif sys.platform == "darwin":
        yield from (Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts")
    else:
        yield from (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".local/share/fonts")
