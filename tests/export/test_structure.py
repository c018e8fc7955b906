"""The graph of a model is its checkpoint's, operator by operator: sound ones pass, and every planted fault is found.

The faults are those of benchmarks/attacks.
"""

from dataclasses import replace
from functools import partial

import onnx
import pytest
from faults import ANYWHERE, IN_8_BITS  # benchmarks/attacks/faults.py
from onnx import TensorProto, helper

from fer_edge.backends.registry import open_model
from fer_edge.export.formats.registry import format_named
from fer_edge.export.graph.model import assembled
from fer_edge.export.parity.file_comparison import SAME_GRAPH, compare_graphs
from fer_edge.export.parity.structure import structure_failures
from fer_edge.export.quantization.search import Recipe, quantise
from fer_edge.export.quantization.targets import INT8_SYMMETRIC, UINT8, UINT8_SYMMETRIC


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_sound_models_have_the_checkpoints_graph(sound, precision) -> None:
    assert structure_failures(sound["fp32"], sound[precision]) == []


@pytest.mark.parametrize(
    ("activations", "reduce_range"), [(UINT8, False), (UINT8_SYMMETRIC, True), (INT8_SYMMETRIC, False)]
)
def test_so_have_those_of_the_other_recipes(tiny_run, network, calibration, sound, activations, reduce_range) -> None:
    quantised = quantise(network, calibration, Recipe("MinMax", activations, reduce_range))
    model = assembled(quantised, tiny_run.reference, precision="int8", raw=False)
    assert structure_failures(sound["fp32"], model) == []


def test_a_file_cannot_say_that_its_graph_need_not_be_the_checkpoints(sound, tiny_run, exported_tiny) -> None:
    metadata = open_model(exported_tiny).metadata
    elsewhere = replace(metadata, versions={**metadata.versions, "torch": "2.0.0"})
    broken = onnx.ModelProto()
    broken.CopyFrom(sound["fp32"])
    ANYWHERE[next(iter(ANYWHERE))](broken)
    compared = partial(compare_graphs, model_format=format_named("onnx"), reference=tiny_run.reference)
    assert compared(sound["fp32"], elsewhere, other_writer=False)[:2] == (SAME_GRAPH, [])
    found, (failure,), _ = compared(broken, elsewhere, other_writer=False)
    assert "proves nothing" in found
    assert "states torch 2.0.0; install that version" in failure
    assert compared(broken, elsewhere, other_writer=True)[1] == []
    assert compared(broken, metadata, other_writer=True)[1]  # it states the torch that is here


def test_rounding_to_another_type_is_found(sound) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(sound["int8"])
    zero = next(node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear")
    (tensor,) = (one for one in model.graph.initializer if one.name == zero)
    tensor.CopyFrom(helper.make_tensor(zero, TensorProto.INT4, list(tensor.dims), [0]))
    assert "a type that is not 8 or 16 bits" in "; ".join(structure_failures(sound["fp32"], model))


def test_rounding_along_one_axis_and_back_along_another_is_found(sound) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(sound["int8"])
    rounded = {node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    restore = next(node for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in rounded)
    restore.attribute.append(helper.make_attribute("axis", 2))
    assert "restored along another" in "; ".join(structure_failures(sound["fp32"], model))


def test_names_do_not_count(sound) -> None:
    renamed = onnx.ModelProto()
    renamed.CopyFrom(sound["fp32"])
    for node in renamed.graph.node:
        for values in (node.input, node.output):
            for place, value in enumerate(values):
                if value.startswith("network."):
                    values[place] = f"x{value}"
    for tensor in renamed.graph.initializer:
        if tensor.name.startswith("network."):
            tensor.name = f"x{tensor.name}"
    assert structure_failures(sound["fp32"], renamed) == []


@pytest.mark.parametrize(
    ("precision", "fault"),
    [
        pytest.param(precision, fault, id=f"{precision}: {name}")
        for precision, faults in (("fp32", ANYWHERE), ("int8", ANYWHERE | IN_8_BITS))
        for name, fault in faults.items()
    ],
)
def test_every_planted_fault_is_found(sound, precision, fault) -> None:
    broken = onnx.ModelProto()
    broken.CopyFrom(sound[precision])
    fault(broken)
    failures = structure_failures(sound["fp32"], broken)
    assert failures
    assert all("the checkpoint's graph" in line for line in failures)


def test_three_inputs_of_a_concat_are_no_bias(sound) -> None:
    """As those of GoogLeNet's branches, each rounded to steps of its own."""
    model, rounded = onnx.ModelProto(), onnx.ModelProto()
    for copy in (model, rounded):
        copy.CopyFrom(sound["fp32"])
        del copy.graph.node[:], copy.graph.initializer[:], copy.graph.output[1:]
        copy.graph.input[0].type.tensor_type.elem_type = copy.graph.output[0].type.tensor_type.elem_type
    image, output = model.graph.input[0].name, model.graph.output[0].name
    model.graph.node.append(helper.make_node("Concat", [image] * 3, [output], axis=1))
    names = [f"part{place}" for place in range(3)]
    for place, name in enumerate(names):
        steps = [f"{name}_scale", f"{name}_zero"]
        rounded.graph.initializer.append(helper.make_tensor(steps[0], TensorProto.FLOAT, [], [0.1 * (place + 1)]))
        rounded.graph.initializer.append(helper.make_tensor(steps[1], TensorProto.UINT8, [], [3]))
        rounded.graph.node.append(helper.make_node("QuantizeLinear", [image, *steps], [f"{name}_bytes"]))
        rounded.graph.node.append(helper.make_node("DequantizeLinear", [f"{name}_bytes", *steps], [name]))
    rounded.graph.node.append(helper.make_node("Concat", names, [output], axis=1))
    assert structure_failures(model, rounded) == []


def another_first(model: onnx.ModelProto) -> None:
    """A weight of a name that another has: onnxruntime takes the first, a dictionary the last."""
    first = next(one for one in model.graph.initializer if len(one.dims) == 4)
    other = onnx.TensorProto(name=first.name, data_type=first.data_type, dims=first.dims)
    other.raw_data = bytes(len(first.raw_data))
    model.graph.initializer.insert(0, other)


def sparse_beside(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().values.name = model.graph.initializer[0].name


@pytest.mark.parametrize("fault", [another_first, sparse_beside])
def test_constants_that_readers_may_take_for_others_are_found(sound, fault) -> None:
    broken = onnx.ModelProto()
    broken.CopyFrom(sound["fp32"])
    fault(broken)
    assert structure_failures(sound["fp32"], broken)
