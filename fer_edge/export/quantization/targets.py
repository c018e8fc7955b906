"""Which 8-bit types are right and fast where: one preset for every processor, and some for one kind of them.

From onnxruntime's quantisation guide (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
"""

import platform
from dataclasses import dataclass

from fer_edge.errors import UsageError
from fer_edge.runtime.saturation import saturates


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
    meant_for: str
    """In words."""
    activations: tuple[Activations, ...]
    """The types that its kernels run fast. On x86 signed activations were 3 to 5 times slower than unsigned ones."""
    reduce_range: bool
    """Keep weights to 7 bits: without VNNI, x86 adds pairs of products in 16 bits, which overflow with all 8."""
    devices: tuple[str, ...]
    """On which a file for it is tried before it is published, where they can be had (``fer_edge.devices``)."""


PORTABLE = Target(
    "portable",
    "every processor",
    (UINT8, UINT8_SYMMETRIC),
    reduce_range=True,
    devices=("native", "x86-haswell", "arm-cortex-a72"),
)
TARGETS = {
    target.name: target
    for target in (
        PORTABLE,
        Target("x86-vnni", "x86 with VNNI", (UINT8, UINT8_SYMMETRIC), reduce_range=False, devices=()),
        Target(
            "arm",
            "ARM",
            (INT8_SYMMETRIC, INT8, UINT8),
            reduce_range=False,
            devices=("arm-cortex-a72", "arm-neoverse-n1"),
        ),
    )
}
AUTO = "auto"
"""Means the preset for this machine."""
_FORMER_NAMES = {"x86": "portable"}


def target_named(name: str) -> Target:
    """The preset called ``name``; AUTO is that for this machine alone. Raises ModelError for another name."""
    if name == AUTO:
        return target_of_this_machine()
    name = _FORMER_NAMES.get(name, name)
    if name not in TARGETS:
        raise UsageError(f"--target: expected {', '.join((*TARGETS, AUTO))}, found {name!r}")
    return TARGETS[name]


def target_of_this_machine() -> Target:
    """The preset for this very processor; what is not known to be faster elsewhere is the portable one."""
    machine = platform.machine().lower()
    if machine.startswith(("arm", "aarch")):
        return TARGETS["arm"]
    is_x86 = machine in ("x86_64", "amd64", "x86", "i386", "i686")
    return TARGETS["x86-vnni"] if is_x86 and not saturates() else PORTABLE
