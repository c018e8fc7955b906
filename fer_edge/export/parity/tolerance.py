"""How far an exported model may be from its checkpoint, for each precision, and why."""

from dataclasses import dataclass

from fer_edge.errors import UsageError


@dataclass(frozen=True)
class Tolerance:
    """How far a model of one precision may be from its checkpoint. Each bound has its reason."""

    max_probability_difference: float
    """No probability of any image may differ by more."""
    tie_margin: float
    """Images whose two best probabilities are closer than this may go either way."""
    min_top1_agreement: float
    """Fraction of the other images that must get the same class."""
    max_drop_points: float
    """Percentage points of accuracy that may be lost on labelled faces."""
    min_sqnr_db: float
    """The logits' power must be at least this far above that of their difference, in decibels."""
    max_softmax_difference: float
    """How far the model's probabilities may be from the softmax of its own logits."""
    max_slope_error: float
    """How far the slope of the model's logits over the checkpoint's, on all judged images, may be from 1."""
    max_bias: float
    """Mean difference of a class's logit on all judged images, over the logits' standard deviation."""
    faces_only: bool
    """Judge by images of faces alone; the others are measured and shown."""
    reason: str


TOLERANCES = {
    "fp32": Tolerance(
        1e-4,
        1e-3,
        1.0,
        0.05,
        min_sqnr_db=80,
        max_softmax_difference=1e-4,
        max_slope_error=1e-4,
        max_bias=1e-4,
        faces_only=False,
        reason="the same arithmetic in another order: rounding alone, about 1e-6 of a probability and 110 dB below the "
        "logits, with room for deeper nets",
    ),
    "fp16": Tolerance(
        1e-2,
        2e-2,
        1.0,
        0.2,
        min_sqnr_db=30,
        max_softmax_difference=1e-3,
        max_slope_error=5e-3,
        max_bias=5e-3,
        faces_only=False,
        reason="float16 keeps 11 bits, 5e-4 relative an operation, which some twenty layers add up to 1e-3 (60 dB), "
        "with room for deeper nets",
    ),
    "int8": Tolerance(
        0.25,
        0.1,
        0.95,
        0.5,
        min_sqnr_db=10,
        max_softmax_difference=1e-3,
        max_slope_error=0.05,
        max_bias=0.1,
        faces_only=True,
        reason="8 bits a value: single answers move, so accuracy on labelled faces judges, and logits need only be "
        "those of the same net, without a bias (sound files have slopes within 0.002 of 1 and biases below 0.02 of the "
        "logits' deviation); noise lies outside the ranges that calibration on faces has seen",
    ),
}


def check_max_drop(max_drop_points: float | None, *, has_labels: bool) -> None:
    """Refuse (UsageError) a loss of accuracy that is no percentage, or that nothing could be held against."""
    if max_drop_points is None:
        return
    if not 0 <= max_drop_points <= 100:  # written so that NaN is refused too
        raise UsageError(f"--max-drop: expected percentage points from 0 to 100, found {max_drop_points:g}")
    if not has_labels:
        raise UsageError("expected --data with --max-drop: accuracy is measured on labelled faces; add --data PATH")
