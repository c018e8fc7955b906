"""The outputs by which a calibrated ONNX graph says when it is certain, for apps that run it without this package.

They are worked out from the logits in eight nodes, by the thresholds in the metadata, as
``fer_edge.runtime.certainty`` does it for every format; nothing of the network is touched.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fer_edge.errors import ModelError
from fer_edge.export.graph.network import LOGITS
from fer_edge.export.graph.versions import read_versions
from fer_edge.metadata import certainty_outputs
from fer_edge.runtime.certainty import Certainty
from fer_edge.uncertainty import CALIBRATED_PROBABILITIES, CANDIDATES, CERTAINTY_OUTPUTS, IS_CERTAIN, LAC, Uncertainty

_PREFIX = "certainty/"
_NEVER = 2.0
"""Above every probability."""
_AXES_ARE_AN_INPUT = 18
"""From this opset on, of ReduceMax."""
_TYPES = {"float32": TensorProto.FLOAT, "bool": TensorProto.BOOL}


def with_certainty(model: onnx.ModelProto, uncertainty: Uncertainty) -> onnx.ModelProto:
    """A copy of ``model``, which has none, with the outputs ``certainty_outputs`` behind its own.

    ``is_certain`` is by the default risk. Raises ModelError where the candidates are not LAC's.
    """
    logits = next(one for one in model.graph.output if one.name == LOGITS)
    batch, classes = logits.type.tensor_type.shape.dim
    nodes, constants = _tail(uncertainty, read_versions(model).opset)
    certain = onnx.ModelProto()
    certain.CopyFrom(model)
    certain.graph.node.extend(nodes)
    certain.graph.initializer.extend(constants)
    certain.graph.output.extend(
        helper.make_tensor_value_info(one.name, _TYPES[one.dtype], one.shape)
        for one in certainty_outputs(batch.dim_param or batch.dim_value, classes.dim_value)
    )
    return certain


def without_certainty(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of ``model`` without these outputs, and without what only they need."""
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    if not _has_outputs(model):  # then a name is only a name
        return plain
    for values, is_ours in (
        (plain.graph.output, lambda one: one.name in CERTAINTY_OUTPUTS),
        (plain.graph.node, lambda one: one.name.startswith(_PREFIX)),
        (plain.graph.initializer, lambda one: one.name.startswith(_PREFIX)),
    ):
        kept = [one for one in values if not is_ours(one)]
        del values[:]
        values.extend(kept)
    return plain


def certainty_failures(model: onnx.ModelProto, uncertainty: Uncertainty | None) -> list[str]:
    """What the outputs in ``model`` say otherwise than its metadata's ``uncertainty``; nothing where it has none."""
    if not _has_outputs(model):
        return []
    if uncertainty is not None:
        expected = with_certainty(without_certainty(model), uncertainty).graph
        if all(
            _as_text(own) == _as_text(found)
            for own, found in (
                (expected.output, model.graph.output),
                (_ours(expected.node), _ours(model.graph.node)),
                (_ours(expected.initializer), _ours(model.graph.initializer)),
            )
        ):
            return []
    return [
        f"expected outputs {', '.join(CERTAINTY_OUTPUTS)} by the thresholds of the metadata, found others; calibrate "
        "the model again"
    ]


def _has_outputs(model: onnx.ModelProto) -> bool:
    return any(one.name in CERTAINTY_OUTPUTS for one in model.graph.output)


def _tail(uncertainty: Uncertainty, opset: int) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    sets = uncertainty.sets[0]
    if sets.method != LAC:
        raise ModelError(
            f"expected candidates by {LAC} for outputs of an ONNX graph, found {sets.method}; calibrate with --sidecar"
        )
    threshold = Certainty.of(uncertainty).threshold
    constants = []

    def constant(name: str, value: object, dtype: type = np.float32) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value, dtype), _PREFIX + name))
        return _PREFIX + name

    def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
        value = output if output in CERTAINTY_OUTPUTS else _PREFIX + output
        return helper.make_node(operator, inputs, [value], name=_PREFIX + output, **attributes)

    largest, confidence = [CALIBRATED_PROBABILITIES], _PREFIX + "confidence"
    axes: dict[str, Any] = {"axes": [1]}
    if opset >= _AXES_ARE_AN_INPUT:
        largest, axes = [*largest, constant("class_axis", [1], np.int64)], {}
    nodes = [
        node("Div", [LOGITS, constant("temperature", uncertainty.temperature)], "scaled"),
        node("Softmax", [_PREFIX + "scaled"], CALIBRATED_PROBABILITIES, axis=1),
        node("ReduceMax", largest, "confidence", keepdims=1, **axes),
        node("Greater", [confidence, constant("threshold", _NEVER if threshold is None else threshold)], IS_CERTAIN),
        # GreaterOrEqual is younger than the oldest opset that is written.
        node("Less", [CALIBRATED_PROBABILITIES, constant("least", 1 - sets.threshold)], "is_unlikely"),
        node("Less", [CALIBRATED_PROBABILITIES, confidence], "is_not_best"),
        node("And", [_PREFIX + "is_unlikely", _PREFIX + "is_not_best"], "is_no_candidate"),
        node("Not", [_PREFIX + "is_no_candidate"], CANDIDATES),
    ]
    return nodes, constants


def _ours(values: Iterable[Any]) -> list[Any]:
    return [one for one in values if one.name.startswith(_PREFIX)]


def _as_text(values: Iterable[Any]) -> list[bytes]:
    return [one.SerializeToString(deterministic=True) for one in values]
