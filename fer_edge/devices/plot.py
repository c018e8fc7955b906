"""The matrix as a picture: how far the logits of each device are from what is expected."""

from pathlib import Path

from fer_edge.devices.matrix import Matrix
from fer_edge.evaluation.plot_style import (
    FAINT_COLOUR,
    INK_COLOUR,
    RIGHT_COLOUR,
    SMALL_SIZE,
    TEXT_SIZE,
    WRONG_COLOUR,
    new_figure,
    save_png,
    style_plot,
)

SMALLEST = 1e-7
"""Of a logit; what is smaller is drawn as this."""


def plot_matrix(matrix: Matrix, path: Path) -> None:
    """Draw ``matrix`` into a PNG file: a bar a device, the bound as a line. Raises StorageError."""
    rows = matrix.rows[::-1]
    figure = new_figure(8.4, 0.8 + 0.36 * len(rows) + 0.5, f"{matrix.model}: answers on other devices")
    axes = figure.subplots()
    style_plot(axes, "largest difference of a logit", "")
    largest = max([matrix.max_logit_difference, *(row.max_logit_difference or 0 for row in rows)])
    axes.set_xscale("log")
    axes.set_xlim(SMALLEST, largest * 300)
    for place, row in enumerate(rows):
        colour = {"passed": RIGHT_COLOUR, "failed": WRONG_COLOUR}.get(row.outcome, FAINT_COLOUR)
        difference = row.max_logit_difference
        if difference is not None:
            axes.barh(place, max(difference, SMALLEST) - SMALLEST, left=SMALLEST, height=0.62, color=colour)
        parts = [row.outcome if row.reported_by is None else f"{row.outcome}, reported"]
        if row.outcome != "not run" and row.labels_changed is not None:
            parts.append(f"{row.labels_changed} of {row.images} labels changed")
        if row.accuracy is not None:
            parts.append(f"{row.accuracy:.1%}")
        start = max(difference or SMALLEST, SMALLEST)
        # White behind it: the line of what is allowed would run through the words.
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        said = " · ".join(parts)
        axes.text(start * 1.3, place, said, va="center", fontsize=SMALL_SIZE, color=colour, bbox=behind)
    axes.axvline(matrix.max_logit_difference, color=INK_COLOUR, linewidth=1, linestyle=(0, (4, 3)))
    axes.text(
        matrix.max_logit_difference * 1.2,
        len(rows) - 0.45,
        f"allowed: {matrix.max_logit_difference:g}",
        ha="left",
        va="bottom",
        fontsize=SMALL_SIZE,
        color=INK_COLOUR,
    )
    axes.set_yticks(range(len(rows)), [row.device for row in rows], fontsize=TEXT_SIZE)
    axes.set_ylim(-0.6, len(rows) - 0.1)
    axes.grid(visible=False, axis="y")
    save_png(figure, path)
