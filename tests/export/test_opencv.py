"""OpenCV's dnn module reads raw models: what docs/deployment/engines.md says of it."""

import numpy as np
import onnx
import onnxruntime
import pytest

from fer_edge.export.graph.model import assembled
from fer_edge.export.graph.network import FACES, LOGITS, export_network
from fer_edge.export.graph.preprocessing import IMAGE
from fer_edge.export.quantization.calibration import calibrate
from fer_edge.export.quantization.search import Recipe, quantise
from fer_edge.export.quantization.targets import PORTABLE

cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is in the extra dev")
pytestmark = pytest.mark.skipif(
    int(cv2.__version__.split(".")[0]) < 5, reason="older OpenCV reads fewer operators; 5.0 is what was tried"
)


@pytest.fixture(scope="module")
def network(tiny_run) -> onnx.ModelProto:
    return export_network(tiny_run.reference.classifier, tiny_run.reference.image_size)


def by_opencv(model: onnx.ModelProto, feed: np.ndarray) -> np.ndarray:
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
    net.setInput(feed)
    return net.forward(LOGITS)


def by_onnxruntime(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([LOGITS], feed)[0]


@pytest.mark.parametrize(
    ("precision", "opset", "tolerance"),
    [("fp32", 7, 1e-5), ("fp32", 11, 1e-5), ("fp32", 18, 1e-5), ("fp16", 7, 0.02), ("int8", 13, 1e-3)],
)
@pytest.mark.parametrize("fixed_shape", [False, True])
def test_it_answers_like_onnxruntime_to_raw_models(network, tiny_run, precision, opset, tolerance, fixed_shape):
    faces = np.random.default_rng(0).normal(size=(8, 1, 48, 48)).astype(np.float32)
    own = network
    if precision == "int8":
        recipe = Recipe("MinMax", PORTABLE.activations[0], PORTABLE.reduce_range)
        own = quantise(network, calibrate(network, faces, "MinMax"), recipe)
    model = assembled(own, tiny_run.reference, precision=precision, raw=True, opset=opset, fixed_shape=fixed_shape)
    expected = by_onnxruntime(model, {FACES: faces[:1]})
    np.testing.assert_allclose(by_opencv(model, faces[:1]), expected, atol=tolerance * np.abs(expected).max())


def test_it_answers_otherwise_to_pixels_that_it_has_to_shrink(network, tiny_run):
    model = assembled(network, tiny_run.reference, precision="fp32", raw=False)
    face = np.random.default_rng(0).integers(0, 256, (1, 120, 110, 3), dtype=np.uint8)
    expected = by_onnxruntime(model, {IMAGE: face})
    # As the page says. Should OpenCV learn to antialias, this fails and the page may say so.
    assert np.abs(by_opencv(model, face) - expected).max() > 0.05 * np.abs(expected).max()
