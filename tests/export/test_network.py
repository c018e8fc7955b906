import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from fer_edge.errors import ModelError
from fer_edge.export.graph import network as network_module
from fer_edge.export.graph.network import export_network, flatten_by_constants, pool_globally
from fer_edge.export.graph.versions import OPSET, Versions, read_versions
from fer_edge.training.architectures import build_classifier


@pytest.fixture(scope="module")
def resnet() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_classifier("resnet18", {"stem": "imagenet"}).eval()


@pytest.fixture(scope="module")
def resnet_graph(resnet: torch.nn.Module) -> onnx.ModelProto:
    return export_network(resnet, 48)


@pytest.mark.parametrize("batch", [1, 5])
def test_network_answers_like_the_classifier(resnet, resnet_graph, batch):
    faces = torch.randn(batch, 1, 48, 48, generator=torch.Generator().manual_seed(1))
    session = onnxruntime.InferenceSession(resnet_graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"faces": faces.numpy()})
    with torch.inference_mode():
        np.testing.assert_allclose(found, resnet(faces).numpy(), atol=1e-5)


def test_opset_and_ir_version_are_the_smallest_that_serve(resnet_graph):
    versions = read_versions(resnet_graph)
    assert (versions.opset, versions.ir_version) == (OPSET, 8)
    onnx.checker.check_model(resnet_graph, full_check=True)


def test_average_pool_is_global_so_that_the_quantiser_knows_it(resnet_graph):
    operators = {node.op_type for node in resnet_graph.graph.node}
    assert "GlobalAveragePool" in operators
    assert "ReduceMean" not in operators


def test_values_are_named_after_torch_modules(resnet, resnet_graph):
    outputs = [node.output[0] for node in resnet_graph.graph.node]
    assert len(set(outputs)) == len(outputs)
    modules = dict(resnet.named_modules())
    for name in ("network.bn1", "network.relu", "network.layer2.0.downsample.1", "network.avgpool"):
        assert name in outputs
        assert name in modules
    # One ReLU module is called twice in each residual block.
    assert {"network.layer1.0.relu", "network.layer1.0.relu:2", "network.layer1.0.add"} <= set(outputs)


def test_no_path_of_this_machine_stays_in_the_file(resnet_graph):
    content = resnet_graph.SerializeToString()
    assert b"classifier.py" not in content
    assert b"stack_trace" not in content


def test_every_weight_is_used_and_inside_the_file(resnet_graph):
    used = {value for node in resnet_graph.graph.node for value in node.input}
    for tensor in resnet_graph.graph.initializer:
        assert tensor.name in used
        assert tensor.data_location == TensorProto.DEFAULT


def test_another_opset_than_asked_for_is_refused(resnet, monkeypatch):
    monkeypatch.setattr(network_module, "read_versions", lambda model: Versions(17, 8))
    with pytest.raises(ModelError, match=r"expected opset 18 from torch\.onnx\.export, found 17"):
        export_network(resnet, 48)


def test_means_over_other_axes_are_left_alone():
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x", "rows"], ["a"], keepdims=1),
            helper.make_node("ReduceMean", ["x", "both"], ["b"], keepdims=0),
            helper.make_node("ReduceMean", ["x", "both"], ["c"], keepdims=1),
        ],
        "g",
        [],
        [],
        [
            numpy_helper.from_array(np.array([2]), "rows"),
            numpy_helper.from_array(np.array([-1, -2]), "both"),
        ],
    )
    pool_globally(graph)
    assert [node.op_type for node in graph.node] == ["ReduceMean", "ReduceMean", "GlobalAveragePool"]


def test_flattening_by_a_shape_that_is_read_is_written_with_a_constant_one():
    """As torch 2.8 writes it; the Shape that another node needs stays."""
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Shape", ["x"], ["batch"], start=0, end=1),
            onnx.helper.make_node("Concat", ["batch", "size"], ["flat"], axis=0),
            onnx.helper.make_node("Reshape", ["x", "flat"], ["y"], allowzero=1),
            onnx.helper.make_node("Shape", ["x"], ["all"]),
            onnx.helper.make_node("Reshape", ["y", "all"], ["z"]),
        ],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 4, 3])],
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in "yz"],
        [onnx.numpy_helper.from_array(np.array([12]), "size")],
    )
    flatten_by_constants(graph)
    assert [node.op_type for node in graph.node] == ["Reshape", "Shape", "Reshape"]
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    values = np.arange(60, dtype=np.float32).reshape(5, 4, 3)
    flat, again = session.run(["y", "z"], {"x": values})
    np.testing.assert_array_equal(flat, values.reshape(5, 12))
    np.testing.assert_array_equal(again, values)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["mobilenet_v3_small", "googlenet", "vgg11_bn"])
def test_every_architecture_exports(architecture):
    torch.manual_seed(0)
    classifier = build_classifier(architecture).eval()
    model = export_network(classifier, 48)
    faces = torch.randn(3, 1, 48, 48)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        np.testing.assert_allclose(session.run(None, {"faces": faces.numpy()})[0], classifier(faces), atol=1e-5)
