"""Compares a file with the one that the checkpoint gives here, byte by byte, for formats that are written the same each
time."""

import re
from collections.abc import Mapping

import numpy as np

from fer_edge.export.parity.weights import float_error

_KEY = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_NO_KEY = b"0" * 64
"""ExecuTorch names a constant by its SHA-256, so that one other bit changes its name as well."""
_SMALLEST_WEIGHT = 1e-20
"""Words that are smaller as a float are no weights: whole numbers such as sizes, offsets and operators' codes."""


def reproduction_failures(
    expected: Mapping[str, bytes], found: Mapping[str, bytes], *, are_floats: bool = True
) -> list[str]:
    """What differs between a model's files and those that its checkpoint gives here, by the ends of their names.

    Weights that ``are_floats`` may differ in their last bit, as if another processor folded batch norm into them in
    another way. Of 8-bit ones the last bit is a step.
    """
    failures = []
    for suffix, own in expected.items():
        reason = _difference(own, found.get(suffix, b""), are_floats)
        if reason:
            failures.append(
                f"expected the {suffix} file that the checkpoint gives here, found another: {reason}; "
                "export the model again"
            )
    return failures


def _is_text(data: bytes) -> bool:
    return b"\0" not in data and data.isascii()


def _difference(expected: bytes, found: bytes, are_floats: bool) -> str:
    if expected == found:
        return ""
    if _is_text(expected):
        return "its text differs"
    if len(expected) != len(found):
        return f"{len(found)} bytes for {len(expected)}"
    if not are_floats:
        first = next(place for place, (one, two) in enumerate(zip(expected, found, strict=True)) if one != two)
        return f"the first difference is at byte {first}"
    own, other = (_KEY.sub(_NO_KEY, data) for data in (expected, found))
    whole = len(own) - len(own) % 4
    if own[whole:] != other[whole:]:
        return "its last bytes differ"
    own_words, other_words = (np.frombuffer(data[:whole], "<u4") for data in (own, other))
    places = np.flatnonzero(own_words != other_words)
    own_values, other_values = own_words[places].view(np.float32), other_words[places].view(np.float32)
    with np.errstate(invalid="ignore"):
        are_weights = np.isfinite(own_values) & np.isfinite(other_values) & (np.abs(own_values) > _SMALLEST_WEIGHT)
    if not are_weights.all():
        return f"something else than a weight, at byte {4 * places[~are_weights][0]}"
    if places.size and not (float_error(own_values, other_values) or 0) <= 1:
        return f"{places.size} weights, the first at byte {4 * places[0]}"
    return ""
