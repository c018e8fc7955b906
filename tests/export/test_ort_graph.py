"""The graph in an .ort file, taken apart again, computes what the file does, and shows every planted fault.

The faults are those of benchmarks/attacks.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from faults import ANYWHERE, IN_8_BITS, LIES, as_ort, changed  # benchmarks/attacks/faults.py
from onnx import TensorProto, helper

from fer_edge.errors import ModelError
from fer_edge.export.exporter import export_checkpoint
from fer_edge.export.graph.ort_graph import read_ort_graph
from fer_edge.export.graph.unmerged import unmerged
from fer_edge.export.parity.file_comparison import SAME_GRAPH
from fer_edge.export.parity.structure import structure_failures
from fer_edge.export.parity.verification import VerifyRequest, verify_model
from fer_edge.export.request import ExportRequest
from fer_edge.metadata import METADATA_KEY

FAULTS = ANYWHERE | IN_8_BITS


@pytest.fixture(scope="module")
def models(sound, repository) -> dict[str, onnx.ModelProto]:
    """Those of both precisions, with metadata, which a file must have."""
    stated = (repository / "tests" / "fixtures" / "tiny.json").read_text(encoding="utf-8")
    found = {}
    for precision, model in sound.items():
        found[precision] = onnx.ModelProto()
        found[precision].CopyFrom(model)
        helper.set_model_props(found[precision], {METADATA_KEY: stated})
    return found


def unoptimised(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def answers(model: bytes, pixels: np.ndarray) -> list[np.ndarray]:
    session = unoptimised(model)
    return list(session.run(None, {session.get_inputs()[0].name: pixels}))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_it_computes_what_the_model_does_in_onnx_operators(models, precision) -> None:
    graph = read_ort_graph(as_ort(changed(models[precision])))
    onnx.checker.check_model(graph, full_check=True)
    assert {node.domain for node in graph.graph.node} == {""}
    pixels = np.random.default_rng(0).integers(0, 256, (3, 60, 50, 3), np.uint8)
    for found, expected in zip(
        answers(graph.SerializeToString(), pixels), answers(changed(models[precision]), pixels), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_sound_file_has_the_checkpoints_graph(models, precision) -> None:
    expected, found = (read_ort_graph(as_ort(changed(models[one]))) for one in ("fp32", precision))
    assert structure_failures(expected, found) == []


@pytest.mark.parametrize("fault", [pytest.param(fault, id=name) for name, fault in FAULTS.items()])
def test_every_planted_fault_is_found_in_8_bits(models, fault) -> None:
    data = as_ort(changed(models["int8"], fault))
    if data is None:
        pytest.skip("onnxruntime makes no such file of it")
    assert structure_failures(read_ort_graph(as_ort(changed(models["fp32"]))), read_ort_graph(data))


@pytest.fixture(scope="module")
def published(tiny_run, tmp_path_factory) -> Path:
    done = export_checkpoint(
        ExportRequest(tiny_run.folder, name="sound", folder=tmp_path_factory.mktemp("ort"), file_format="ort")
    )
    assert done.failures == ()
    return done.paths[0]


def test_verify_proves_its_graph_and_compares_its_layers(tiny_run, published) -> None:
    done = verify_model(VerifyRequest(published, tiny_run.folder, divergence=True))
    assert done.parity.failures == ()
    assert done.graph == SAME_GRAPH
    assert {"faces", "logits"} < {layer.name for layer in done.layers}


def test_metadata_that_the_graph_contradicts(tiny_run, tmp_path) -> None:
    exported = export_checkpoint(ExportRequest(tiny_run.folder, name="m", folder=tmp_path))
    path = tmp_path / "lies.ort"
    path.write_bytes(as_ort(changed(onnx.load(exported.paths[0]), lie=LIES["half precision"])))
    failures = verify_model(VerifyRequest(path, tiny_run.folder)).parity.failures
    assert any("precision fp32 in the metadata, as the graph has it, found fp16" in one for one in failures)


def test_its_values_have_the_names_of_the_checkpoints_layers(models) -> None:
    """By which the noise of each is measured."""
    own, found = ({value for node in graph.graph.node for value in node.output} for graph in both(models))
    layers = {name for name in own if name.startswith("network.") and name.endswith("_DequantizeLinear_Output")}
    layers -= {name for name in layers if ".weight" in name or "flatten" in name}
    assert len(layers) > 4
    assert {"faces_DequantizeLinear_Output", *layers} <= found


def both(models) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The model of 8 bits, and what its .ort file holds."""
    return models["int8"], read_ort_graph(as_ort(changed(models["int8"])))


def test_an_operator_of_another_opset_is_refused(models) -> None:
    from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.InferenceSession import InferenceSession

    data = bytearray(as_ort(changed(models["fp32"])))
    graph = InferenceSession.GetRootAs(data, 0).Model().Graph()
    nodes = [graph.Nodes(place) for place in range(graph.NodesLength())]
    (softmax,) = (node for node in nodes if node.OpType() == b"Softmax")
    since_version = 4 + 2 * 3  # the fourth field of ort.fbs's Node
    place = softmax._tab.Pos + softmax._tab.Offset(since_version)
    assert data[place] == 13
    data[place] = 11  # over all that follows the axis, not the axis alone
    with pytest.raises(ModelError, match="expected Softmax of opset 13, found that of opset 11"):
        read_ort_graph(bytes(data))


def made(*nodes: onnx.NodeProto, opset: int = 18, **constants: Any) -> onnx.ModelProto:
    """A graph of floats from x and z to y."""
    shape = [None, 2, 4, 4]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xzy"]
    tensors = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph(list(nodes), "made", values[:2], values[2:], tensors)
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize(
    ("activation", "parameters"),
    [("Relu", None), ("Clip", [-0.25, 0.5]), ("HardSigmoid", [0.3, 0.4]), ("LeakyRelu", [0.2]), ("Tanh", None)],
)
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("opset", [10, 18])
def test_a_convolution_with_its_activation_is_taken_apart(activation, parameters, added, opset) -> None:
    random = np.random.default_rng(1)
    inputs = ["x", "w", "b", *(["z"] if added else [])]
    given = {} if parameters is None else {"activation_params": parameters}
    node = helper.make_node("FusedConv", inputs, ["y"], domain="com.microsoft", activation=activation, **given)
    weights = {"w": random.normal(size=(2, 2, 1, 1)).astype(np.float32), "b": np.array([0.1, -0.2], np.float32)}
    merged = made(node, opset=opset, **weights)
    apart = unmerged(merged)
    assert {one.domain for one in apart.graph.node} == {""}
    feed = {name: random.normal(size=(3, 2, 4, 4)).astype(np.float32) for name in "xz"}
    found, expected = (unoptimised(one.SerializeToString()).run(None, feed)[0] for one in (apart, merged))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_is_not_known_stays_as_it_is() -> None:
    node = helper.make_node("FastGelu", ["x"], ["y"], domain="com.microsoft")
    (left,) = unmerged(made(node)).graph.node
    assert (left.domain, left.op_type, list(left.input)) == ("com.microsoft", "FastGelu", ["x"])


def test_a_value_that_has_the_name_of_one_taken_apart_stays_another() -> None:
    """Else a graph could show an operator that takes the network's value while the file gives it something else."""
    nodes = [
        helper.make_node("Neg", ["z"], ["hidden"]),
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["a_QuantizeLinear_Output"]),
        helper.make_node(
            "QLinearAdd",
            [*["a_QuantizeLinear_Output", "scale", "zero"] * 2, "scale", "zero"],
            ["hidden_QuantizeLinear_Output"],
            domain="com.microsoft",
        ),
        helper.make_node("DequantizeLinear", ["hidden_QuantizeLinear_Output", "scale", "zero"], ["restored"]),
        helper.make_node("Sub", ["hidden", "restored"], ["y"]),
    ]
    merged = made(*nodes, scale=np.float32(0.1), zero=np.uint8(128))
    apart = unmerged(merged)
    given = [value for node in apart.graph.node for value in node.output]
    assert len(given) == len(set(given))
    feed = {name: np.random.default_rng(2).normal(size=(1, 2, 4, 4)).astype(np.float32) for name in "xz"}
    found, expected = (unoptimised(one.SerializeToString()).run(None, feed)[0] for one in (apart, merged))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_one_bias_has_the_steps_of_each_convolution_that_adds_it() -> None:
    random = np.random.default_rng(3)
    weights = {
        "w": random.integers(-127, 128, (2, 2, 1, 1)).astype(np.int8),
        "b": np.array([40, -90], np.int32),
        "one": np.float32(0.02),
        "two": np.float32(0.05),
        "weight_scale": np.full(2, 0.01, np.float32),
        "weight_zero": np.zeros(2, np.int8),
        "zero": np.uint8(128),
    }
    nodes = []
    for steps in ("one", "two"):
        rounded = [f"{steps}_x", steps, "zero"]
        nodes.append(helper.make_node("QuantizeLinear", ["x", steps, "zero"], rounded[:1]))
        weight = ["w", "weight_scale", "weight_zero"]
        nodes.append(helper.make_node("QLinearConv", [*rounded, *weight, steps, "zero", "b"], [f"{steps}_y"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{steps}_y", steps, "zero"], [f"{steps}_float"]))
    nodes.append(helper.make_node("Sub", ["one_float", "two_float"], ["y"]))
    merged = made(*nodes, **weights)
    feed = {"x": random.normal(size=(1, 2, 4, 4)).astype(np.float32), "z": np.zeros((1, 2, 4, 4), np.float32)}
    found, expected = (unoptimised(one.SerializeToString()).run(None, feed)[0] for one in (unmerged(merged), merged))
    np.testing.assert_allclose(found, expected, atol=0.051)  # a rounding step where both are halfway
    assert np.mean(np.abs(found - expected) > 1e-5) < 0.05
