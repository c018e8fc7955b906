"""Plots of numbers: how training went, and how predictions turned out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.evaluation.calibration import CalibrationBins
from fer_edge.evaluation.plot_style import (
    FAINT_COLOUR,
    INK_COLOUR,
    RIGHT_COLOUR,
    SMALL_SIZE,
    TEXT_SIZE,
    TRAIN_COLOUR,
    VALIDATION_COLOUR,
    WRONG_COLOUR,
    new_figure,
    plottable,
    save_png,
    style_plot,
    text_properties,
)


def plot_training_curves(rows: Sequence[Mapping[str, float]], path: Path) -> None:
    """Plot loss and accuracy of training and validation after every epoch to ``path`` (PNG), marking the best epoch.

    ``rows``, one an epoch and at least one, have the keys epoch, train_loss, train_accuracy, validation_loss and
    validation_accuracy (fractions of one). The best epoch has the highest validation accuracy, the lower loss among
    equals.
    """
    epochs = _column(rows, "epoch")
    validation_accuracy = _column(rows, "validation_accuracy")
    best = int(np.lexsort((_column(rows, "validation_loss"), -validation_accuracy))[0])
    figure = new_figure(
        10, 4, f"Best epoch {epochs[best]:.0f} of {len(rows)}: validation accuracy {validation_accuracy[best]:.2%}"
    )
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    for axes, quantity, scale in ((loss_axes, "loss", 1.0), (accuracy_axes, "accuracy", 100.0)):
        for split, colour in (("train", TRAIN_COLOUR), ("validation", VALIDATION_COLOUR)):
            values = scale * _column(rows, f"{split}_{quantity}")
            marker = "o" if len(rows) <= 30 else ""
            axes.plot(epochs, values, color=colour, linewidth=1.6, marker=marker, markersize=3.5, label=split)
        best_value = scale * _column(rows, f"validation_{quantity}")[best]
        axes.axvline(
            epochs[best], color=FAINT_COLOUR, linewidth=1, linestyle=":", label=f"best: epoch {epochs[best]:.0f}"
        )
        axes.plot(epochs[best], best_value, "o", markersize=9, markerfacecolor="none", markeredgecolor=WRONG_COLOUR)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.legend(fontsize=TEXT_SIZE, frameon=False)
    style_plot(loss_axes, "epoch", "loss (nats)")
    style_plot(accuracy_axes, "epoch", "accuracy (%)")
    save_png(figure, path)


def plot_learning_rate(
    learning_rates: Sequence[float],
    path: Path,
    momenta: Sequence[float] | None = None,
    steps: Sequence[int] | None = None,
) -> None:
    """Plot the learning rate of every optimizer step to ``path`` (PNG), and the momentum where it cycles too.

    Both have one value a step, at least one; ``momenta`` is Adam's first beta where Adam is used. ``steps`` (from 0)
    are those of the values, where not each has one; the run's last is at their end.
    """
    numbers = np.arange(len(learning_rates)) + 1 if steps is None else np.asarray(steps) + 1
    peak = int(np.argmax(learning_rates))
    figure = new_figure(
        8, 3.6, f"Learning rate over {numbers[-1]} steps: peak {learning_rates[peak]:.3g} at step {numbers[peak]}"
    )
    axes = figure.subplots()
    axes.plot(numbers, learning_rates, color=TRAIN_COLOUR, linewidth=1.8)
    axes.set_ylim(bottom=0)
    style_plot(axes, "step", "learning rate")
    if momenta is not None:
        axes.yaxis.label.set_color(TRAIN_COLOUR)
        other_axes = axes.twinx()
        other_axes.plot(numbers, momenta, color=VALIDATION_COLOUR, linewidth=1.4, linestyle="--")
        style_plot(other_axes, "step", "momentum")
        other_axes.yaxis.label.set_color(VALIDATION_COLOUR)
        other_axes.grid(visible=False)
    save_png(figure, path)


MAX_NUMBERED = 25
"""With more classes than this, a confusion matrix has no numbers in its cells: they could not be read."""

LONGEST_NAME = 24
"""Characters of a class's name beside a plot."""


def plot_confusion_matrix(
    confusion: np.ndarray, names: Sequence[str], path: Path, title: str = "Confusion matrix"
) -> None:
    """Plot counts (C, C), rows true and columns predicted, to ``path`` (PNG); the colour is the fraction of the row.

    A class without faces has a row of dashes.

    ``names`` are those of the C classes.
    """
    supports = confusion.sum(axis=1)
    fractions = confusion / np.maximum(supports, 1)[:, None]
    num_classes = len(names)
    cell = min(0.66, max(0.52, 9 / num_classes)) if num_classes <= MAX_NUMBERED else max(12 / num_classes, 0.16)
    width, height = max(cell * num_classes + 2.6, 5.4), max(cell * num_classes + 1.1, 3.2)
    figure = new_figure(width, height, title)
    axes = figure.subplots()
    image = axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    if num_classes <= MAX_NUMBERED:
        for (row, column), fraction in np.ndenumerate(fractions):
            text = f"{fraction:.0%}\n{confusion[row, column]}" if supports[row] else "–"
            colour = "white" if fraction > 0.5 else INK_COLOUR
            axes.text(column, row, text, ha="center", va="center", fontsize=SMALL_SIZE, color=colour)
    style_plot(axes, "predicted", "true (faces)")
    size = TEXT_SIZE if num_classes <= MAX_NUMBERED else max(min(72 * cell - 2, SMALL_SIZE), 4)
    shown_names = [plottable(name, LONGEST_NAME) for name in names]
    properties: dict[str, Any] = {"fontsize": size, **text_properties(*shown_names)}
    are_tilted = max(map(len, shown_names)) * 0.09 * size / TEXT_SIZE > cell
    tilt: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if are_tilted else {}
    axes.set_xticks(range(num_classes), shown_names, **properties, **tilt)
    lines = [f"{name} ({support})" for name, support in zip(shown_names, supports, strict=True)]
    axes.set_yticks(range(num_classes), lines, **properties)
    axes.grid(visible=False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, format=lambda fraction, _: f"{fraction:.0%}")
    bar.set_label("fraction of the true class", fontsize=TEXT_SIZE, color=INK_COLOUR)
    bar.ax.tick_params(labelsize=TEXT_SIZE, colors=INK_COLOUR, length=0)
    bar.outline.set_visible(False)
    save_png(figure, path)


def plot_reliability(bins: CalibrationBins, path: Path) -> None:
    """Plot accuracy against confidence, and how many predictions have it, to ``path`` (PNG).

    After Guo et al. 2017, figure 1: a calibrated model's bars end on the diagonal.
    """
    num_bins = len(bins.counts)
    edges = np.arange(num_bins) / num_bins
    filled = bins.counts > 0
    figure = new_figure(5.6, 6.4, f"Calibration error {bins.expected_error:.2%}")
    upper, lower = figure.subplots(2, 1, height_ratios=[3, 1], sharex=True)
    bar = {"width": 1 / num_bins, "align": "edge", "edgecolor": "white", "linewidth": 0.8}
    upper.bar(edges[filled], 100 * bins.accuracy[filled], color=TRAIN_COLOUR, label="accuracy", **bar)
    upper.plot([0, 1], [0, 100], color=FAINT_COLOUR, linestyle="--", linewidth=1.2, label="perfectly calibrated")
    for confidence, accuracy in zip(bins.confidence[filled], bins.accuracy[filled], strict=True):
        colour = WRONG_COLOUR if confidence > accuracy else RIGHT_COLOUR
        upper.plot([confidence, confidence], [100 * accuracy, 100 * confidence], color=colour, linewidth=2)
    upper.plot([], [], color=WRONG_COLOUR, linewidth=2, label="overconfident by")
    upper.plot([], [], color=RIGHT_COLOUR, linewidth=2, label="underconfident by")
    upper.legend(fontsize=TEXT_SIZE, frameon=False, loc="upper left")
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 100)
    lower.bar(edges, bins.counts, color=FAINT_COLOUR, **bar)
    style_plot(upper, "", "accuracy (%)")
    style_plot(lower, "confidence", "faces")
    save_png(figure, path)


def _column(rows: Sequence[Mapping[str, float]], key: str) -> np.ndarray:
    """float64 (len(rows),); a value that is missing or None (nothing was measured) is NaN, which plots as a gap."""
    return np.array([row.get(key) for row in rows], dtype=np.float64)
