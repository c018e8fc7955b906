"""A parity check for people: Markdown, and a plot of the differences."""

from pathlib import Path

import numpy as np

from fer_edge.evaluation.plot_style import (
    INK_COLOUR,
    TEXT_SIZE,
    TRAIN_COLOUR,
    VALIDATION_COLOUR,
    WRONG_COLOUR,
    new_figure,
    save_png,
    style_plot,
)
from fer_edge.export.card.tables import markdown_table, signed
from fer_edge.export.parity.comparison import CHECKPOINT, Parity

_FLOOR = 1e-9
"""Identical answers have no logarithm: they are plotted here."""


def parity_summary(parity: Parity) -> str:
    """The figures of a comparison in a few lines."""
    result = "passed" if parity else "FAILED"
    lines = [
        f"parity {result}: {parity.model} ({parity.precision}) against {parity.reference}",
        f"  largest difference of a probability  {parity.max_probability_difference:.3g}"
        f"  (allowed {parity.tolerance.max_probability_difference:g})",
        f"  same class, decided images           {parity.top1_agreement:.2%}"
        f"  (at least {parity.tolerance.min_top1_agreement:.0%})",
        f"  smallest SQNR of the logits          {parity.sqnr_db:.1f} dB"
        f"  (at least {parity.tolerance.min_sqnr_db:g} dB)",
        f"  probabilities against own logits     {parity.max_softmax_difference:.3g}"
        f"  (allowed {parity.tolerance.max_softmax_difference:g})",
    ]
    lines.append(
        f"  slope of the logits, largest bias    {parity.slope:.4f}, {max(map(abs, parity.bias)):.4f}"
        f"  (allowed 1 ± {parity.tolerance.max_slope_error:g}, {parity.tolerance.max_bias:g})"
    )
    if parity.accuracy is not None:
        pair = parity.accuracy
        reference = parity.reference.removeprefix("its ")
        lines.append(
            f"  accuracy on {pair.faces} faces: {reference} {pair.checkpoint:.2%}, model {pair.model:.2%} "
            f"({signed(-pair.drop_points)} points), named differently {pair.disagreement:.2%}"
        )
    return "\n".join([*lines, *(f"  failed: {failure}" for failure in parity.failures)])


def parity_markdown(parity: Parity) -> str:
    """The whole comparison as a Markdown document."""
    rows = [
        (
            row.probe + ("" if row.judged else " (not judged)"),
            row.batch,
            f"{row.max_logit_difference:.1e}",
            f"{row.mean_logit_difference:.1e}",
            f"{row.max_probability_difference:.1e}",
            f"{row.mean_probability_difference:.1e}",
            f"{row.sqnr_db:.0f}",
            f"{row.cosine:.6f}",
            f"{row.agreeing}/{row.decided}",
        )
        for row in parity.rows
    ]
    header = (
        "images",
        "batch",
        "max logit",
        "mean logit",
        "max prob.",
        "mean prob.",
        "SQNR dB",
        "cosine",
        "same top-1",
    )
    tolerance = parity.tolerance
    parts = [
        f"# Parity of {parity.model}",
        f"```\n{parity_summary(parity)}\n```",
        f"Every image is a file as bytes: decoded, then given as pixels to the {parity.precision} model, and "
        + (
            "by way of the reference preprocessing (float luma, torch's antialiased bilinear resize) to the checkpoint."
            if parity.reference == CHECKPOINT
            else f"to {parity.reference}, each by its own loader."
        ),
        markdown_table(header, rows, right=range(1, len(header))),
        "Columns: largest and mean absolute difference of logits and probabilities; SQNR: power of the reference's "
        "logits over that of the difference; cosine: the smallest of any image; same top-1: of the images whose two "
        f"best probabilities differ by more than {tolerance.tie_margin:g}.",
        f"Tolerance: {tolerance.reason}.",
    ]
    return "\n\n".join(parts) + "\n"


def plot_parity(parity: Parity, path: Path) -> None:
    """A plot of the differences: per probe their size against what is allowed, and how they are spread."""
    judged = [row for row in parity.rows if row.judged]
    names = list(dict.fromkeys(row.probe for row in judged))
    worst = [max(row.max_probability_difference for row in judged if row.probe == name) for name in names]
    mean = [max(row.mean_probability_difference for row in judged if row.probe == name) for name in names]
    allowed = parity.tolerance.max_probability_difference
    result = "passed" if parity else "FAILED"
    figure = new_figure(
        10,
        0.34 * len(names) + 2,
        f"{parity.model}, {parity.precision}: parity {result}, "
        f"largest difference {parity.max_probability_difference:.1e}, same class {parity.top1_agreement:.1%}",
    )
    bars, spread = figure.subplots(1, 2, width_ratios=(1.5, 1))
    style_plot(bars, "difference of a probability", "")
    places = np.arange(len(names))
    colours = [WRONG_COLOUR if value > allowed else TRAIN_COLOUR for value in worst]
    bars.barh(places, np.maximum(worst, _FLOOR), height=0.6, color=colours, label="largest")
    bars.plot(np.maximum(mean, _FLOOR), places, "o", color=VALIDATION_COLOUR, markersize=5, label="mean")
    bars.axvline(allowed, color=INK_COLOUR, linestyle="--", linewidth=1.2, label=f"allowed: {allowed:g}")
    bars.set(
        xscale="log", xlim=(max(_FLOOR, min(mean) / 10), 1.5 * max(*worst, allowed)), yticks=places, yticklabels=names
    )
    bars.invert_yaxis()
    figure.legend(
        *bars.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=TEXT_SIZE, frameon=False
    )
    style_plot(spread, "largest difference of an image", "images")
    largest = np.maximum(parity.differences.max(axis=1), _FLOOR)  # (images,)
    spread.hist(
        largest, bins=np.geomspace(largest.min() / 1.3, max(largest.max(), allowed) * 1.3, 32), color=TRAIN_COLOUR
    )
    spread.axvline(allowed, color=INK_COLOUR, linestyle="--", linewidth=1.2)
    spread.set(xscale="log")
    save_png(figure, path)
