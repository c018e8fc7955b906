"""Compares what two ONNX graphs compute, operator by operator: a proof, where answers to some images are samples.

Both graphs are walked from their outputs at once. Names do not count; operators, their attributes, their inputs and
every constant do. In a graph of 8 bits QuantizeLinear and DequantizeLinear are looked through: its weights and biases
must be the other's within half a step, and an activation may be gone where the range of its rounding does its work.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from fer_edge.export.parity.weights import float_error, quantised_error

_SHOWN = 3
"""Differences that a message names: one fault often shows in many places."""
_STEPS = 63
"""From zero to the largest weight, in 7 bits."""
_WITH_BIAS = ("Conv", "ConvTranspose", "Gemm")
_SLACK = 1.02
"""Scales are float32, and worked out in another order."""


def structure_failures(expected: onnx.ModelProto, found: onnx.ModelProto) -> list[str]:
    """What ``found`` computes otherwise than ``expected``, a line each, nearest to the input first; empty for nothing.

    ``expected`` is the checkpoint's own export in float (float32, or float16 where ``found`` is), ``found`` the model.
    """
    walk = _Walk(_Graph.of(expected), _Graph.of(found))
    differences = [*_ambiguities(found.graph), *_signature(expected.graph, found.graph), *walk.differences()]
    if [one.SerializeToString() for one in expected.functions] != [one.SerializeToString() for one in found.functions]:
        differences.insert(0, "functions of its own")
    lines = [f"expected the checkpoint's graph, found {one}" for one in differences[:_SHOWN]]
    if len(differences) > _SHOWN:
        lines.append(f"and {len(differences) - _SHOWN} more differences from the checkpoint's graph")
    return lines


_ROUNDED_TO = (TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16, TensorProto.INT16)


class _Rounding(NamedTuple):
    """The range of an activation's 8 bits."""

    low: float
    high: float
    step: float


@dataclass(frozen=True)
class _Graph:
    producers: Mapping[str, onnx.NodeProto]
    """By the value they give."""
    constants: Mapping[str, onnx.TensorProto]
    inputs: frozenset[str]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, model: onnx.ModelProto) -> "_Graph":
        graph = model.graph
        constants = {tensor.name: tensor for tensor in graph.initializer}
        return cls(
            {value: node for node in graph.node for value in node.output},
            constants,
            frozenset(value.name for value in graph.input if value.name not in constants),
            tuple(value.name for value in graph.output),
        )

    def array(self, name: str) -> NDArray[Any]:
        return np.asarray(numpy_helper.to_array(self.constants[name]))

    def through_rounding(self, value: str) -> tuple[str, _Rounding | None, str | None]:
        """The value before it was rounded to 8 bits, the range of that, and what is wrong with the rounding."""
        rounding: _Rounding | None = None
        while (restore := self.producers.get(value)) is not None and restore.op_type == "DequantizeLinear":
            quantise = self.producers.get(restore.input[0])
            if quantise is None or quantise.op_type != "QuantizeLinear":
                break
            sides = [(node.input[1], node.input[2] if len(node.input) > 2 else "") for node in (quantise, restore)]
            if _different_attributes(quantise, restore):
                return value, None, "values rounded along one axis and restored along another"
            if any(name and name not in self.constants for side in sides for name in side):
                return value, None, "a rounding that is computed"
            if sides[0] != sides[1] and any(
                not (one == two or (one and two and np.array_equal(self.array(one), self.array(two))))
                for one, two in zip(*sides, strict=True)
            ):
                return value, None, "values rounded with one scale and restored with another"
            if sides[0][1] and self.constants[sides[0][1]].data_type not in _ROUNDED_TO:
                return value, None, "values rounded to a type that is not 8 or 16 bits"
            rounding = self._rounding(*sides[0])
            value = quantise.input[0]
        return value, rounding, None

    def _rounding(self, scale_name: str, zero_name: str) -> _Rounding:
        scale = self.array(scale_name).astype(np.float64)
        zero = self.array(zero_name) if zero_name else np.zeros(1, np.uint8)
        limits = np.iinfo(zero.dtype)
        offsets = zero.astype(np.float64)
        return _Rounding(
            float(np.min(scale * (limits.min - offsets))),
            float(np.max(scale * (limits.max - offsets))),
            float(np.max(scale)),
        )


class _Walk:
    """One comparison, from the outputs on."""

    def __init__(self, expected: _Graph, found: _Graph) -> None:
        self._expected = expected
        self._found = found
        self._places = {name: place for place, name in enumerate(expected.producers)}  # in order of execution

    def differences(self) -> list[str]:
        """All of them, in the order of execution."""
        seen: set[tuple[str, str]] = set()
        differences: list[tuple[int, str]] = []
        waiting = [(name, name, name) for name in self._expected.outputs if name in self._found.outputs]
        while waiting:
            expected, found, layer = waiting.pop()
            if (expected, found) in seen:
                continue
            seen.add((expected, found))
            result = self._compare(expected, found, layer)
            if isinstance(result, str):
                differences.append((self._places.get(expected, self._places.get(layer, -1)), result))
            else:
                waiting.extend(result)
        return [text for _, text in sorted(differences)]

    def _compare(self, expected: str, found: str, layer: str) -> str | list[tuple[str, str, str]]:
        """What is different, or the pairs of values that are left to compare. ``layer`` uses them."""
        if not expected or not found:
            return [] if expected == found else f"another number of inputs of {layer}"
        found, rounding, fault = self._found.through_rounding(found)
        if fault is not None:
            return f"{fault} at {layer}"
        if expected in self._expected.constants:
            return self._compare_constants(expected, found, layer)
        if expected in self._expected.inputs:
            return [] if expected == found else f"{self._described(found)} at {layer} instead of the input {expected}"
        own, other = self._expected.producers[expected], self._found.producers.get(found)
        if rounding is not None and (other is None or other.op_type != own.op_type) and self._is_done(own, rounding):
            return [(own.input[0], found, layer)]  # its producer again, without the activation
        if other is None or (other.op_type, other.domain) != (own.op_type, own.domain):
            return f"{self._described(found)} where it has {own.op_type} ({expected})"
        if list(own.output).index(expected) != list(other.output).index(found):
            return f"another output of {own.op_type} ({expected})"
        if (names := _different_attributes(own, other)) or len(own.input) != len(other.input):
            return f"another {names or 'number of inputs'} of {own.op_type} ({expected})"
        if self._has_other_bias_steps(other):
            return f"a bias in other steps than the products that it is added to, at {own.op_type} ({expected})"
        return [(one, two, expected) for one, two in zip(own.input, other.input, strict=True)]

    def _compare_constants(self, expected: str, found: str, layer: str) -> str | list[tuple[str, str, str]]:
        original = self._expected.array(expected)
        producer = self._found.producers.get(found)
        if producer is not None and producer.op_type == "DequantizeLinear":
            error = quantised_error(original.astype(np.float32), producer, self._found.constants)
        elif found not in self._found.constants:
            return f"{self._described(found)} at {layer} instead of the constant {expected}"
        else:
            other = self._found.array(found)
            if original.shape != other.shape or original.dtype != other.dtype:
                error = None
            elif np.issubdtype(original.dtype, np.floating):
                error = float_error(original, other)
            else:
                error = 0.0 if np.array_equal(original, other) else None
        if error is None:
            return f"another constant {expected} at {layer}"
        if producer is not None and not self._is_fine_enough(original, producer):
            return f"a weight rounded to steps that are too coarse: {expected}"
        if not error <= 1:  # so that NaN is a difference
            return f"a weight that is not the checkpoint's: {expected}, {error:.3g} times what rounding explains"
        return []

    def _is_fine_enough(self, original: NDArray[Any], restore: onnx.NodeProto) -> bool:
        """Whether the steps of 8-bit weights are those of 7 bits or finer: by coarse steps anything is half a step off.

        Biases of 32 bits are judged with the operator that adds them.
        """
        steps, scale = (self._found.array(name) for name in restore.input[:2])
        if steps.dtype == np.int32:
            return True
        return bool(np.max(scale) <= np.max(np.abs(original)) / _STEPS * _SLACK)

    def _has_other_bias_steps(self, node: onnx.NodeProto) -> bool:
        """Whether a bias of 32 bits has other steps than the products that it is added to."""
        if node.op_type not in _WITH_BIAS:
            return False
        restores = [self._found.producers.get(value) for value in node.input]
        if len(restores) < 3 or any(one is None or one.op_type != "DequantizeLinear" for one in restores):
            return False
        scales = [one.input[1] for one in restores if one is not None]
        if any(name not in self._found.constants for name in scales):
            return True
        of_input, of_weight, of_bias = (self._found.array(name).astype(np.float64) for name in scales[:3])
        return not np.allclose(of_bias, of_input * of_weight, rtol=_SLACK - 1, atol=0)

    def _is_done(self, activation: onnx.NodeProto, rounding: _Rounding) -> bool:
        """Whether rounding to 8 bits cuts off what the activation would."""
        half_step = rounding.step / 2
        if activation.op_type == "Relu":
            return rounding.low >= 0
        if activation.op_type != "Clip":
            return False
        low, high = (
            float(self._expected.array(name)) if name in self._expected.constants else limit
            for name, limit in zip((*activation.input[1:], "", ""), (-np.inf, np.inf), strict=False)
        )
        return rounding.low >= low - half_step and rounding.high <= high + half_step

    def _described(self, value: str) -> str:
        producer = self._found.producers.get(value)
        if producer is not None:
            return f"{producer.op_type} ({value})"
        return f"the {'constant' if value in self._found.constants else 'input'} {value}"


def _ambiguities(found: onnx.GraphProto) -> Iterable[str]:
    """What one reader may take for something else than another: of two values of one name some take the first."""
    names = Counter((*(one.name for one in found.initializer), *(name for node in found.node for name in node.output)))
    del names[""]  # an output that nobody takes
    if repeated := [name for name, count in names.items() if count > 1]:
        yield f"{len(repeated)} names that several values have, the first {repeated[0]}"
    if found.sparse_initializer:
        yield f"{len(found.sparse_initializer)} sparse constants"


def _signature(expected: onnx.GraphProto, found: onnx.GraphProto) -> Iterable[str]:
    for kind, own, other in (("input", expected.input, found.input), ("output", expected.output, found.output)):
        names, others = [one.name for one in own], [one.name for one in other]
        if names != others:
            yield f"the {kind}s {', '.join(others)} instead of {', '.join(names)}"
            continue
        for one, two in zip(own, other, strict=True):
            if _type(one) != _type(two):
                yield f"another type or shape of the {kind} {one.name}"


def _type(value: onnx.ValueInfoProto) -> tuple[int, list[int]]:
    """Element type, and the fixed dimensions; 0 for one that varies, whatever it is called."""
    tensor = value.type.tensor_type
    return tensor.elem_type, [dimension.dim_value for dimension in tensor.shape.dim]


def _different_attributes(own: onnx.NodeProto, other: onnx.NodeProto) -> str:
    """Their names."""
    ours, theirs = (
        {attribute.name: attribute.SerializeToString(deterministic=True) for attribute in node.attribute}
        for node in (own, other)
    )
    return ", ".join(sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)))
