"""One look for every plot: sizes, colours, fonts for names in any script, and a figure that is written whole or not."""

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
        raise MissingExtraError("matplotlib", "train")


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


def plottable(name: str) -> tuple[str, dict[str, Any]]:
    """``name`` as a plot can show it, and the properties of its text: fonts that have every sign of it.

    Where this machine has no font with some sign, its escapes are shown (``\\u559c``): to be recognised, never boxes.
    """
    families = _families(frozenset(sign for sign in name if not sign.isspace()))
    shown_name = escaped(name) if families is None else name
    return shown_name, {"family": list(families or (FONT,)), "parse_math": False}  # a name may hold dollars


@cache
def _families(signs: frozenset[str]) -> tuple[str, ...] | None:
    """FONT, and one more family where it lacks some of ``signs``; None where no family has all of them."""
    from matplotlib import font_manager

    def lacking(path: str) -> set[str]:
        return {sign for sign in signs if ord(sign) not in font_manager.get_font(path).get_charmap()}

    missing = lacking(font_manager.findfont(FONT))
    if not missing:
        return (FONT,)
    for entry in sorted(font_manager.fontManager.ttflist, key=lambda entry: (entry.weight != 400, entry.name)):
        if not entry.name.startswith(_NO_TEXT_FONTS) and not missing & lacking(entry.fname):
            return FONT, entry.name
    return None


def shortened(text: str, length: int) -> str:
    """``text``, with its end cut where it has more than ``length`` characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def style_image(axes: "Axes", caption: str = "", colour: str = INK_COLOUR) -> None:
    """Leave only the image in ``axes``, with a small caption above it."""
    axes.set_axis_off()
    if caption:
        text, properties = plottable(caption)
        axes.set_title(text, fontsize=SMALL_SIZE, color=colour, pad=3, **properties)


def save_png(figure: "Figure", path: Path) -> None:
    """Write ``figure`` to ``path`` as PNG, atomically. Raises StorageError."""
    with warnings.catch_warnings():
        # Names of image files may be in scripts that the font lacks: boxes in the picture are enough of a sign.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        files.write_atomically(path, lambda stream: figure.savefig(stream, format="png"))
