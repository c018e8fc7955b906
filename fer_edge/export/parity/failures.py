"""Figures that are beyond the tolerance, each in a sentence."""

import math
from collections.abc import Iterable

from fer_edge.export.parity.figures import AccuracyPair, ParityRow
from fer_edge.export.parity.tolerance import TOLERANCES, Tolerance


def row_failures(
    rows: Iterable[ParityRow], accuracy: AccuracyPair | None, tolerance: Tolerance, allowed_drop: float
) -> Iterable[str]:
    """Of the rows, of all of them together, and of the accuracy, of which ``allowed_drop`` points may be lost."""
    judged = [row for row in rows if row.judged]
    for row in rows:
        if not math.isfinite(row.max_logit_difference + row.max_probability_difference):
            yield f"{row.probe}, batch {row.batch}: expected numbers, found NaN or infinity"
    for row in judged:
        if not row.max_probability_difference <= tolerance.max_probability_difference:  # so that NaN fails
            yield (
                f"{row.probe}, batch {row.batch}: expected probabilities within "
                f"{tolerance.max_probability_difference:g}, found a difference of {row.max_probability_difference:.3g}"
            )
        if not row.sqnr_db >= tolerance.min_sqnr_db:
            yield (
                f"{row.probe}, batch {row.batch}: expected logits at least {tolerance.min_sqnr_db:g} dB above their "
                f"difference from the reference's, found {row.sqnr_db:.1f} dB"
            )
        if not row.max_softmax_difference <= tolerance.max_softmax_difference:
            yield (
                f"{row.probe}, batch {row.batch}: expected probabilities within {tolerance.max_softmax_difference:g} "
                f"of the softmax of the model's own logits, found {row.max_softmax_difference:.3g}"
            )
    decided, agreeing = sum(row.decided for row in judged), sum(row.agreeing for row in judged)
    if not agreeing >= tolerance.min_top1_agreement * decided:
        yield (
            f"expected the same class for {tolerance.min_top1_agreement:.0%} of {decided} decided images, "
            f"found {agreeing / decided:.1%}"
        )
    if accuracy is not None and not accuracy.drop_points <= allowed_drop:
        advice = "" if tolerance is TOLERANCES["fp32"] else "; raise --max-drop, or stay with fp32"
        yield (
            f"expected to lose at most {allowed_drop:g} points of accuracy on {accuracy.faces} faces, "
            f"found {accuracy.drop_points:.2f}{advice}"
        )


def systematic_failures(
    slope: float, bias: Iterable[float], labels: Iterable[str], tolerance: Tolerance
) -> Iterable[str]:
    """Of the slope and the bias that all images share (see ``slope_and_bias``)."""
    if not abs(slope - 1) <= tolerance.max_slope_error:  # so that NaN fails
        yield (
            f"expected logits that follow the reference's with a slope of 1 within {tolerance.max_slope_error:g}, "
            f"found {slope:.4g}"
        )
    for label, value in zip(labels, bias, strict=True):
        if not abs(value) <= tolerance.max_bias:
            yield (
                f"expected a mean difference of the logit of {label} within {tolerance.max_bias:g} of the logits' "
                f"standard deviation, found {value:.3g}"
            )
