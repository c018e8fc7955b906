import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fer_edge.errors import ModelError
from fer_edge.metadata import METADATA_KEY
from fer_edge.runtime.onnx_file import read_onnx


def external(name: str) -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def model_of(nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto] | None = None) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph(nodes, "g", [], [], initializers or []), ir_version=8)


def test_walk_agrees_with_the_onnx_package(tiny_model: Path) -> None:
    found, reference = read_onnx(tiny_model.read_bytes(), "m"), onnx.load(tiny_model)
    assert found.ir_version == reference.ir_version == 8
    assert found.opset == reference.opset_import[0].version == 18
    assert found.metadata == [(entry.key, entry.value) for entry in reference.metadata_props]
    assert METADATA_KEY in dict(found.metadata)
    assert list(found.operators.elements()) == [node.op_type for node in reference.graph.node]
    assert found.external_tensors == []


def test_operators_of_nested_graphs_functions_and_other_domains_are_counted() -> None:
    branch = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "branch", [], [])
    model = model_of(
        [
            helper.make_node("If", ["condition"], ["y"], then_branch=branch, else_branch=branch),
            helper.make_node("Gelu", ["x"], ["z"], domain="com.microsoft"),
        ]
    )
    model.functions.append(
        helper.make_function("local", "F", ["a"], ["b"], [helper.make_node("Abs", ["a"], ["b"])], model.opset_import)
    )
    assert read_onnx(model.SerializeToString(), "m").operators == {"Neg": 2, "If": 1, "com.microsoft.Gelu": 1, "Abs": 1}


def test_external_data_is_found_wherever_it_hides() -> None:
    hidden = external("hidden")
    inner = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "inner", [], [], [hidden])
    sparse = helper.make_sparse_tensor(hidden, numpy_helper.from_array(np.arange(4), "at"), [4])
    places = [
        model_of([helper.make_node("Neg", ["x"], ["y"])], [hidden]),
        model_of([helper.make_node("Constant", [], ["y"], value=hidden)]),
        model_of([helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)]),
        model_of([helper.make_node("Constant", [], ["y"], sparse_value=sparse)]),
    ]
    places.append(model_of([helper.make_node("Neg", ["x"], ["y"])]))
    places[-1].graph.sparse_initializer.append(sparse)
    for model in places:
        assert set(read_onnx(model.SerializeToString(), "m").external_tensors) == {"hidden"}


def test_external_data_without_a_location_flag_is_found_too() -> None:
    tensor = external("hidden")
    tensor.data_location = TensorProto.DEFAULT
    model = model_of([helper.make_node("Neg", ["x"], ["y"])], [tensor])
    assert read_onnx(model.SerializeToString(), "m").external_tensors == ["hidden"]


@pytest.mark.parametrize("data", [b"", b"\x00", b"hello, this is no model", b"\xff" * 100, b"PK\x03\x04" * 20])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ModelError, match=r"^m: expected an ONNX model, found other bytes"):
        read_onnx(data, "m")


def test_endless_nesting_is_refused() -> None:
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [], [])
    for _ in range(20):
        graph = helper.make_graph([helper.make_node("If", ["c"], ["y"], then_branch=graph)], "g", [], [])
    with pytest.raises(ModelError, match="nested too deeply"):
        read_onnx(helper.make_model(graph).SerializeToString(), "m")


def test_damaged_models_raise_model_errors_or_are_read(tiny_model: Path) -> None:
    generator, data = random.Random(3), tiny_model.read_bytes()
    refused = 0
    for _ in range(2000):
        damaged = bytearray(data)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        del damaged[generator.randrange(len(damaged)) if generator.random() < 0.3 else len(damaged) :]
        try:
            read_onnx(bytes(damaged), "m")
        except ModelError as error:
            refused += 1
            assert "\n" not in str(error)  # noqa: PT017  # only some of these raise
    assert refused > 500
