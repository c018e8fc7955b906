"""Classifiers that this project did not make, small enough to work out their answers by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LABELS = ("angry", "happy", "sad")
WEIGHTS = np.array([[2, -1, 0.5], [-0.5, 1.5, 0.25], [0.75, 0.5, -2]], np.float32)
"""(channels, classes)"""


def write_model(
    path: Path,
    *,
    shape: tuple[Any, ...] = ("n", 3, 32, 32),
    softmax: bool = False,
    output: str = "scores",
    dtype: int = TensorProto.FLOAT,
    gain: float = 1.0,
) -> Path:
    """``path``, written: the mean of each channel times WEIGHTS times ``gain``, as logits or probabilities."""
    is_nchw = shape[1] in (1, 3)
    channels = shape[1 if is_nchw else 3]
    axes = [2, 3] if is_nchw else [1, 2]
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["means"], axes=axes, keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["sums" if softmax else output]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["sums"], [output], axis=1))
    weights = WEIGHTS[:channels] if isinstance(channels, int) else WEIGHTS
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("image", dtype, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [shape[0], len(LABELS)])],
        [numpy_helper.from_array(weights * np.float32(gain), "weights")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)
