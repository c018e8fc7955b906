"""How far the same model file may answer from its golden vectors on another machine, and why."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GoldenTolerance:
    """Bounds for one file run elsewhere; far narrower than those between a model and its checkpoint (export/tolerance),
    because here the weights are the same to the bit and only the order of the arithmetic differs."""

    max_logit_difference: float
    """No logit of any image may differ by more."""
    max_probability_difference: float
    """No probability of any image may differ by more."""
    reason: str

    @property
    def tie_margin(self) -> float:
        """Images whose two best probabilities are closer than this may go either way: each may move by the bound."""
        return 2 * self.max_probability_difference


# Measured by benchmarks/golden_tolerance.py. Its largest differences for a ResNet-18 are those of the same file without
# onnxruntime's graph optimisation, which computes in the most different order: see each reason.
GOLDEN_TOLERANCES = {
    "fp32": GoldenTolerance(
        1e-3,
        1e-4,
        "the same float32 arithmetic in another order: rounding alone, about 1e-6 of a logit, with room for deeper "
        "nets",
    ),
    "fp16": GoldenTolerance(
        0.1,
        1e-2,
        "a processor without float16 computes in float32 between float16 weights, a GPU rounds every step to 11 bits: "
        "5e-4 relative a step, which some twenty layers add up to a few hundredths; processors alone differ by 3e-6",
    ),
    "int8": GoldenTolerance(
        0.1,
        2e-2,
        "a value that lies on the border between two 8-bit steps falls to either side with the last bit of a float, "
        "and each such fall moves the logits by a part of a step: by up to 0.04 in another order, and twice that is "
        "allowed",
    ),
}
