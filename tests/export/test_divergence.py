import numpy as np
import onnx
import pytest

from fer_edge.errors import ModelError
from fer_edge.export.graph.float16 import halve
from fer_edge.export.graph.network import export_network
from fer_edge.export.graph.preprocessing import with_preprocessing
from fer_edge.export.parity.divergence import (
    compare_layers,
    first_divergence,
    layer_images,
    layer_noise,
    onnx_layer_values,
)
from fer_edge.export.parity.weights import weight_errors
from fer_edge.export.quantization.calibration import calibrate, network_input
from fer_edge.export.quantization.search import Recipe, quantise
from fer_edge.export.quantization.targets import UINT8


@pytest.fixture(scope="module")
def network(tiny_run) -> onnx.ModelProto:
    return export_network(tiny_run.reference.classifier, tiny_run.reference.image_size)


@pytest.fixture(scope="module")
def image(tiny_run) -> np.ndarray:
    return tiny_run.faces.validation.faces[:16, :, :, np.newaxis]


@pytest.fixture(scope="module")
def int8_network(network, tiny_run) -> onnx.ModelProto:
    reference = tiny_run.reference
    inputs = network_input(tiny_run.faces.train.faces[:96], reference.mean, reference.std)
    return quantise(network, calibrate(network, inputs, "MinMax"), Recipe("MinMax", UINT8, False))


def pixels(tiny_run, network: onnx.ModelProto) -> onnx.ModelProto:
    reference = tiny_run.reference
    return with_preprocessing(network, reference.image_size, reference.mean, reference.std)


def compared(tiny_run, network: onnx.ModelProto, model: onnx.ModelProto, precision: str, *images, measured_db=None):
    errors = weight_errors(network, model)
    values_of = onnx_layer_values(model)
    return compare_layers(tiny_run.reference, values_of, precision, *images, of_weights=errors, measured_db=measured_db)


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def names_before(layers, name: str) -> list[str]:
    names = [layer.name for layer in layers]
    return names[: names.index(name)]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_sound_models_part_nowhere(tiny_run, network, int8_network, image, precision):
    model = {"fp32": network, "fp16": halve(network), "int8": int8_network}[precision]
    layers = compared(tiny_run, network, pixels(tiny_run, model), precision, image)
    assert first_divergence(layers) is None
    assert layers[0].name == "faces"
    assert layers[-1].name == "logits"
    assert len(layers) >= 8


def test_a_damaged_weight_is_located(tiny_run, network, image, damage):
    damaged = copy_of(network)
    layer = damage(damaged, by=0.5)
    layers = compared(tiny_run, network, pixels(tiny_run, damaged), "fp32", image)
    parting = first_divergence(layers)
    assert parting is not None
    assert parting.name == layer
    assert all(not found.diverges for found in layers if found.name in names_before(layers, layer))
    assert layers[-1].diverges


def test_a_damaged_raw_model_is_located(tiny_run, network, image, damage):
    damaged = copy_of(network)
    layer = damage(damaged, by=0.5)
    parting = first_divergence(compared(tiny_run, network, damaged, "fp32", image))
    assert parting is not None
    assert parting.name == layer


@pytest.mark.parametrize("change", ["one weight", "a bias"])
def test_a_damaged_int8_weight_is_located(tiny_run, network, int8_network, image, change):
    damaged = copy_of(int8_network)
    convolutions = [node for node in damaged.graph.node if node.op_type == "Conv"]
    layer = convolutions[2]
    dequantise = next(n for n in damaged.graph.node if n.output[0] == layer.input[1 if change == "one weight" else 2])
    name = dequantise.input[0]
    weights = next(tensor for tensor in damaged.graph.initializer if tensor.name == name)
    values = onnx.numpy_helper.to_array(weights).copy()
    values.flat[5] += -3 if values.flat[5] > 0 else 3  # three steps of 255: hardly seen in the layer's output
    weights.CopyFrom(onnx.numpy_helper.from_array(values, name))
    layers = compared(tiny_run, network, pixels(tiny_run, damaged), "int8", image)
    parting = first_divergence(layers)
    assert parting is not None
    assert parting.name == layer.output[0]
    assert parting.weight_error > 1


def test_coarser_steps_than_at_the_export_show_in_the_noise_that_was_measured_then(
    tiny_run, network, int8_network, image
):
    images = layer_images(image[..., 0], (1, 3, 4))
    measured = layer_noise(compared(tiny_run, network, pixels(tiny_run, int8_network), "int8", *images))
    sound = compared(tiny_run, network, pixels(tiny_run, int8_network), "int8", image, measured_db=measured)
    assert first_divergence(sound) is None
    coarse = copy_of(int8_network)
    quantise = [node for node in coarse.graph.node if node.op_type == "QuantizeLinear"][2]
    scale = next(tensor for tensor in coarse.graph.initializer if tensor.name == quantise.input[1])
    scale.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(scale) * np.float32(6), scale.name))
    model = pixels(tiny_run, coarse)
    by_measure = compared(tiny_run, network, model, "int8", *images, measured_db=measured)
    assert first_divergence(by_measure) is not None
    assert first_divergence(by_measure).weight_error <= 1


def test_wrong_preprocessing_is_located_before_any_layer(tiny_run, network, image):
    reference = tiny_run.reference
    wrong = with_preprocessing(network, reference.image_size, reference.mean + 0.1, reference.std)
    parting = first_divergence(compared(tiny_run, network, wrong, "fp32", image))
    assert parting is not None
    assert (parting.name, parting.kind) == ("faces", "preprocessing")


def test_a_model_with_other_names_is_refused(tiny_run, network, image):
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["faces"], ["y"])], "g", [], [])
    with pytest.raises(ModelError, match="expected values named after the checkpoint's layers, found none"):
        compared(tiny_run, network, onnx.helper.make_model(graph), "fp32", image)
