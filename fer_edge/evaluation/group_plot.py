"""Plots accuracy by group."""

from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.evaluation.plot_style import (
    FAINT_COLOUR,
    INK_COLOUR,
    SMALL_SIZE,
    TEXT_SIZE,
    TRAIN_COLOUR,
    new_figure,
    plottable,
    save_png,
    style_plot,
    text_properties,
)

if TYPE_CHECKING:
    from fer_edge.evaluation.groups import GroupReport

_ROW_INCHES = 0.3
_LONGEST_NAME = 28


def plot_groups(report: "GroupReport", path: Path) -> None:
    """Plot the accuracy of every group with its 95 % interval, a panel a column, to ``path`` (PNG).

    Groups that are too small to be compared are grey and hollow; the line is the accuracy of all faces.
    """
    overall = 100 * report.evaluation.metrics.accuracy
    heights = [max(len(column.groups), 1) + 1.4 for column in report.columns]
    title = f"{plottable(report.evaluation.subject.path.stem, _LONGEST_NAME)}: accuracy by group, with 95 % intervals"
    figure = new_figure(8, _ROW_INCHES * sum(heights) + 1.0, title)
    panels = figure.subplots(len(report.columns), 1, height_ratios=heights, sharex=True, squeeze=False)[:, 0]
    for axes, column in zip(panels, report.columns, strict=True):
        names = []
        for row, group in enumerate(column.groups):
            low, high = (100 * end for end in group.accuracy_interval)
            colour = TRAIN_COLOUR if group.is_compared else FAINT_COLOUR
            axes.plot([low, high], [row, row], color=colour, linewidth=2)
            face = colour if group.is_compared else "white"
            axes.plot(100 * group.accuracy, row, "o", color=colour, markerfacecolor=face, markersize=6)
            names.append(f"{plottable(group.name, _LONGEST_NAME)} ({group.num_faces:,})")
        axes.axvline(overall, color=INK_COLOUR, linewidth=1, linestyle="--")
        axes.set_yticks(range(len(names)), names, fontsize=TEXT_SIZE, **text_properties(*names))
        axes.set_ylim(len(names) - 0.4, -0.6)
        heading = plottable(column.column, _LONGEST_NAME)
        is_last = axes is panels[-1]
        style_plot(axes, "accuracy (%); the dashed line: all faces" if is_last else "", "")
        axes.set_title(heading, loc="left", fontsize=TEXT_SIZE, color=INK_COLOUR, **text_properties(heading))
        if any(not group.is_compared for group in column.groups):
            axes.plot([], [], "o", color=FAINT_COLOUR, markerfacecolor="white", label="too few faces to be compared")
            axes.legend(fontsize=SMALL_SIZE, frameon=False, loc="lower right", bbox_to_anchor=(1, 1))
    save_png(figure, path)
