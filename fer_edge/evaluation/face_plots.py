"""Plots of pixels: faces a model got wrong, what its first layer looks for, where it looks."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_edge.evaluation.metrics import worst_mistakes
from fer_edge.evaluation.plot_style import (
    FAINT_COLOUR,
    SMALL_SIZE,
    TEXT_SIZE,
    WRONG_COLOUR,
    new_figure,
    plottable,
    save_png,
    style_image,
    text_properties,
)
from fer_edge.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST_NAME = 26
"""Characters of an image's name that fit under it."""

LONGEST_CLASS = 20
"""Characters of a class's name that fit above an image, and of two beside each other."""


def plot_mistakes(
    faces: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    path: Path,
    names: Sequence[str] | None = None,
    limit: int = 24,
) -> None:
    """Plot the wrong predictions with the highest confidence, each as true → predicted, to ``path`` (PNG).

    ``faces`` uint8 (N, S, S), ``labels`` integers (N,), ``probabilities`` (N, C), ``class_names`` those of the C
    classes, ``names`` what to call each face.
    """
    num_wrong = int(np.count_nonzero(probabilities.argmax(axis=1) != labels))
    indices = worst_mistakes(probabilities, labels, limit)
    if len(indices) == 0:
        figure = new_figure(6, 1.6, "No mistakes")
        figure.text(0.5, 0.4, f"all {len(labels)} predictions are right", ha="center", fontsize=TEXT_SIZE)
        save_png(figure, path)
        return
    columns = min(6, len(indices))
    rows = math.ceil(len(indices) / columns)
    title = f"The {len(indices)} most confident of {num_wrong} mistakes on {len(labels)} faces"
    figure = new_figure(max(1.75 * columns, 5.5), 2.05 * rows + 0.7, title)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        style_image(axes)
    for axes, index in zip(grid, indices, strict=False):
        predicted = int(probabilities[index].argmax())
        axes.imshow(faces[index], cmap="gray", vmin=0, vmax=255)
        true, answer = (plottable(class_names[label], LONGEST_CLASS) for label in (labels[index], predicted))
        gap = " " if len(true) + len(answer) <= LONGEST_CLASS else "\n"
        caption = f"{true} →{gap}{answer} {probabilities[index, predicted]:.0%}"
        style_image(axes, caption, WRONG_COLOUR)
        if names is not None:
            _write_below(axes, names[index])
    _explain_below(figure, "true → predicted, with the confidence of the prediction")
    save_png(figure, path)


def plot_filters(weights: np.ndarray, path: Path, title: str = "First-layer filters") -> None:
    """Plot the kernels float (out, in, height, width) of a first convolution to ``path`` (PNG).

    Mid grey is zero, white the filter's largest weight and black its negative: each filter has its own scale, written
    above it. More than one input channel is summed, which is what a grey face meets.
    """
    kernels = weights.sum(axis=1)  # (out, height, width)
    columns = min(16, len(kernels))
    rows = math.ceil(len(kernels) / columns)
    figure = new_figure(max(0.72 * columns, 5.5), 0.85 * rows + 0.9, title)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        style_image(axes)
    for axes, kernel in zip(grid, kernels, strict=False):
        largest = float(np.abs(kernel).max())
        scale = largest or 1.0
        axes.imshow(kernel, cmap="gray", vmin=-scale, vmax=scale)
        style_image(axes, f"{largest:.2g}", FAINT_COLOUR)
    size = f"{kernels.shape[1]}×{kernels.shape[2]}"
    _explain_below(figure, f"{len(kernels)} filters of {size}; grey is zero, the number is the largest absolute weight")
    save_png(figure, path)


def plot_activation_maps(
    faces: np.ndarray,
    maps: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    path: Path,
    names: Sequence[str],
    title: str = "Where the model looks",
) -> None:
    """Plot faces above their class activation maps, with the top label and its probability, to ``path`` (PNG).

    ``faces`` uint8 (N, S, S), ``maps`` float (N, S, S) from 0 to 1, ``probabilities`` (N, C), N at least 1,
    ``class_names`` those of the C classes.
    """
    columns = min(7, len(faces))
    bands = math.ceil(len(faces) / columns)  # one band is a row of faces and a row of maps
    figure = new_figure(max(1.7 * columns, 5.5), 3.6 * bands + 0.7, title)
    grid = figure.subplots(2 * bands, columns, squeeze=False)
    for axes in grid.ravel():
        style_image(axes)
    for index, (face, heat, row) in enumerate(zip(faces, maps, probabilities, strict=True)):
        upper, lower = grid[2 * (index // columns) :, index % columns][:2]
        top = int(row.argmax())
        upper.imshow(face, cmap="gray", vmin=0, vmax=255)
        # In no colour of right or wrong: the truth is not known.
        style_image(upper, f"{plottable(class_names[top], LONGEST_CLASS)} {row[top]:.0%}")
        lower.imshow(face, cmap="gray", vmin=0, vmax=255)
        lower.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.15 + 0.5 * heat, interpolation="bilinear")
        _write_below(lower, names[index])
    _explain_below(figure, "bright: what speaks for the label above; each face on its own scale")
    save_png(figure, path)


def _write_below(axes: "Axes", name: str) -> None:
    """An image's name under it; of a long one the end, which tells images of one folder apart."""
    text = printable(name)
    text = text if len(text) <= LONGEST_NAME else "…" + text[-(LONGEST_NAME - 1) :]
    text = plottable(text)
    place: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "top", **text_properties(text)}
    axes.text(0.5, -0.03, text, fontsize=6, color=FAINT_COLOUR, **place)


def _explain_below(figure: "Figure", text: str) -> None:
    """A line of explanation at the foot of the figure, for which the layout makes room."""
    figure.supxlabel(text, fontsize=SMALL_SIZE, color=FAINT_COLOUR)
