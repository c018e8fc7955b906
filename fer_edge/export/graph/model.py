"""The whole graph of a model: the network in its precision, with what turns pixels into faces around it."""

import onnx
from onnx import TensorProto

from fer_edge.export.graph.float16 import halve
from fer_edge.export.graph.preprocessing import with_preprocessing
from fer_edge.export.graph.reference import PixelsToProbabilities


def assembled(
    network: onnx.ModelProto, reference: PixelsToProbabilities, *, precision: str, raw: bool
) -> onnx.ModelProto:
    """``network`` (float32, or int8 as it is) as a model of ``precision``: from pixels, or of faces where ``raw``."""
    if precision == "fp16":
        network = halve(network)
    if raw:
        return network
    return with_preprocessing(network, reference.image_size, reference.mean, reference.std)


def precision_of(model: onnx.ModelProto) -> str:
    """As the graph has it: "int8" where values are rounded to 8 bits, "fp16" where weights are, else "fp32"."""
    if any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in model.graph.node):
        return "int8"
    has_halves = any(tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer)
    return "fp16" if has_halves else "fp32"
