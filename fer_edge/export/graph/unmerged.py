"""What onnxruntime's optimiser merges in a graph, taken apart again into ONNX's own operators.

An operator on 8-bit values is, by its definition, the float operator between DequantizeLinear and QuantizeLinear
(onnxruntime's docs/ContribOperators.md); values get the names that its quantiser gave them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, defs, helper, numpy_helper

_MICROSOFT = "com.microsoft"
_QUANTISED, _DEQUANTISED = "_QuantizeLinear_Output", "_DequantizeLinear_Output"
_MOVES_VALUES = frozenset(
    "Flatten Gather Identity MaxPool Reshape Slice Split Squeeze Transpose Unsqueeze".split()  # noqa: SIM905
)
"""Operators that give some of the values that they take, 8-bit ones as well as floats."""
_ACTIVATIONS = {"Clip": ("min", "max"), "HardSigmoid": ("alpha", "beta"), "LeakyRelu": ("alpha",)}
"""Of those that a convolution is merged with, what their parameters are called."""
_CLIP_TAKES_LIMITS = 11
"""The opset from which on its limits are inputs."""

MERGED_NAME = "fer_edge.merged_name"
"""Key in an operator's own metadata: the name of the merged one that it was taken out of, which a profiler knows."""

Node = onnx.NodeProto
Steps = tuple[str, str]
"""The names of a scale and of a zero point."""


def unmerged(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of ``model``, whose operators are in order, that computes the same without merged operators.

    Those that are not known here stay as they are. Attributes that have their default are left out.
    """
    apart = _Apart(model)
    for node in model.graph.node:
        apart.add(node)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:]
    copy.graph.node.extend(apart.nodes)
    copy.graph.initializer.extend(apart.constants)
    return copy


class _Apart:
    """One graph, operator by operator."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes: list[Node] = []
        self.constants: list[TensorProto] = []
        self._merged_name = ""
        self._given = {tensor.name: tensor for tensor in model.graph.initializer}
        self._opsets = {entry.domain: entry.version for entry in model.opset_import}
        self._steps: dict[str, Steps] = {}
        """By 8-bit value."""
        self._restored: dict[tuple[str, Steps], str] = {}
        self._bias_steps: dict[tuple[str, str, str], str] = {}
        """The name of the scale of a bias, by its own and by those of the products that it is added to."""
        self._taken = {value.name for value in model.graph.input} | self._given.keys()
        self._taken.update(value for node in model.graph.node for value in (*node.input, *node.output))
        self._merged: Mapping[tuple[str, str], Callable[[Node], None]] = {
            ("", "QuantizeLinear"): self._quantise,
            ("", "DequantizeLinear"): self._dequantise,
            ("", "QLinearConv"): self._convolution_of_bytes,
            ("", "QLinearMatMul"): self._two_products,
            (_MICROSOFT, "QuantizeLinear"): self._quantise,
            (_MICROSOFT, "DequantizeLinear"): self._dequantise,
            (_MICROSOFT, "QGemm"): self._gemm_of_bytes,
            (_MICROSOFT, "QLinearAdd"): self._two_operands,
            (_MICROSOFT, "QLinearMul"): self._two_operands,
            (_MICROSOFT, "QLinearConcat"): self._concat,
            (_MICROSOFT, "QLinearAveragePool"): self._one_operand,
            (_MICROSOFT, "QLinearGlobalAveragePool"): self._one_operand,
            (_MICROSOFT, "QLinearLeakyRelu"): self._one_operand,
            (_MICROSOFT, "QLinearReduceMean"): self._one_operand,
            (_MICROSOFT, "QLinearSigmoid"): self._one_operand,
            (_MICROSOFT, "FusedConv"): self._convolution_with_activation,
            (_MICROSOFT, "FusedGemm"): self._gemm_with_activation,
        }

    def add(self, node: Node) -> None:
        """Take one operator apart, or keep it."""
        self._merged_name = node.name
        take_apart = self._merged.get((node.domain, node.op_type))
        if take_apart is not None:
            take_apart(node)
        elif node.op_type in _MOVES_VALUES and not node.domain and node.input[0] in self._steps:
            self._moved(node)
        else:
            self._emit(node.op_type, node.input, node.output, node.attribute, node.domain)

    def _new(self, name: str) -> str:
        """``name`` for a value that the merged graph did not have, or another: with one name for two values the graph
        would say that an operator takes the one while the file gives it the other."""
        while name in self._taken:
            name += ":apart"
        self._taken.add(name)
        return name

    def _emit(
        self,
        op_type: str,
        inputs: Iterable[str],
        outputs: Iterable[str],
        attributes: Iterable[AttributeProto] = (),
        domain: str = "",
    ) -> None:
        made = helper.make_node(op_type, list(inputs), list(outputs), name=next(iter(outputs)), domain=domain)
        schema = defs.get_schema(op_type, self._opsets[""]) if not domain and defs.has(op_type) else None
        for attribute in attributes:
            default = schema.attributes.get(attribute.name) if schema else None
            if default is None or not _is_default(attribute, default.default_value):
                made.attribute.append(attribute)
        if self._merged_name not in ("", made.name):
            made.metadata_props.add(key=MERGED_NAME, value=self._merged_name)
        self.nodes.append(made)

    def _quantise(self, node: Node) -> None:
        self._emit("QuantizeLinear", node.input, node.output, node.attribute)
        self._steps[node.output[0]] = _steps(node.input[1:])

    def _dequantise(self, node: Node) -> None:
        self._emit("DequantizeLinear", node.input, node.output, node.attribute)
        self._restored[node.input[0], _steps(node.input[1:])] = node.output[0]

    def _float(self, value: str, scale: str, zero: str = "", *, axis: int | None = None) -> str:
        """The name of an 8-bit ``value`` as float."""
        steps = (scale, zero)
        if (value, steps) not in self._restored:
            name = self._new(f"{value.removesuffix(_QUANTISED)}{_DEQUANTISED}")
            attributes = [] if axis is None else [helper.make_attribute("axis", axis)]
            self._emit("DequantizeLinear", (value, scale, *filter(None, [zero])), [name], attributes)
            self._restored[value, steps] = name
        return self._restored[value, steps]

    def _rounded(self, op_type: str, inputs: Iterable[str], node: Node, scale: str, zero: str = "") -> None:
        """The float operator, and its output in 8 bits under the name that ``node`` gives it."""
        (output,) = node.output
        name = self._new(output.removesuffix(_QUANTISED) if output.endswith(_QUANTISED) else f"{output}_float")
        self._emit(op_type, inputs, [name], node.attribute)
        self._emit("QuantizeLinear", (name, scale, *filter(None, [zero])), [output])
        self._steps[output] = (scale, zero)

    def _moved(self, node: Node) -> None:
        steps = self._steps[node.input[0]]
        inputs = [self._float(node.input[0], *steps), *node.input[1:]]
        if len(node.output) == 1:
            self._rounded(node.op_type, inputs, node, *steps)
            return
        floats = [self._new(f"{output}_float") for output in node.output]
        self._emit(node.op_type, inputs, floats, node.attribute)
        for one, output in zip(floats, node.output, strict=True):
            self._emit("QuantizeLinear", (one, *filter(None, steps)), [output])
            self._steps[output] = steps

    def _convolution_of_bytes(self, node: Node) -> None:
        image, scale, zero, weight, weight_scale, weight_zero, out_scale, out_zero, *bias = node.input
        inputs = [self._float(image, scale, zero), self._float(weight, weight_scale, weight_zero, axis=0)]
        inputs += [self._bias(one, scale, weight_scale) for one in bias]
        self._rounded("Conv", inputs, node, out_scale, out_zero)

    def _gemm_of_bytes(self, node: Node) -> None:
        value, scale, zero, weight, weight_scale, weight_zero, *rest = node.input
        is_transposed = any(one.name == "transB" and one.i for one in node.attribute)
        inputs = [
            self._float(value, scale, zero),
            self._float(weight, weight_scale, weight_zero, axis=0 if is_transposed else 1),
        ]
        inputs += [self._bias(one, scale, weight_scale) for one in rest[:1] if one]
        if len(rest) > 1 and rest[1]:
            self._rounded("Gemm", inputs, node, *rest[1:])
        else:
            self._emit("Gemm", inputs, node.output, node.attribute)

    def _bias(self, name: str, scale: str, weight_scale: str) -> str:
        """A bias of 32 bits has the steps of the products that it is added to."""
        if not {scale, weight_scale} <= self._given.keys():
            return name  # steps that are computed: a fault, which is found there
        key = (name, scale, weight_scale)
        if key not in self._bias_steps:
            self._bias_steps[key] = self._new(f"{name}_scale")
            scales = [numpy_helper.to_array(self._given[one]).astype(np.float32) for one in (scale, weight_scale)]
            self.constants.append(numpy_helper.from_array(np.asarray(scales[0] * scales[1]), self._bias_steps[key]))
        return self._float(name, self._bias_steps[key], axis=0)

    def _two_products(self, node: Node) -> None:
        one, one_scale, one_zero, two, two_scale, two_zero, out_scale, out_zero = node.input
        inputs = [self._float(one, one_scale, one_zero), self._float(two, two_scale, two_zero, axis=1)]
        self._rounded("MatMul", inputs, node, out_scale, out_zero)

    def _two_operands(self, node: Node) -> None:
        inputs = [self._float(*node.input[:3]), self._float(*node.input[3:6])]
        self._rounded(node.op_type.removeprefix("QLinear"), inputs, node, *node.input[6:])

    def _one_operand(self, node: Node) -> None:
        inputs = [self._float(*node.input[:3])]
        attributes = [one for one in node.attribute if (one.name, one.i) != ("channels_last", 0)]
        kept = helper.make_node(node.op_type, node.input, node.output)
        kept.attribute.extend(attributes)
        self._rounded(node.op_type.removeprefix("QLinear"), inputs, kept, *node.input[3:])

    def _concat(self, node: Node) -> None:
        scale, zero, *parts = node.input
        inputs = [self._float(*parts[place : place + 3]) for place in range(0, len(parts), 3)]
        self._rounded("Concat", inputs, node, scale, zero)

    def _convolution_with_activation(self, node: Node) -> None:
        inputs, added = node.input[:3], "".join(node.input[3:])
        self._with_activation("Conv", inputs, node, added)

    def _gemm_with_activation(self, node: Node) -> None:
        self._with_activation("Gemm", node.input, node, "")

    def _with_activation(self, op_type: str, inputs: Iterable[str], node: Node, added: str) -> None:
        (output,) = node.output
        given: dict[str, Any] = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        activation = given.get("activation", b"").decode()
        own = [one for one in node.attribute if not one.name.startswith("activation")]
        last = output if not activation else self._new(f"{output}_before")
        first = self._new(f"{last}_alone") if added else last
        self._emit(op_type, inputs, [first], own)
        if added:
            self._emit("Add", [first, added], [last])
        if not activation:
            return
        parameters = {  # FusedConv has them in a list, FusedGemm by name
            **dict(zip(_ACTIVATIONS.get(activation, ()), given.get("activation_params", ()), strict=False)),
            **{name.removeprefix("activation_"): value for name, value in given.items() if name[:11] == "activation_"},
        }
        parameters.pop("params", None)
        if activation != "Clip":
            of_activation = [helper.make_attribute(name, value) for name, value in parameters.items()]
            self._emit(activation, [last], [output], of_activation)
            return
        if self._opsets[""] < _CLIP_TAKES_LIMITS:
            limits_given = [helper.make_attribute(name, parameters[name]) for name in _ACTIVATIONS["Clip"]]
            self._emit("Clip", [last], [output], limits_given)
            return
        limits = []
        for name in _ACTIVATIONS["Clip"]:
            limits.append(self._new(f"{output}_{name}"))
            self.constants.append(numpy_helper.from_array(np.array(parameters[name], np.float32), limits[-1]))
        self._emit("Clip", [last, *limits], [output])


def _steps(names: Iterable[str]) -> Steps:
    scale, *zero = names
    return scale, zero[0] if zero else ""


def _is_default(attribute: AttributeProto, default: AttributeProto) -> bool:
    return default.type == attribute.type and bool(
        helper.get_attribute_value(attribute) == helper.get_attribute_value(default)
    )
