"""Two plots: latency against accuracy, and throughput against batch size."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fer_edge.backends.registry import BackendEntry, backends
from fer_edge.benchmark.results import RowResult
from fer_edge.evaluation.plot_style import (
    FAINT_COLOUR,
    INK_COLOUR,
    SMALL_SIZE,
    new_figure,
    plottable,
    save_png,
    style_plot,
    text_properties,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCHES_A_LETTER, _INCHES_A_LINE = 0.08, 0.19
"""Of a legend."""
_MARKERS = {"fp32": "o", "fp16": "s", "bf16": "^", "int8": "D"}
_LINES = {"fp32": "-", "fp16": ":", "bf16": "--", "int8": "-"}
_Fill = Literal["full", "none", "left", "bottom", "right", "top"]
_FILLS: tuple[_Fill, ...] = ("full", "none", "left", "bottom", "right", "top")
"""How the markers of one file after another are filled."""


def plot_latency_against_accuracy(results: Sequence[RowResult], path: Path) -> str | None:
    """Plot the rows of the smallest batch and number of threads to ``path`` (PNG); its caption.

    None, and nothing is plotted, where no accuracy was measured. Raises MissingExtraError without matplotlib.
    """
    judged = [one for one in results if one.accuracy is not None]
    if not judged:
        return None
    batch = min(one.row.batch for one in judged)
    threads = min(one.row.threads for one in judged)
    shown = [one for one in judged if (one.row.batch, one.row.threads) == (batch, threads)]
    caption = f"Latency against accuracy, batch {batch}, {_threads(threads)}"
    figure = _figure_with_legend(5.5, [_name(one, shown) for one in shown], caption)
    axes = figure.subplots()
    for one in sorted(shown, key=lambda one: one.p50_ms):
        p50, interval = one.p50_ms, one.interval_ms
        axes.errorbar(
            p50,
            100 * (one.accuracy or 0.0),
            xerr=[[max(0.0, p50 - interval.low)], [max(0.0, interval.high - p50)]],
            color=_colour(one),
            marker=_MARKERS[one.row.precision],
            fillstyle=_fill(one, results),
            markersize=7,
            capsize=3,
            linewidth=1.2,
            label=_name(one, shown),
        )
    _log_scale(axes.set_xscale, axes.xaxis)
    several = len({tuple(one.labels) for one in shown}) > 1
    of_each = ", of each model's own classes" if several else ""
    style_plot(axes, "latency p50 (ms, logarithmic; bars: 95% interval)", f"accuracy (%){of_each}")
    accuracies = [100 * (one.accuracy or 0.0) for one in shown]
    room = max(0.5, 0.15 * (max(accuracies) - min(accuracies)))
    axes.set_ylim(min(accuracies) - room, max(accuracies) + room)
    _legend_beside(axes)
    save_png(figure, path)
    return caption


def plot_throughput(results: Sequence[RowResult], path: Path) -> str | None:
    """Plot images/s against batch size to ``path`` (PNG), one panel for each number of threads; its caption.

    None, and nothing is plotted, where only one batch size was timed. Raises MissingExtraError without matplotlib.
    """
    batches = sorted({one.row.batch for one in results})
    if len(batches) < 2:
        return None
    threads = sorted({one.row.threads for one in results})
    caption = "Throughput against batch size"
    engines = {one.row.engine: _name(one, results) for one in results}
    figure = _figure_with_legend(4.2 * len(threads), list(engines.values()), caption)
    panels = figure.subplots(1, len(threads), sharey=True, squeeze=False)[0]
    for axes, number in zip(panels, threads, strict=True):
        lines: dict[tuple[str, ...], list[RowResult]] = {}
        for one in results:
            if one.row.threads == number:
                lines.setdefault(one.row.engine, []).append(one)
        for line in lines.values():
            line.sort(key=lambda one: one.row.batch)
        for line in sorted(lines.values(), key=lambda line: -line[-1].images_per_s):
            axes.plot(
                [one.row.batch for one in line],
                [one.images_per_s for one in line],
                color=_colour(line[0]),
                marker=_MARKERS[line[0].row.precision],
                fillstyle=_fill(line[0], results),
                linestyle=_LINES[line[0].row.precision],
                markersize=6,
                linewidth=1.4,
                label=_name(line[0], results),
            )
        axes.set_xscale("log", base=2)
        axes.set_xticks(batches, map(str, batches))
        axes.minorticks_off()
        _log_scale(axes.set_yscale, axes.yaxis)
        style_plot(axes, "batch size", "images/s (logarithmic)" if axes is panels[0] else "")
        axes.set_title(_threads(number), fontsize=SMALL_SIZE + 1.5, color=INK_COLOUR)
    _legend_beside(panels[-1])
    save_png(figure, path)
    return caption


def _log_scale(set_scale: Callable[[str], None], axis: object) -> None:
    """A logarithmic axis with ordinary numbers at it."""
    from matplotlib.axis import Axis
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    assert isinstance(axis, Axis)
    set_scale("log")
    low, high = axis.get_view_interval()
    is_narrow = high < 10 * low
    axis.set_major_locator(LogLocator(base=10, subs=(1, 1.5, 2, 3, 4, 5, 6, 8) if is_narrow else (1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _figure_with_legend(width_inches: float, names: Sequence[str], caption: str) -> "Figure":
    """So much wider and higher that a legend of ``names`` stands beside the plot and leaves it its width."""
    width_inches += 0.6 + _INCHES_A_LETTER * max(map(len, names))
    return new_figure(width_inches, max(4.8, 0.9 + _INCHES_A_LINE * len(names)), caption)


def _legend_beside(axes: "Axes") -> None:
    """To the right of the plot, where it covers no point, in the order of drawing: from the best to the worst."""
    legend = axes.legend(
        fontsize=SMALL_SIZE + 0.5,
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1.02, 0.5),
        labelcolor=INK_COLOUR,
        edgecolor=FAINT_COLOUR,
    )
    for text in legend.get_texts():
        text.set(**text_properties(text.get_text()))


def _name(one: RowResult, all_rows: Sequence[RowResult]) -> str:
    name = f"{one.row.label} {one.row.precision}"
    if len({other.row.model for other in all_rows}) > 1:
        name = f"{plottable(one.row.model)} {name}"
    return f" {name}" if name.startswith("_") else name  # matplotlib's legends leave out what begins so


def _colour(one: RowResult) -> str:
    entry = backends().get(one.row.runtime)  # None: in results of a machine that has more
    return entry.colour if entry is not None else BackendEntry.colour


def _fill(one: RowResult, all_rows: Sequence[RowResult]) -> _Fill:
    """Tells it from other files in the same runtime and precision, which have its colour and marker."""
    kind = (one.row.runtime, one.row.precision)
    alike = [other.row for other in all_rows if (other.row.runtime, other.row.precision) == kind]
    models = list(dict.fromkeys((row.model, row.form) for row in alike))
    return _FILLS[models.index((one.row.model, one.row.form)) % len(_FILLS)]


def _threads(number: int) -> str:
    return f"{number} thread{'s' if number > 1 else ''}"
