"""A network in an opset older than PyTorch writes, for other engines: the same operators in their earlier versions."""

import onnx
from onnx import defs, helper, numpy_helper

from fer_edge.errors import ModelError
from fer_edge.export.graph.versions import smallest_ir_version

OLDEST_OPSET = 7
"""The first whose arithmetic broadcasts as numpy does, which every later one kept."""
_OLDEST_IR_VERSION = 4
"""Before it every weight had to be an input as well."""

_SAME_MEANING = frozenset(
    {
        *("Add", "AveragePool", "BatchNormalization", "Cast", "Concat", "Conv", "DequantizeLinear", "Div", "Flatten"),
        *("GatherND", "Gemm", "GlobalAveragePool", "HardSigmoid", "HardSwish", "Identity", "MaxPool", "Mul"),
        *("QuantizeLinear", "ReduceMean", "Relu", "Reshape", "Sigmoid", "Sub", "Tanh", "Transpose"),
    }
)
"""Operators whose versions since OLDEST_OPSET differ in types, attributes or inputs alone, as the changelog of ONNX has
it. Once those are taken care of, the computation is the same. Softmax, Resize or Clip are none of them."""


def in_older_opset(network: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """A copy of ``network``, of a newer opset, that declares ``opset`` and computes the same.

    An attribute that ``opset`` lacks goes where it has its default. ONNX's own converter knows no way back over
    versions that only added types, such as Relu's of opset 14. Raises ModelError, with the oldest opset that does,
    where an operator has no version that can say the same.
    """
    needs = {index: _oldest_opset_of(node, network) for index, node in enumerate(network.graph.node)}
    newest_need = max(needs.values(), default=OLDEST_OPSET)
    if opset < newest_need:
        index = next(index for index, need in needs.items() if need == newest_need)
        node = network.graph.node[index]
        raise ModelError(
            f"expected --opset {newest_need} or later for this network, whose {node.op_type} ({node.name}) has no "
            f"earlier version that says the same, found {opset}"
        )
    older = onnx.ModelProto()
    older.CopyFrom(network)
    for node in older.graph.node:
        if not node.domain:
            _rewrite(node, older.graph, opset)
    kept = [entry for entry in older.opset_import if entry.domain not in ("", "ai.onnx")]
    del older.opset_import[:]
    older.opset_import.extend([helper.make_opsetid("", opset), *kept])
    older.ir_version = max(smallest_ir_version(opset), _OLDEST_IR_VERSION)
    onnx.checker.check_model(older)
    return older


def _oldest_opset_of(node: onnx.NodeProto, network: onnx.ModelProto) -> int:
    """The oldest opset that can say what ``node`` does, up to the network's own."""
    if node.domain:
        return OLDEST_OPSET
    own = next(entry.version for entry in network.opset_import if entry.domain in ("", "ai.onnx"))
    oldest = int(own)
    for opset in range(own - 1, OLDEST_OPSET - 1, -1):
        if not _can_say(node, own, opset, network.graph):
            break
        oldest = opset
    return oldest


def _can_say(node: onnx.NodeProto, own: int, opset: int, graph: onnx.GraphProto) -> bool:
    try:
        older = defs.get_schema(node.op_type, opset, "")
    except defs.SchemaError:
        return False
    newer = defs.get_schema(node.op_type, own, "")
    if older.since_version == newer.since_version:
        return True
    if node.op_type not in _SAME_MEANING:
        return False
    if node.op_type == "ReduceMean" and len(node.input) > 1:
        return len(older.inputs) > 1 or any(one.name == node.input[1] for one in graph.initializer)
    added = [attribute for attribute in node.attribute if attribute.name not in older.attributes]
    return len(node.input) <= older.max_input and all(_is_idle(one, node, newer, graph) for one in added)


def _is_idle(
    attribute: onnx.AttributeProto, node: onnx.NodeProto, schema: defs.OpSchema, graph: onnx.GraphProto
) -> bool:
    """Whether the node computes the same without it."""
    value = helper.get_attribute_value(attribute)
    if attribute.name == "dilations":  # whose default is said in words alone
        return set(value) == {1}
    if attribute.name == "allowzero":  # says what a zero in the shape means
        shape = next((numpy_helper.to_array(one) for one in graph.initializer if one.name == node.input[1]), None)
        return not value or (shape is not None and bool((shape != 0).all()))
    default = schema.attributes[attribute.name].default_value
    return bool(default.type) and helper.get_attribute_value(default) == value


def _rewrite(node: onnx.NodeProto, graph: onnx.GraphProto, opset: int) -> None:
    older = defs.get_schema(node.op_type, opset, "")
    if node.op_type == "ReduceMean" and len(node.input) > 1 and len(older.inputs) == 1:
        axes = next(numpy_helper.to_array(one) for one in graph.initializer if one.name == node.input[1])
        del node.input[1:]
        node.attribute.append(helper.make_attribute("axes", [int(axis) for axis in axes.ravel()]))
    kept = [attribute for attribute in node.attribute if attribute.name in older.attributes]
    del node.attribute[:]
    node.attribute.extend(kept)
