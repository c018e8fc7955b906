"""Which 8-bit types run fast where: presets by the processor's dot-product instructions.

From onnxruntime's quantisation guide (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
"""

import platform
from dataclasses import dataclass

from fer_edge.errors import ModelError
from fer_edge.runtime.machine import cpuinfo, saturates_int8


@dataclass(frozen=True)
class Activations:
    """An 8-bit type of the values between layers."""

    name: str
    signed: bool
    symmetric: bool
    """Zero is the middle of the range; otherwise a zero point shifts the range to where the values lie."""


UINT8 = Activations("uint8", signed=False, symmetric=False)
UINT8_SYMMETRIC = Activations("uint8 symmetric", signed=False, symmetric=True)
INT8 = Activations("int8", signed=True, symmetric=False)
INT8_SYMMETRIC = Activations("int8 symmetric", signed=True, symmetric=True)


@dataclass(frozen=True)
class Target:
    """A kind of processor and what to try for it. Weights are int8, symmetric, one scale a channel, on all of them."""

    name: str
    activations: tuple[Activations, ...]
    """The types that its kernels run fast. On x86 signed activations were 3 to 5 times slower than unsigned ones."""
    reduce_range: bool
    """Keep weights to 7 bits: without VNNI, x86 adds pairs of products in 16 bits, which overflow with all 8."""


TARGETS = {
    "x86-vnni": Target("x86-vnni", (UINT8, UINT8_SYMMETRIC), reduce_range=False),
    "x86": Target("x86", (UINT8, UINT8_SYMMETRIC), reduce_range=True),
    "arm": Target("arm", (INT8_SYMMETRIC, INT8, UINT8), reduce_range=False),
}


def target_named(name: str) -> Target:
    """The preset called ``name``; ``auto`` is that of this machine. Raises ModelError for another name."""
    if name == "auto":
        return detect_target(platform.machine(), cpuinfo())
    if name not in TARGETS:
        raise ModelError(f"--target: expected auto, {', '.join(TARGETS)}, found {name!r}")
    return TARGETS[name]


def detect_target(machine: str, cpuinfo: str) -> Target:
    """The preset for ``platform.machine()`` and the text of /proc/cpuinfo ('' where there is none).

    An x86 processor whose flags cannot be read counts as one without VNNI: 7-bit weights are right on both.
    """
    if machine.lower().startswith(("arm", "aarch")):
        return TARGETS["arm"]
    return TARGETS["x86" if saturates_int8(machine, cpuinfo) else "x86-vnni"]
