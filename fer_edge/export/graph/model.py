"""The whole graph of a model: the network in its precision, with what turns pixels into faces around it."""

import onnx
from onnx import TensorProto

from fer_edge.export.graph.fixed_shape import with_batch_of_one
from fer_edge.export.graph.float16 import halve
from fer_edge.export.graph.older_opsets import in_older_opset
from fer_edge.export.graph.preprocessing import with_preprocessing
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.export.graph.versions import OPSET, read_versions


def assembled(
    network: onnx.ModelProto,
    reference: PixelsToProbabilities,
    *,
    precision: str,
    raw: bool,
    opset: int = OPSET,
    fixed_shape: bool = False,
) -> onnx.ModelProto:
    """``network`` (float32, or int8 as it is) as a model of ``precision``: from pixels, or of faces where ``raw``.

    Only a raw one is of an ``opset`` older than the network's, and only it has a ``fixed_shape``: one face. Raises
    ModelError where an operator has no version of that opset.
    """
    if precision == "fp16":
        network = halve(network)
    if not raw:
        model = with_preprocessing(network, reference.image_size, reference.mean, reference.std)
    else:
        model = with_batch_of_one(network) if fixed_shape else network
    model = in_order(model)
    return in_older_opset(model, opset) if raw and opset < read_versions(model).opset else model


def in_order(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of ``model`` with each node behind those whose values it takes, as ONNX has it. The converters to float16
    and 8 bits put theirs at the end, which onnxruntime forgives and stricter engines do not."""
    ordered = onnx.ModelProto()
    ordered.CopyFrom(model)
    known = {one.name for one in (*model.graph.input, *model.graph.initializer)} | {""}
    waiting = list(model.graph.node)
    del ordered.graph.node[:]
    while waiting:
        node = next((one for one in waiting if known.issuperset(one.input)), waiting[0])
        waiting.remove(node)
        known.update(node.output)
        ordered.graph.node.append(node)
    return ordered


def precision_of(model: onnx.ModelProto) -> str:
    """As the graph has it: "int8" where values are rounded to 8 bits, "fp16" where weights are, else "fp32"."""
    if any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in model.graph.node):
        return "int8"
    has_halves = any(tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer)
    return "fp16" if has_halves else "fp32"
