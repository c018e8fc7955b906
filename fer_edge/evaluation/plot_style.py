"""One look for every plot: sizes, colours, fonts for names in any script, and a figure that is written whole or not."""

import unicodedata
import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge import files
from fer_edge.data.fonts import escaped
from fer_edge.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 144

TRAIN_COLOUR = "#3b6ea8"
VALIDATION_COLOUR = "#d1701f"
RIGHT_COLOUR = "#2e7d4f"
WRONG_COLOUR = "#b3372f"
INK_COLOUR = "#2b2b2b"
FAINT_COLOUR = "#8a8a8a"
GRID_COLOUR = "#e4e4e4"

TITLE_SIZE = 11
TEXT_SIZE = 9
SMALL_SIZE = 7.5


def require_matplotlib() -> None:
    """Raises MissingExtraError where matplotlib is not installed: to ask before long work whose result is drawn."""
    if find_spec("matplotlib") is None:
        raise MissingExtraError("matplotlib", "plots")


def new_figure(width_inches: float, height_inches: float, title: str) -> "Figure":
    """An empty figure with a title and an Agg canvas: no pyplot, so no global state and no display is needed.

    Raises MissingExtraError where matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(rect=(0.01, 0.01, 0.98, 0.98))  # a margin of a hundredth on each side
    figure = Figure(figsize=(width_inches, height_inches), dpi=DOTS_PER_INCH, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=TITLE_SIZE, color=INK_COLOUR, fontweight="bold")
    return figure


def style_plot(axes: "Axes", x_label: str, y_label: str) -> None:
    """Give a plot with two scales its labels, a quiet grid behind the data and no box."""
    axes.set_xlabel(x_label, fontsize=TEXT_SIZE, color=INK_COLOUR)
    axes.set_ylabel(y_label, fontsize=TEXT_SIZE, color=INK_COLOUR)
    axes.tick_params(labelsize=TEXT_SIZE, colors=INK_COLOUR, length=0)
    axes.grid(color=GRID_COLOUR, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(FAINT_COLOUR)


FONT = "DejaVu Sans"
"""Comes with matplotlib."""

_NO_TEXT_FONTS = ("Last Resort", "STIX", "cm", "DejaVu")
"""Beginnings of families that are no help beside FONT: boxes for every sign, or the signs of formulas."""


_LEFT_TO_RIGHT = "\u200e"
"""Around a name that is written from right to left: what follows it, such as a number, stays behind it."""


def plottable(name: str, length: int | None = None) -> str:
    """``name`` as a plot can show it, to be drawn with ``text_properties``; its end is cut beyond ``length`` signs.

    For signs that no font on this machine has, their escapes are shown (``\\u559c``): to be recognised, never boxes.
    """
    text = "".join(sign if _families(frozenset(sign)) else escaped(sign) for sign in name)
    if _families(frozenset(text)) is None:  # no one font beside FONT has all of it
        text = "".join(sign if _families(frozenset(sign)) == (FONT,) else escaped(sign) for sign in text)
    text = text if length is None or len(text) <= length else text[: length - 1] + "…"
    from_the_right = any(unicodedata.bidirectional(sign) in ("R", "AL") for sign in text)
    return f"{_LEFT_TO_RIGHT}{text}{_LEFT_TO_RIGHT}" if from_the_right else text


def text_properties(*texts: str) -> dict[str, Any]:
    """Properties of matplotlib texts that show ``texts``, whose names went through ``plottable``: fonts for them."""
    families = dict.fromkeys(family for text in texts for family in _families(frozenset(text)) or ())
    return {"family": list(families) or [FONT], "parse_math": False}  # a name may hold dollars


@cache
def _families(signs: frozenset[str]) -> tuple[str, ...] | None:
    """FONT, and one more family where it lacks some of ``signs``; None where no family has all of these.

    Raises MissingExtraError where matplotlib is not installed: a plot's names are made ready before its figure is.
    """
    require_matplotlib()
    from matplotlib import font_manager

    def lacking(path: str) -> set[str]:
        charmap = font_manager.get_font(path).get_charmap()
        return {sign for sign in signs if not sign.isspace() and ord(sign) not in charmap}

    missing = lacking(font_manager.findfont(FONT))
    if not missing:
        return (FONT,)
    for entry in sorted(font_manager.fontManager.ttflist, key=lambda entry: (entry.weight != 400, entry.name)):
        if not entry.name.startswith(_NO_TEXT_FONTS) and not missing & lacking(entry.fname):
            return FONT, entry.name
    return None


def style_image(axes: "Axes", caption: str = "", colour: str = INK_COLOUR) -> None:
    """Leave only the image in ``axes``, with a small caption above it (names in it: see ``plottable``)."""
    axes.set_axis_off()
    if caption:
        axes.set_title(caption, fontsize=SMALL_SIZE, color=colour, pad=3, **text_properties(caption))


def save_png(figure: "Figure", path: Path) -> None:
    """Write ``figure`` to ``path`` as PNG, atomically. Raises StorageError."""
    with warnings.catch_warnings():
        # Names of image files may be in scripts that the font lacks: boxes in the picture are enough of a sign.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        files.write_atomically(path, lambda stream: figure.savefig(stream, format="png"))
