"""What each layer of an ONNX graph has to compute and to move, from its shapes alone: nothing is run.

A layer is a node. Quantised graphs hold QuantizeLinear and DequantizeLinear around their layers, which runtimes merge
into them (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, "QDQ"): a layer reads what its
DequantizeLinear reads and writes what its QuantizeLinear writes, one byte a number, and the two are no layers.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import onnx
from onnx import TensorProto

from fer_edge.errors import ModelError
from fer_edge.export.graph.unmerged import MERGED_NAME
from fer_edge.text import printable

VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Shape", "Dropout"})
"""Operators that move no data: the same numbers under another shape, or the shape alone."""
UNCOUNTED = frozenset({"Einsum", "LSTM", "GRU", "RNN", "Attention", "MultiHeadAttention", "If", "Loop", "Scan"})
"""Operators with multiply-adds that are not counted here."""

_QUANTISE, _DEQUANTISE = "QuantizeLinear", "DequantizeLinear"
_PRECISIONS: Mapping[int, str] = {
    TensorProto.FLOAT: "fp32",
    TensorProto.FLOAT16: "fp16",
    TensorProto.BFLOAT16: "bf16",
    TensorProto.DOUBLE: "fp64",
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "int8",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.BOOL: "bool",
}
_FACTORS = {
    **dict.fromkeys(("Conv", "FusedConv", "ConvInteger", "ConvTranspose", "Gemm", "MatMul", "MatMulInteger"), (0, 1)),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul"), (0, 3)),
}
"""Operators whose multiply-adds are counted: which inputs are multiplied."""


@dataclass(frozen=True)
class Layer:
    """The cost of a layer, or of several that a runtime merged, for one run."""

    name: str
    operator: str
    """ONNX's name of it; those of a merged layer with ``+`` between."""
    precision: str
    """Of what is multiplied, else of what is read: ``fp32``, ``fp16``, ``int8``, …"""
    multiply_adds: int
    """A multiplication and an addition count as one. Only convolutions and matrix products have any."""
    weights: Mapping[str, int] = field(default_factory=dict)
    """Bytes of each weight and bias; scales and zero points are left out."""
    reads: Mapping[str, int] = field(default_factory=dict)
    """Bytes of each value that is read."""
    writes: Mapping[str, int] = field(default_factory=dict)
    """Bytes of each value that is written."""
    other_name: str = ""
    """By which onnxruntime knows it, if it has another: an operator without a name, or one that was merged in an .ort
    file."""

    @property
    def weight_bytes(self) -> int:
        """Of weights and biases."""
        return sum(self.weights.values())

    @property
    def activation_bytes(self) -> int:
        """Of what is read and written."""
        return sum(self.reads.values()) + sum(self.writes.values())

    @property
    def bytes_moved(self) -> int:
        """Each weight and each value once: the least that has to pass between processor and memory."""
        return self.weight_bytes + self.activation_bytes

    @property
    def intensity(self) -> float:
        """Multiply-adds a byte (Williams et al. 2009, "Roofline": operational intensity)."""
        return self.multiply_adds / self.bytes_moved if self.bytes_moved else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return {
            "name": self.name,
            "operator": self.operator,
            "precision": self.precision,
            "multiply_adds": self.multiply_adds,
            "weight_bytes": self.weight_bytes,
            "activation_bytes": self.activation_bytes,
            "intensity": round(self.intensity, 4),
        }


def merged(layers: Sequence[Layer], name: str, read_outside: Collection[str] = ()) -> Layer:
    """Several layers that run as one: what one writes and only the others read is not moved.

    ``layers`` are in the graph's order; ``read_outside`` names the values that layers of no part in it read.
    """
    made = {value for one in layers for value in one.writes}
    kept = {value for one in layers for value in one.reads} - set(read_outside)
    heaviest = max(layers, key=lambda one: (one.multiply_adds, one.bytes_moved))
    return Layer(
        name,
        "+".join(one.operator for one in layers),
        heaviest.precision,
        sum(one.multiply_adds for one in layers),
        {key: value for one in layers for key, value in one.weights.items()},
        {key: value for one in layers for key, value in one.reads.items() if key not in made},
        {key: value for one in layers for key, value in one.writes.items() if key not in kept},
    )


def layer_costs(model: onnx.ModelProto, input_shape: Sequence[int]) -> list[Layer]:
    """The layers of ``model`` in its order, for a first input of ``input_shape``.

    Raises ModelError where the shapes do not follow from it.
    """
    return _Graph(model, input_shape).layers()


class _Graph:
    def __init__(self, model: onnx.ModelProto, input_shape: Sequence[int]) -> None:
        from onnx import inliner

        fixed = onnx.ModelProto()
        fixed.CopyFrom(model)
        if fixed.functions:
            fixed = inliner.inline_local_functions(fixed)
        _fix_input(fixed, input_shape)
        for place, node in enumerate(fixed.graph.node):
            if not node.name:  # onnxruntime calls it so
                node.metadata_props.add(key=MERGED_NAME, value=f"{node.op_type}_{place}")
        _sort(fixed.graph)
        try:
            graph = onnx.shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True).graph
        except onnx.shape_inference.InferenceError as error:
            raise ModelError(f"no costs of its layers: its shapes do not fit together: {_short(error)}") from error
        self._nodes = list(graph.node)
        self._shapes: dict[str, tuple[int, ...] | None] = {}
        self._types: dict[str, int] = {}
        for value in (*graph.input, *graph.value_info, *graph.output):
            tensor = value.type.tensor_type
            sides = [side.dim_value if side.HasField("dim_value") else None for side in tensor.shape.dim]
            known = tensor.HasField("shape") and None not in sides
            self._shapes[value.name] = tuple(side or 0 for side in sides) if known else None
            self._types[value.name] = tensor.elem_type
        self._constants = {tensor.name for tensor in graph.initializer}
        for tensor in graph.initializer:
            self._shapes[tensor.name], self._types[tensor.name] = tuple(tensor.dims), tensor.data_type
        self._outputs = {value.name for value in graph.output}
        self._source = {out: node for node in self._nodes for out in node.output}
        self._constants |= {out for node in self._nodes if node.op_type == "Constant" for out in node.output}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self._nodes:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._names = Counter(node.name for node in self._nodes)

    def layers(self) -> list[Layer]:
        return [self._layer(node) for node in self._nodes if not self._is_merged(node)]

    def _is_merged(self, node: onnx.NodeProto) -> bool:
        """Whether it is no layer: a constant, what turns bytes back into floats, or the end of another layer."""
        if node.op_type in ("Constant", _DEQUANTISE):
            return True
        source = self._source.get(node.input[0]) if node.op_type == _QUANTISE else None
        return source is not None and source.op_type != _DEQUANTISE and self._is_rounded(node.input[0])

    def _is_rounded(self, name: str) -> bool:
        """Whether a value is quantised at once and read by nobody else."""
        readers = self._readers.get(name, [])
        return bool(readers) and name not in self._outputs and all(one.op_type == _QUANTISE for one in readers)

    def _stored(self, name: str) -> str:
        """The value as memory holds it: before its DequantizeLinear, and before a change of shape."""
        while (source := self._source.get(name)) is not None:
            if source.op_type != _DEQUANTISE and source.op_type not in VIEWS - {"Shape"}:
                break
            name = source.input[0]
        return name

    def _layer(self, node: onnx.NodeProto) -> Layer:
        weights: dict[str, int] = {}
        reads: dict[str, int] = {}
        writes: dict[str, int] = {}
        if node.op_type not in VIEWS:
            for name in self._data_inputs(node):
                stored = self._stored(name)
                (weights if stored in self._constants else reads)[stored] = self._bytes(stored)
            for name in filter(None, node.output):
                ends = [one.output[0] for one in self._readers.get(name, [])] if self._is_rounded(name) else [name]
                # A value that nobody reads is not written: Dropout's mask, MaxPool's places.
                writes |= {end: self._bytes(end) for end in ends if end in self._outputs or end in self._readers}
        return Layer(
            node.name if node.name and self._names[node.name] == 1 else node.output[0],
            node.op_type,
            self._precision(node),
            self._multiply_adds(node),
            weights,
            reads,
            writes,
            next((entry.value for entry in node.metadata_props if entry.key == MERGED_NAME), ""),
        )

    def _data_inputs(self, node: onnx.NodeProto) -> list[str]:
        """Without scales and zero points."""
        places = {"QLinearConv": (0, 3, 8), "QLinearMatMul": (0, 3), _QUANTISE: (0,)}.get(node.op_type)
        places = {"ConvInteger": (0, 1), "MatMulInteger": (0, 1)}.get(node.op_type, places)
        chosen = node.input if places is None else [node.input[one] for one in places if one < len(node.input)]
        return [name for name in chosen if name]

    def _multiply_adds(self, node: onnx.NodeProto) -> int:
        if node.op_type not in _FACTORS:
            return 0
        first, second = (node.input[place] for place in _FACTORS[node.op_type])
        if node.op_type == "ConvTranspose":  # each number that is read meets each weight of its channel
            return prod(self._shape(first)) * prod(self._shape(second)[1:])
        out = prod(self._shape(node.output[0]))
        if "Conv" in node.op_type:
            return out * prod(self._shape(second)[1:])  # weights (C_out, C_in / groups, kernel...)
        transposed = any(one.name == "transA" and one.i for one in node.attribute)
        return out * self._shape(first)[0 if transposed else -1]

    def _precision(self, node: onnx.NodeProto) -> str:
        inputs = self._data_inputs(node)
        if node.op_type in _FACTORS:
            inputs = [node.input[place] for place in _FACTORS[node.op_type]]
        types = [self._types.get(self._stored(name), 0) for name in inputs]
        if node.op_type in _FACTORS:
            types.sort(key=lambda one: "int8" in _PRECISIONS.get(one, ""))  # 8 bit only where both are
        return _PRECISIONS.get(types[0], "other") if types else "none"

    def _shape(self, name: str) -> tuple[int, ...]:
        shape = self._shapes.get(name)
        if shape is None:
            raise ModelError(
                "no costs of its layers: expected shapes that follow from the input's, found none for "
                f"{printable(name)}"
            )
        return shape

    def _bytes(self, name: str) -> int:
        size = onnx.helper.tensor_dtype_to_np_dtype(self._types[name]).itemsize if self._types.get(name) else 0
        return prod(self._shape(name)) * size


def _fix_input(model: onnx.ModelProto, shape: Sequence[int]) -> None:
    """Make ``shape`` that of the first input, and forget the shapes that were written down for another."""
    constants = {tensor.name for tensor in model.graph.initializer}
    value = next((one for one in model.graph.input if one.name not in constants), None)
    if value is None or len(value.type.tensor_type.shape.dim) != len(shape):
        raise ModelError(f"no costs of its layers: expected an input of {len(shape)} dimensions, found another")
    for side, length in zip(value.type.tensor_type.shape.dim, shape, strict=True):
        side.Clear()
        side.dim_value = length
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")


def _sort(graph: onnx.GraphProto) -> None:
    """Each node behind those whose values it takes: converters to float16 put their casts at the end."""
    made = {out for node in graph.node for out in node.output}
    known, ordered, waiting = {""}, [], list(graph.node)
    while waiting:
        later = []
        for node in waiting:
            if all(name in known or name not in made for name in node.input):
                ordered.append(node)
                known.update(node.output)
            else:
                later.append(node)
        if len(later) == len(waiting):
            raise ModelError("no costs of its layers: expected operators in an order, found a circle")
        waiting = later
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
    del graph.node[:]
    graph.node.extend(copies)


def uncounted(layers: Iterable[Layer]) -> list[str]:
    """Operators among ``layers`` whose multiply-adds are not counted."""
    return sorted({name for one in layers for name in one.operator.split("+") if name in UNCOUNTED})


def _short(error: Exception) -> str:
    return printable(" ".join(str(error).split()))[:200]
