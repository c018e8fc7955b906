"""Compares the weights in a model with its checkpoint's, one by one, whatever their precision."""

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from fer_edge.backends.contract import Weights

QUANTISED, DEQUANTISED = "_quantized", "_DequantizeLinear_Output"
"""What onnxruntime's quantiser appends to the name of a weight, and of a value after its own rounding."""

_HALF_STEP = 0.5
_SLACK = 1.02
"""Rounding is done in float32: a weight in the middle between two steps may land on either."""


def weight_errors(network: onnx.ModelProto, model: onnx.ModelProto) -> dict[str, float]:
    """Per layer of ``model``, by the name of its output: the largest error of any weight over what rounding explains.

    ``network`` holds the float32 weights, under the same names or, before ``_quantized``, the same stem. Rounding
    explains half a step of the weight's own scale in int8, and of its last bit in float16 and float32.
    """
    originals = {tensor.name: numpy_helper.to_array(tensor) for tensor in network.graph.initializer}
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    producers = {output: node for node in model.graph.node for output in node.output}
    found: dict[str, float] = {}
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            continue
        for value in node.input:
            producer = producers.get(value)
            if producer is not None and producer.op_type == "DequantizeLinear" and producer.input[0] in tensors:
                original = originals.get(producer.input[0].removesuffix(QUANTISED))
                error = None if original is None else quantised_error(original, producer, tensors)
            elif value in tensors and tensors[value].data_type in (TensorProto.FLOAT, TensorProto.FLOAT16):
                original = originals.get(value)
                error = None if original is None else float_error(original, numpy_helper.to_array(tensors[value]))
            else:
                continue
            if error is not None:
                layer = node.output[0].removesuffix(DEQUANTISED)
                found[layer] = max(found.get(layer, 0.0), error)
    return found


def layer_weight_errors(network: onnx.ModelProto, found: Mapping[str, Weights]) -> dict[str, float]:
    """As ``weight_errors``, of the weights that a backend read from its file, by the names of torch's parameters."""
    originals = {tensor.name: numpy_helper.to_array(tensor) for tensor in network.graph.initializer}
    errors: dict[str, float] = {}
    for node in network.graph.node:
        for name in node.input:
            if name not in originals or name not in found:
                continue
            values, steps, ulps = found[name]
            own = originals[name]
            if steps is None and values.size == own.size:  # 1x1 convolutions may be written as matrix products
                error = float_error(own, values.reshape(own.shape))
                error = None if error is None else error / ulps
            elif steps is None or values.shape != own.shape:
                continue
            else:
                error = float(np.max(np.abs(values.astype(np.float64) - own) / (_HALF_STEP * _SLACK * steps)))
            if error is not None:
                errors[node.output[0]] = max(errors.get(node.output[0], 0.0), error)
    return errors


def quantised_error(
    original: NDArray[np.float32], node: onnx.NodeProto, tensors: Mapping[str, onnx.TensorProto]
) -> float | None:
    """The largest error of what ``node`` (DequantizeLinear of constants) gives, over half a step of its scale.

    None where it is no such node, or the shape another.
    """
    if not all(name in tensors for name in node.input):
        return None
    steps, scale, *zero = (numpy_helper.to_array(tensors[name]).astype(np.float64) for name in node.input)
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
    shape = [1] * steps.ndim
    if scale.size > 1:
        shape[axis] = scale.size
    scale = scale.reshape(shape)
    if steps.shape != original.shape or not np.all(scale > 0):
        return None
    restored = (steps - (zero[0].reshape(shape) if zero else 0)) * scale
    return float(np.max(np.abs(restored - original) / (_HALF_STEP * _SLACK * scale)))


def float_error(original: NDArray[np.floating], found: NDArray[np.floating]) -> float | None:
    """The largest error of ``found`` over the last bit of its own precision; None where the shape is another."""
    if original.shape != found.shape:
        return None
    # float16 has a smallest step of its own near zero, where a bit's worth of the value is less
    spacing = np.maximum(np.spacing(np.abs(original).astype(found.dtype)), np.finfo(found.dtype).smallest_subnormal)
    return float(np.max(np.abs(found.astype(np.float64) - original) / (spacing.astype(np.float64) * _SLACK)))
