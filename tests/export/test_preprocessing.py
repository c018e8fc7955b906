import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from fer_edge.export.graph.network import export_network
from fer_edge.export.graph.preprocessing import with_preprocessing
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.runtime.images import face_pixels
from fer_edge.training.architectures import build_classifier

MEAN, STD, SIZE = 0.51, 0.25, 48
SHAPES = [(48, 48), (480, 640), (37, 29), (7, 300), (1, 1), (100, 48)]


@pytest.fixture(scope="module")
def reference() -> PixelsToProbabilities:
    torch.manual_seed(0)
    return PixelsToProbabilities(build_classifier("tiny").eval(), SIZE, MEAN, STD).eval()


@pytest.fixture(scope="module")
def graph(reference) -> onnx.ModelProto:
    return with_preprocessing(export_network(reference.classifier, SIZE), SIZE, MEAN, STD)


@pytest.fixture(scope="module")
def faces_session(graph) -> onnxruntime.InferenceSession:
    """The graph with the normalised faces as one more output."""
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    model.graph.output.append(
        onnx.helper.make_tensor_value_info("faces", onnx.TensorProto.FLOAT, ["batch", 1, SIZE, SIZE])
    )
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def grey_levels(faces: np.ndarray) -> np.ndarray:
    return (faces * STD + MEAN) * 255


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_graph_prepares_faces_as_the_reference_does(faces_session, reference, shape, channels):
    image = noise(2, *shape, channels)
    (found,) = faces_session.run(["faces"], {"image": image})
    np.testing.assert_allclose(found, reference.faces(torch.from_numpy(image)).numpy(), atol=2e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_grey_images_come_within_one_level_of_pillow(faces_session, shape):
    image = noise(3, *shape, 1)
    (found,) = faces_session.run(["faces"], {"image": image})
    expected = np.stack([face_pixels(one) for one in image])[:, np.newaxis]
    assert np.abs(grey_levels(found) - expected).max() <= 1.0 + 1e-3


@pytest.mark.parametrize("shape", SHAPES)
def test_colour_images_come_within_pillows_own_rounding(faces_session, shape):
    # Pillow rounds three times (luma, rows, columns), each by at most half a level; this graph never rounds.
    image = noise(3, *shape, 3)
    (found,) = faces_session.run(["faces"], {"image": image})
    expected = np.stack([face_pixels(one) for one in image])[:, np.newaxis]
    difference = np.abs(grey_levels(found) - expected)
    assert difference.max() <= 1.5
    assert np.mean(difference <= 1.0) > 0.98


def test_a_training_face_passes_unchanged(faces_session):
    image = noise(1, 48, 48, 1)
    (found,) = faces_session.run(["faces"], {"image": image})
    np.testing.assert_allclose(grey_levels(found)[0, 0], image[0, :, :, 0], atol=1e-3)


def test_alpha_is_dropped_and_grey_equals_three_equal_channels(faces_session):
    colour = noise(1, 60, 50, 4)
    opaque = faces_session.run(["faces"], {"image": colour[..., :3]})[0]
    np.testing.assert_array_equal(faces_session.run(["faces"], {"image": colour})[0], opaque)
    grey = noise(1, 60, 50, 1)
    np.testing.assert_allclose(
        faces_session.run(["faces"], {"image": grey})[0],
        faces_session.run(["faces"], {"image": np.repeat(grey, 3, axis=3)})[0],
        atol=1e-5,
    )


def test_two_channels_are_refused_rather_than_guessed_at(faces_session):
    with pytest.raises(Exception, match=r"preprocessing\.weighed"):
        faces_session.run(["faces"], {"image": noise(1, 48, 48, 2)})


def test_input_is_dynamic_and_named_in_every_dimension(graph):
    (image,) = graph.graph.input
    assert image.name == "image"
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [d.dim_param for d in image.type.tensor_type.shape.dim] == ["batch", "height", "width", "channels"]
    assert [output.name for output in graph.graph.output] == ["probabilities", "logits"]


def test_only_standard_operators_without_control_flow(graph):
    onnx.checker.check_model(graph, full_check=True)
    assert {node.domain for node in graph.graph.node} == {""}
    assert not {"If", "Loop", "Scan"} & {node.op_type for node in graph.graph.node}
    (resize,) = [node for node in graph.graph.node if node.op_type == "Resize"]
    assert {attribute.name: attribute.i for attribute in resize.attribute}["antialias"] == 1


def test_probabilities_are_the_softmax_of_the_logits(graph):
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    probabilities, logits = session.run(None, {"image": noise(5, 90, 70, 3)})
    np.testing.assert_allclose(probabilities, torch.softmax(torch.from_numpy(logits), dim=1).numpy(), atol=1e-6)
    assert probabilities.shape == (5, 7)
