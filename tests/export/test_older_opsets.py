"""Raw models in opsets older than PyTorch writes, and of one face alone."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from fer_edge.backends import open_model
from fer_edge.errors import ModelError, UsageError
from fer_edge.export.exporter import export_checkpoint
from fer_edge.export.graph.float16 import halve
from fer_edge.export.graph.model import in_order
from fer_edge.export.graph.network import FACES, LOGITS, export_network
from fer_edge.export.graph.older_opsets import in_older_opset
from fer_edge.export.graph.versions import Versions, read_versions
from fer_edge.export.parity.verification import VerifyRequest, verify_model
from fer_edge.export.request import ExportRequest
from fer_edge.golden.kit import write_kit
from fer_edge.runtime.classifier import Classifier


@pytest.fixture(scope="module")
def network(tiny_run) -> onnx.ModelProto:
    return export_network(tiny_run.reference.classifier, tiny_run.reference.image_size)


def faces(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 1, 48, 48)).astype(np.float32)


def logits(model: onnx.ModelProto, batch: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([LOGITS], {FACES: batch})[0]


@pytest.mark.parametrize("opset", range(7, 18))
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_each_opset_from_7_on_answers_the_same(network, opset, precision):
    newest = in_order(halve(network)) if precision == "fp16" else network
    older = in_older_opset(newest, opset)
    assert read_versions(older) == Versions(opset, max(4, onnx.helper.find_min_ir_version_for(older.opset_import)))
    np.testing.assert_allclose(logits(older, faces()), logits(newest, faces()), atol=1e-6)
    assert read_versions(newest).opset == 18  # a copy was changed


def one_node(operator: str, constants: dict[str, np.ndarray] | None = None, **attributes) -> onnx.ModelProto:
    """A network of ``operator`` on faces alone."""
    constants = constants or {}
    node = helper.make_node(operator, [FACES, *constants], [LOGITS], "odd", **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(FACES, TensorProto.FLOAT, ["batch", 1, 48, 48])],
        [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


SAME = {
    "an axis as attribute": one_node("ReduceMean", {"axes": np.array([2, 3])}, keepdims=1),
    "allowzero without a zero": one_node("Reshape", {"shape": np.array([-1, 48])}, allowzero=1),
    "idle dilations": one_node("MaxPool", kernel_shape=[2, 2], dilations=[1, 1], ceil_mode=0),
}


@pytest.mark.parametrize("name", SAME)
def test_what_an_older_operator_says_otherwise_is_written_its_way(name):
    older = in_older_opset(SAME[name], 7)
    np.testing.assert_allclose(logits(older, faces()), logits(SAME[name], faces()), atol=1e-6)


REFUSED = {
    14: one_node("HardSwish"),
    10: one_node("MaxPool", kernel_shape=[5, 5], strides=[3, 3], ceil_mode=1),
    18: one_node("Clip", {"low": np.zeros((), np.float32), "high": np.ones((), np.float32)}),
}


@pytest.mark.parametrize("oldest", [14, 10])
def test_an_operator_without_an_older_version_names_the_oldest_opset(oldest):
    model = REFUSED[oldest]
    with pytest.raises(
        ModelError, match=rf"expected --opset {oldest} or later .*{model.graph.node[0].op_type} \(odd\)"
    ):
        in_older_opset(model, oldest - 1)
    np.testing.assert_allclose(logits(in_older_opset(model, oldest), faces()), logits(model, faces()), atol=1e-6)


def test_an_operator_whose_meaning_may_have_changed_stays_in_its_own_version():
    with pytest.raises(ModelError, match="whose Clip"):
        in_older_opset(REFUSED[18], 11)


def test_a_zero_that_means_a_zero_needs_the_opset_that_can_say_so():
    model = one_node("Reshape", {"shape": np.array([0, -1, 48])}, allowzero=1)
    with pytest.raises(ModelError, match="expected --opset 14 or later"):
        in_older_opset(model, 13)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"opset": 11},
            "expected --opset 18 or later, or --raw, which takes 7 and later: Resize has no antialias before",
        ),
        ({"opset": 6, "raw": True}, "expected --opset 7 or later, found 6"),
        ({"fixed_shape": True}, "expected --raw with --fixed-shape, found a model of pixels"),
    ],
)
def test_what_no_file_can_be_is_refused_before_work(tmp_path, change, message):
    with pytest.raises(UsageError, match=message):
        ExportRequest(checkpoint=tmp_path, **change)


@pytest.fixture(scope="module")
def fixed(tiny_run, tmp_path_factory):
    """A raw model of opset 11 that takes one face."""
    request = ExportRequest(
        checkpoint=tiny_run.folder, raw=True, opset=11, fixed_shape=True, folder=tmp_path_factory.mktemp("fixed")
    )
    return export_checkpoint(request)


def test_a_fixed_raw_model_of_an_older_opset_passes_parity_and_says_what_it_is(fixed):
    assert fixed.parity, fixed.parity.failures
    assert fixed.paths[0].name == "tiny-run-raw-fixed.onnx"
    graph = onnx.load(fixed.paths[0])
    assert read_versions(graph) == Versions(11, 6)
    shapes = {
        one.name: [dim.dim_value for dim in one.type.tensor_type.shape.dim]
        for one in (*graph.graph.input, *graph.graph.output, *graph.graph.value_info)
    }
    assert shapes[FACES] == [1, 1, 48, 48]
    assert shapes[LOGITS] == [1, 7]
    assert all(size > 0 for shape in shapes.values() for size in shape)  # no name of a dimension is left
    metadata = fixed.metadata
    assert (metadata.input.shape, metadata.outputs[0].shape) == ((1, 1, 48, 48), (1, 7))
    assert (metadata.opset, metadata.ir_version) == (11, 6)


def test_a_fixed_model_takes_many_images_one_after_the_other(fixed, exported_tiny, tiny_run):
    pixels = tiny_run.faces.train.faces[:5, :, :, np.newaxis]
    expected = Classifier.load(exported_tiny).probabilities(pixels)
    np.testing.assert_allclose(Classifier.load(fixed.paths[0]).probabilities(pixels), expected, atol=1e-4)
    np.testing.assert_allclose(open_model(fixed.paths[0]).run(pixels).probabilities, expected, atol=1e-4)


def test_verify_proves_the_graph_of_a_fixed_model_layer_by_layer(fixed, tiny_run):
    found = verify_model(VerifyRequest(fixed.paths[0], tiny_run.folder, divergence=True))
    assert found.parity, found.parity.failures
    assert found.graph == "the checkpoint's, operator by operator and weight by weight"


def test_the_golden_kit_of_a_fixed_model_has_one_image_a_vector(fixed, tmp_path):
    kit = write_kit(fixed.paths[0], tmp_path / "kit")
    assert {tuple(vector["shape"]) for vector in kit.manifest["vectors"]} == {(1, 1, 48, 48)}
    assert "grey-faces-7" in {vector["name"] for vector in kit.manifest["vectors"]}
