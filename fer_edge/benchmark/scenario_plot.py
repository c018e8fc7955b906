"""The picture of sustained runs: images a second, second by second, and what became of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.evaluation.plot_style import (
    FAINT_COLOUR,
    INK_COLOUR,
    SMALL_SIZE,
    TEXT_SIZE,
    TRAIN_COLOUR,
    VALIDATION_COLOUR,
    new_figure,
    plottable,
    save_png,
    style_plot,
    text_properties,
)

CAPTION = "Images in each second of a sustained run"


def plot_sustained(rows: Sequence[dict[str, Any]], path: Path) -> str:
    """One panel a row, to ``path`` (PNG); the caption. Raises MissingExtraError without matplotlib, StorageError."""
    figure = new_figure(8.0, 0.8 + 1.9 * len(rows), CAPTION)
    panels = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, row in zip(panels, rows, strict=True):
        rates = np.array(row["by_second"], float)
        seconds = np.arange(len(rates)) + 0.5
        axes.plot(seconds, rates, color=TRAIN_COLOUR, linewidth=1.0)
        axes.set_xlim(0, max(1, len(rates)))
        axes.set_ylim(0, 1.15 * rates.max(initial=1.0))
        fifth = len(rates) // 5
        drift = ""
        if row["drift"] is not None:
            for part, begin in ((rates[:fifth], 0), (rates[-fifth:], len(rates) - fifth)):
                axes.hlines(np.median(part), begin, begin + fifth, color=VALIDATION_COLOUR, linewidth=2.2)
            drift = f"; last fifth over first (orange): {row['drift']:.3f}"
        name = plottable(f"{row['model']} {row['runtime']} {row['precision']}")
        threads = f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}"
        title = f"{name}, {threads}: {row['images_per_s']:,.0f} images/s{drift}"
        style_plot(axes, "seconds" if axes is panels[-1] else "", "images/s")
        axes.set_title(title, fontsize=TEXT_SIZE, color=INK_COLOUR, loc="left", **text_properties(title))
        axes.tick_params(labelsize=SMALL_SIZE + 0.5, colors=FAINT_COLOUR)
    save_png(figure, path)
    return CAPTION
