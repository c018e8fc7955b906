"""Whether 8-bit models saturate here: measured, not read from a list of processors.

On x86 without VNNI (most processors before 2020, many later ones) onnxruntime adds pairs of 8-bit products in 16 bits.
With weights of all 8 bits a pair does not fit, and about one label in eight changes. Weights of 7 bits always fit.
"""

from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime

PROBE = Path(__file__).parent / "assets" / "saturation.onnx"
"""A convolution whose right answer is known (tools/make_saturation_probe.py, which says how it works)."""
RIGHT = 255 * 127 * 16 * 3 * 3
"""What each of its sums is."""
FULL_PRECISION = "session.x64quantprecision"
"""onnxruntime's session option that adds 8-bit products in 32 bits on x86, at about half the speed."""

_SHAPE, _LARGEST = (1, 16, 3, 3), 255
_ERRORS_ONLY = 3


@cache
def saturates(*, full_precision: bool = False) -> bool:
    """Whether onnxruntime's 8-bit convolutions saturate on this processor, with or without FULL_PRECISION.

    Measured once a process, in 3 to 7 milliseconds, on any system.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = 1
    if full_precision:
        options.add_session_config_entry(FULL_PRECISION, "1")
    session = onnxruntime.InferenceSession(PROBE.read_bytes(), options, providers=["CPUExecutionProvider"])
    (sums,) = session.run(["sums"], {"values": np.full(_SHAPE, _LARGEST, np.float32)})
    return bool(np.abs(np.asarray(sums) - RIGHT).max() > 0.05 * RIGHT)
