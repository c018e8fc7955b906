"""The graph in an .ort file, as an ONNX graph: onnxruntime writes such files and has nothing that reads them back.

Its generated bindings for the flatbuffer come with the package (onnxruntime.tools.ort_format_model), and the schema is
onnxruntime/core/flatbuffers/schema/ort.fbs. What its optimiser merged is taken apart again (``unmerged``).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import onnx
from onnx import AttributeProto, TensorProto, defs, helper

from fer_edge.errors import ModelError
from fer_edge.export.graph.unmerged import unmerged


def read_ort_graph(data: bytes) -> onnx.ModelProto:
    """The graph of ``data``, which was checked as every model is (``read_ort``), in ONNX's own operators.

    Raises ModelError where it holds what no network of ours does: a graph within an operator, or sparse weights.
    """
    from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.InferenceSession import InferenceSession

    stored = InferenceSession.GetRootAs(bytearray(data), 0).Model()
    graph = stored.Graph()
    if graph.SparseInitializersLength():
        raise ModelError("expected weights that are stored one by one, found sparse ones")
    if (later := graph.RuntimeOptimizations()) is not None and later.RecordsLength():
        raise ModelError("expected a graph that is run as it is, found changes to make where it is loaded")
    opsets = {_text(one.Domain()): one.Version() for one in _each(stored, "OpsetImport")}
    values = {value.Name(): value for value in _each(graph, "NodeArgs")}
    tensors = [_tensor(tensor) for tensor in _each(graph, "Initializers")]
    model = helper.make_model(
        helper.make_graph(
            [_node(node, opsets) for node in _in_order(graph)],
            "ort",
            [_value(values[name]) for name in _each(graph, "Inputs")],
            [_value(values[name]) for name in _each(graph, "Outputs")],
            tensors,
        ),
        opset_imports=[helper.make_opsetid(domain, opset) for domain, opset in opsets.items()],
        ir_version=stored.IrVersion(),
    )
    try:
        return unmerged(model)
    except (KeyError, ValueError) as error:
        raise ModelError("expected merged operators as onnxruntime's optimiser writes them, found others") from error


def _each(table: Any, field: str) -> Iterator[Any]:
    """The elements of a vector."""
    get, count = getattr(table, field), getattr(table, f"{field}Length")
    return (get(place) for place in range(count()))


def _text(value: bytes | None) -> str:
    return (value or b"").decode()


def _in_order(graph: Any) -> Iterator[Any]:
    """Its operators, each behind those whose values it takes; the file has them by the number they once had."""
    known = {b"", *_each(graph, "Inputs"), *(tensor.Name() for tensor in _each(graph, "Initializers"))}
    waiting = list(_each(graph, "Nodes"))
    while waiting:
        ready = [node for node in waiting if known.issuperset(_each(node, "Inputs"))]
        if not ready:
            raise ModelError("expected operators that can be run one after the other, found a value that none gives")
        for node in ready:
            given = {name for name in _each(node, "Outputs") if name}
            if given & known:
                raise ModelError("expected a name for each value, found one name for several")
            known |= given
            yield node
        waiting = [node for node in waiting if node not in ready]


def _node(node: Any, opsets: Mapping[str, int]) -> onnx.NodeProto:
    """As ONNX has it. The file states each operator's version, which an ONNX graph takes from its opset."""
    made = helper.make_node(
        _text(node.OpType()),
        [_text(name) for name in _each(node, "Inputs")],
        [_text(name) for name in _each(node, "Outputs")],
        name=_text(node.Name()),
        domain=_text(node.Domain()),
    )
    if not made.domain and defs.has(made.op_type):
        own = defs.get_schema(made.op_type, opsets[""]).since_version
        if node.SinceVersion() != own:
            raise ModelError(f"expected {made.op_type} of opset {own}, found that of opset {node.SinceVersion()}")
    made.attribute.extend(_attribute(one, made.op_type) for one in _each(node, "Attributes"))
    return made


def _attribute(stored: Any, of: str) -> AttributeProto:
    """Its types have ONNX's own numbers."""
    read = {
        AttributeProto.FLOAT: stored.F,
        AttributeProto.INT: stored.I,
        AttributeProto.STRING: stored.S,
        AttributeProto.TENSOR: lambda: _tensor(stored.T()),
        AttributeProto.FLOATS: lambda: list(_each(stored, "Floats")),
        AttributeProto.INTS: lambda: list(_each(stored, "Ints")),
        AttributeProto.STRINGS: lambda: list(_each(stored, "Strings")),
    }.get(stored.Type())
    if read is None:
        raise ModelError(f"expected numbers, text or tensors in the attributes of {of}, found another type")
    return helper.make_attribute(_text(stored.Name()), read(), attr_type=stored.Type())


def _tensor(stored: Any) -> TensorProto:
    """Its elements have ONNX's own types and their bytes."""
    name = _text(stored.Name())
    if stored.StringDataLength():
        raise ModelError(f"expected numbers in {name}, found text")
    return TensorProto(
        name=name,
        data_type=stored.DataType(),
        dims=list(_each(stored, "Dims")),
        raw_data=b"" if stored.RawDataIsNone() else stored.RawDataAsNumpy().tobytes(),
    )


def _value(stored: Any) -> onnx.ValueInfoProto:
    from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.TensorTypeAndShape import TensorTypeAndShape

    union = stored.Type().Value()
    tensor = TensorTypeAndShape()
    tensor.Init(union.Bytes, union.Pos)
    shape = tensor.Shape()
    sides = None if shape is None else [_side(one.Value()) for one in _each(shape, "Dim")]
    return helper.make_tensor_value_info(_text(stored.Name()), tensor.ElemType(), sides)


def _side(value: Any) -> int | str | None:
    """A number of elements, or the name of one that varies."""
    return _text(value.DimParam()) or value.DimValue() or None
