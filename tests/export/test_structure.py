"""The graph of a model is its checkpoint's, operator by operator: sound ones pass, and every planted fault is found.

The faults are those that answers to sample images let through: wrong only at one batch or size, for one kind of image,
or by less than 8 bits make of an answer anyway.
"""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fer_edge.export.graph.model import assembled
from fer_edge.export.graph.network import export_network
from fer_edge.export.parity.structure import structure_failures
from fer_edge.export.quantization.calibration import calibrate, network_input
from fer_edge.export.quantization.search import Recipe, quantise
from fer_edge.export.quantization.targets import INT8_SYMMETRIC, UINT8, UINT8_SYMMETRIC

Fault = Callable[[onnx.ModelProto], None]


@pytest.fixture(scope="module")
def network(tiny_run) -> onnx.ModelProto:
    return export_network(tiny_run.reference.classifier, tiny_run.reference.image_size)


@pytest.fixture(scope="module")
def calibration(tiny_run, network):
    reference = tiny_run.reference
    return calibrate(network, network_input(tiny_run.faces.train.faces[:96], reference.mean, reference.std), "MinMax")


@pytest.fixture(scope="module")
def sound(tiny_run, network, calibration) -> dict[str, onnx.ModelProto]:
    """The model in float32 and in 8 bits."""
    of_7_bits = quantise(network, calibration, Recipe("MinMax", UINT8, True))
    return {
        "fp32": assembled(network, tiny_run.reference, precision="fp32", raw=False),
        "int8": assembled(of_7_bits, tiny_run.reference, precision="int8", raw=False),
    }


def constant(model: onnx.ModelProto, name: str) -> np.ndarray:
    return numpy_helper.to_array(next(one for one in model.graph.initializer if one.name == name)).copy()


def change(model: onnx.ModelProto, name: str, values: np.ndarray) -> None:
    (tensor,) = (one for one in model.graph.initializer if one.name == name)
    tensor.CopyFrom(numpy_helper.from_array(values.astype(numpy_helper.to_array(tensor).dtype), name))


def add_constant(model: onnx.ModelProto, name: str, values: object, dtype: type) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.array(values, dtype), name))
    return name


def after_logits(model: onnx.ModelProto, *nodes: onnx.NodeProto) -> None:
    """Put ``nodes`` (from "before" to "logits") between the network and its output."""
    (last,) = (node for node in model.graph.node if "logits" in node.output)
    last.output[0] = "before"
    model.graph.node.extend(nodes)


def node_of(model: onnx.ModelProto, kind: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == kind)


def weight_of(model: onnx.ModelProto, end: str = "") -> str:
    """A convolution's weight, or what belongs to it by the end of its name."""
    names = [one.name for one in model.graph.initializer if len(one.dims) == 4]
    stem = names[-1].removesuffix("_quantized")
    return next(one.name for one in model.graph.initializer if one.name in (stem + end, f"{stem}{end}_quantized"))


def wrong_where(dimension: int, operator: str, value: int) -> Fault:
    """Logits reversed where a dimension of the image is so."""

    def plant(model: onnx.ModelProto) -> None:
        classes = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
        order = add_constant(model, "order", np.arange(classes)[::-1], np.int64)
        at = add_constant(model, "at", dimension, np.int64)
        limit = add_constant(model, "limit", value, np.int64)
        after_logits(
            model,
            helper.make_node("Shape", ["image"], ["shape"]),
            helper.make_node("Gather", ["shape", at], ["side"]),
            helper.make_node(operator, ["side", limit], ["is_wrong"]),
            helper.make_node("Gather", ["before", order], ["reversed"], axis=1),
            helper.make_node("Where", ["is_wrong", "reversed", "before"], ["logits"]),
        )

    return plant


def scaled_logits(factor: float) -> Fault:
    return lambda model: after_logits(
        model, helper.make_node("Mul", ["before", add_constant(model, "factor", factor, np.float32)], ["logits"])
    )


def shifted_class(model: onnx.ModelProto) -> None:
    shift = add_constant(model, "shift", [1, 0, 0, 0, 0, 0, 0], np.float32)
    after_logits(model, helper.make_node("Add", ["before", shift], ["logits"]))


def scaled_constant(name: str, factor: float) -> Fault:
    return lambda model: change(model, name, constant(model, name) * factor)


def reversed_colours(model: onnx.ModelProto) -> None:
    name = "preprocessing.luma_scaled"
    change(model, name, constant(model, name)[::-1])


def other_resize(**attributes: object) -> Fault:
    def plant(model: onnx.ModelProto) -> None:
        resize = node_of(model, "Resize")
        kept = [one for one in resize.attribute if one.name not in attributes]
        del resize.attribute[:]
        resize.attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in attributes.items())])

    return plant


def changed_weight(change_values: Callable[[np.ndarray], None], end: str = "") -> Fault:
    def plant(model: onnx.ModelProto) -> None:
        name = weight_of(model, end)
        values = constant(model, name)
        change_values(values)
        change(model, name, values)

    return plant


def flip_largest(values: np.ndarray) -> None:
    values.flat[np.abs(values).argmax()] *= -1


def zero_a_quarter(values: np.ndarray) -> None:
    values[: len(values) // 4] = 0


def swap_first_two(values: np.ndarray) -> None:
    values[[0, 1]] = values[[1, 0]]


def stretched_steps(model: onnx.ModelProto) -> None:
    name = weight_of(model, "_scale")
    change(model, name, constant(model, name) * 1.5)


def coarse_steps(model: onnx.ModelProto) -> None:
    """All weights rounded to zero, which is within half of a very large step."""
    scale, weights = weight_of(model, "_scale"), weight_of(model)
    change(model, scale, constant(model, scale) * 1000)
    change(model, weights, constant(model, weights) * 0)


def coarse_bias_steps(model: onnx.ModelProto) -> None:
    scale, bias = weight_of(model, "_bias_quantized_scale"), weight_of(model, "_bias")
    change(model, scale, constant(model, scale) * 1e9)
    change(model, bias, constant(model, bias) * 0)


def restored_with_another_scale(model: onnx.ModelProto) -> None:
    outputs = {value for node in model.graph.node if node.op_type == "QuantizeLinear" for value in node.output}
    restore = next(node for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[0] in outputs)
    other = add_constant(model, "other_scale", constant(model, restore.input[1]) * 1.1, np.float32)
    restore.input[1] = other


def no_relu_any_more(model: onnx.ModelProto) -> None:
    """Rounding that lets negative values through, where it was to stand for ReLU."""
    for name in {node.input[2] for node in model.graph.node if node.op_type == "QuantizeLinear"}:
        change(model, name, np.maximum(constant(model, name), 20))


def more_logits(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("faces", TensorProto.FLOAT, None))


ANYWHERE: dict[str, Fault] = {
    "wrong at batch 2 alone": wrong_where(0, "Equal", 2),
    "wrong at batch 7 alone": wrong_where(0, "Equal", 7),
    "wrong above batch 64": wrong_where(0, "Greater", 64),
    "wrong at width 224 alone": wrong_where(2, "Equal", 224),
    "wrong above width 640": wrong_where(2, "Greater", 640),
    "wrong for four channels": wrong_where(3, "Equal", 4),
    "logits x0.7": scaled_logits(0.7),
    "logits x1.5": scaled_logits(1.5),
    "a class shifted by 1": shifted_class,
    "mean off by a tenth": scaled_constant("preprocessing.mean_scaled", 1.1),
    "std off by a tenth": scaled_constant("preprocessing.luma_scaled", 1.1),
    "red and blue swapped": reversed_colours,
    "aligned corners": other_resize(coordinate_transformation_mode="align_corners"),
    "no antialias": other_resize(antialias=0),
    "nearest pixels": other_resize(mode="nearest"),
    "a weight's sign flipped": changed_weight(flip_largest),
    "a quarter of the channels zeroed": changed_weight(zero_a_quarter),
    "biases swapped": changed_weight(swap_first_two, "_bias"),
    "another output": more_logits,
}
IN_8_BITS: dict[str, Fault] = {
    "a weight scale x1.5": stretched_steps,
    "weights in coarse steps": coarse_steps,
    "biases in coarse steps": coarse_bias_steps,
    "restored with another scale": restored_with_another_scale,
    "no ReLU any more": no_relu_any_more,
}


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
