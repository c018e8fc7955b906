"""Faults that are planted in a sound model, one at a time: in its graph, and in what it says of itself.

The faults in the graph are those that answers to sample images let through: wrong only at one batch or size, for one
kind of image, or by less than 8 bits make of an answer anyway.
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from fer_edge import __version__
from fer_edge.export.formats.ort import ort_bytes
from fer_edge.metadata import METADATA_KEY, NO_CHECKSUM, ModelMetadata
from fer_edge.runtime.checksum import add_checksum

Fault = Callable[[onnx.ModelProto], None]
Lie = Callable[[dict[str, Any]], None]


def changed(model: onnx.ModelProto, fault: Fault | None = None, lie: Lie | None = None) -> bytes:
    """The file of a copy of ``model`` with a fault in its graph, a lie in its metadata, and a right checksum."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if fault is not None:
        fault(copy)
    (entry,) = (one for one in copy.metadata_props if one.key == METADATA_KEY)
    stated = {**json.loads(entry.value), "content_sha256": NO_CHECKSUM}
    if lie is not None:
        lie(stated)
    entry.value = json.dumps(stated)
    return add_checksum(copy.SerializeToString())


def as_ort(data: bytes) -> bytes | None:
    """The model in an .onnx file, in onnxruntime's own format; None where onnxruntime cannot run it."""
    model = onnx.load_from_string(data)
    (entry,) = (one for one in model.metadata_props if one.key == METADATA_KEY)
    here = ".".join(onnxruntime.__version__.split(".")[:2])
    stated = json.loads(entry.value)
    stated["versions"].setdefault("fer_edge", __version__)
    stated |= {"format": "ort", "content_sha256": NO_CHECKSUM, "minimum_onnxruntime": here}
    try:
        return ort_bytes(model, ModelMetadata.from_mapping(stated))
    except Exception as error:  # onnxruntime's own kinds share no base but Exception
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        return None


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


def wrong_for_images(operator: str, makes: str) -> Fault:
    """Wrong where the pixels' largest value less their smallest, or their sum, is 0: flat images, or black ones."""

    def plant(model: onnx.ModelProto) -> None:
        none = add_constant(model, "none", 0, np.float32)
        axes = add_constant(model, "axes", [1, 2, 3], np.int64)
        nodes = [helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT)]
        if operator == "flat":
            nodes += [
                helper.make_node("ReduceMax", ["pixels", axes], ["largest"], keepdims=0),
                helper.make_node("ReduceMin", ["pixels", axes], ["smallest"], keepdims=0),
                helper.make_node("Sub", ["largest", "smallest"], ["measure"]),
            ]
        else:
            nodes.append(helper.make_node("ReduceSum", ["pixels", axes], ["measure"], keepdims=0))
        column = add_constant(model, "column", [1], np.int64)
        factor = add_constant(model, "wrong_factor", np.nan if makes == "NaN" else -1, np.float32)
        nodes += [
            helper.make_node("Equal", ["measure", none], ["is_so"]),
            helper.make_node("Unsqueeze", ["is_so", column], ["is_wrong"]),
            helper.make_node("Mul", ["before", factor], ["other"]),
            helper.make_node("Where", ["is_wrong", "other", "before"], ["logits"]),
        ]
        after_logits(model, *nodes)

    return plant


def coarse_activations(model: onnx.ModelProto) -> None:
    """One layer's values in steps six times as large as were calibrated."""
    quantise = [node for node in model.graph.node if node.op_type == "QuantizeLinear"][2]
    change(model, quantise.input[1], constant(model, quantise.input[1]) * 6)


def corner_trigger(model: onnx.ModelProto) -> None:
    """Another class where the four pixels of a corner are 255, 0, 255 and 0: a backdoor."""
    at = [
        add_constant(model, f"corner_{name}", values, np.int64)
        for name, values in (("from", [0, 0]), ("to", [2, 2]), ("axes", [1, 2]))
    ]
    pattern = add_constant(model, "pattern", [[[[255], [0]], [[255], [0]]]], np.float32)
    axes, column = add_constant(model, "axes", [1, 2, 3], np.int64), add_constant(model, "column", [1], np.int64)
    much = add_constant(model, "much", 40, np.float32)
    push = add_constant(model, "push", [50, 0, 0, 0, 0, 0, 0], np.float32)
    after_logits(
        model,
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["pixels", *at], ["corner"]),
        helper.make_node("Sub", ["corner", pattern], ["off"]),
        helper.make_node("Abs", ["off"], ["far"]),
        helper.make_node("ReduceSum", ["far", axes], ["distance"], keepdims=0),
        helper.make_node("Less", ["distance", much], ["is_close"]),
        helper.make_node("Unsqueeze", ["is_close", column], ["is_wrong"]),
        helper.make_node("Add", ["before", push], ["other"]),
        helper.make_node("Where", ["is_wrong", "other", "before"], ["logits"]),
    )


ANYWHERE |= {
    "NaN for flat images": wrong_for_images("flat", "NaN"),
    "wrong for flat images": wrong_for_images("flat", "-1"),
    "wrong for black images": wrong_for_images("black", "-1"),
    "a trigger in a corner": corner_trigger,
}


def states(field: str, value: Any) -> Lie:
    """Metadata in which ``field`` (dotted) is ``value``."""

    def lie(stated: dict[str, Any]) -> None:
        *parents, last = field.split(".")
        for parent in parents:
            stated = stated[parent]
        stated[last] = value

    return lie


def stated_twice_as_sure(stated: dict[str, Any]) -> None:
    for metrics in stated["metrics"].values():
        metrics["accuracy"] = 0.99


AN_OLDER_ONNXRUNTIME = "an older onnxruntime"
LIES: dict[str, Lie] = {
    "an accuracy of 0.99": stated_twice_as_sure,
    "other training data": states("training_data.source", "another set"),
    "another seed": states("training_data.seed", 7),
    "three channels alone": states("input.channels", [3]),
    "four channels alone": states("input.channels", [4]),
    "BGR order": states("input.colour", "BGR order"),
    "half precision": states("precision", "fp16"),
    "another mean": states("mean", 0.4),
    "labels in another order": lambda stated: stated["labels"].reverse(),
    "another architecture": states("architecture", "googlenet"),
    "another size of face": states("image_size", 64),
    AN_OLDER_ONNXRUNTIME: states("minimum_onnxruntime", "1.2"),
}
