"""A picture of a row's time by layer: bars in the order that the nodes run, and the bound of each."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fer_edge.benchmark.roofline import COMPUTE, MEMORY
from fer_edge.evaluation.plot_style import (
    FAINT_COLOUR,
    INK_COLOUR,
    SMALL_SIZE,
    TRAIN_COLOUR,
    VALIDATION_COLOUR,
    new_figure,
    plottable,
    save_png,
    style_plot,
    text_properties,
)

MOST_BARS = 30
_ROW_INCHES, _LONGEST_NAME = 0.21, 42
_COLOURS = {COMPUTE: TRAIN_COLOUR, MEMORY: VALIDATION_COLOUR, None: FAINT_COLOUR}
_LABELS = {COMPUTE: "bound by multiply-adds", MEMORY: "bound by bytes", None: "others, or no bound known"}
_ABOVE_BOUND = 0.4
"""Opacity of the time that a better kernel could save."""


def bars_of(row: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """The MOST_BARS longest nodes, in the order they run, and the others."""
    nodes = row["nodes"]
    longest = sorted(range(len(nodes)), key=lambda place: -nodes[place]["ms"])[:MOST_BARS]
    return (
        [nodes[place] for place in sorted(longest)],
        [node for place, node in enumerate(nodes) if place not in longest],
    )


def plot_layers(row: Mapping[str, Any], title: str, named: Callable[[Mapping[str, Any]], str], path: Path) -> None:
    """Plot the time of each node to ``path`` (PNG), coloured by what bounds it, with a mark at its bound.

    The shortest are folded into one bar. Raises MissingExtraError without matplotlib.
    """
    shown, others = bars_of(row)
    names = [plottable(named(node), _LONGEST_NAME) for node in shown]
    times = [1000 * node["ms"] for node in shown]
    bounds = [None if node["bound_ms"] is None else 1000 * node["bound_ms"] for node in shown]
    colours = [_COLOURS[node["bound_by"]] for node in shown]
    shares = [node["share"] for node in shown]
    if others:
        names.append(f"{len(others)} others")
        times.append(sum(1000 * node["ms"] for node in others))
        bounds.append(sum(1000 * (node["bound_ms"] or 0.0) for node in others))
        colours.append(_COLOURS[None])
        shares.append(sum(node["share"] for node in others))
    figure = new_figure(9, 1.5 + _ROW_INCHES * len(names), plottable(title))
    axes = figure.subplots()
    places = range(len(names))
    axes.barh(places, times, height=0.72, color=colours, alpha=_ABOVE_BOUND)
    for place, (us, bound, share) in enumerate(zip(times, bounds, shares, strict=True)):
        if bound is not None:
            axes.barh(place, min(us, bound), height=0.72, color=colours[place])
            ends = [place - 0.42, place + 0.42]
            axes.plot([bound, bound], ends, color=INK_COLOUR, linewidth=1.8, solid_capstyle="butt")
        at = max(us, bound or 0.0) + 0.008 * max(times)
        axes.text(at, place, f"{share:.1%}", va="center", fontsize=SMALL_SIZE, color=INK_COLOUR)
    style_plot(axes, "time of one run (µs), and its share of all nodes; pale: above the bound", "")
    axes.grid(visible=False, axis="y")
    axes.set_yticks(list(places), names, fontsize=SMALL_SIZE, **text_properties(*names))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.margins(x=0.08)
    axes.set_xlim(left=0)
    for kind in (COMPUTE, MEMORY, None):
        if _COLOURS[kind] in colours:
            axes.barh([0], [0], color=_COLOURS[kind], label=_LABELS[kind])
    axes.plot([], [], color=INK_COLOUR, linewidth=1.8, label="its bound on this machine")
    axes.legend(fontsize=SMALL_SIZE, frameon=False, loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=4)
    save_png(figure, path)
