"""One look for every picture: sizes, colours, and a figure that is written whole or not at all."""

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge import files
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


def style_image(axes: "Axes", caption: str = "", colour: str = INK_COLOUR) -> None:
    """Leave only the picture in ``axes``, with a small caption above it."""
    axes.set_axis_off()
    if caption:
        axes.set_title(caption, fontsize=SMALL_SIZE, color=colour, pad=3)


def save_png(figure: "Figure", path: Path) -> None:
    """Write ``figure`` to ``path`` as PNG, atomically. Raises StorageError."""
    with warnings.catch_warnings():
        # Names of image files may be in scripts that the font lacks: boxes in the picture are enough of a sign.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        files.write_atomically(path, lambda stream: figure.savefig(stream, format="png"))
