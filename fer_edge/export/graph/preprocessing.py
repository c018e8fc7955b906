"""Pixels in, probabilities out: the reference preprocessing and the softmax in ONNX operators around a network."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fer_edge.export.graph.network import FACES, LOGITS, num_classes

IMAGE = "image"
PROBABILITIES = "probabilities"
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey, ITU-R BT.601, as Pillow's ``L`` and JPEG use them."""

PREFIX = "preprocessing."
"""Starts the name of every value and constant of the preprocessing, which stays in float32 at every precision."""


def with_preprocessing(network: onnx.ModelProto, image_size: int, mean: float, std: float) -> onnx.ModelProto:
    """``network`` (faces to logits) as a model from ``image`` to ``probabilities`` and ``logits``.

    ``image`` is uint8 (batch, height, width, channels) of any size with 1 (grey), 3 (RGB) or 4 (RGBA, alpha dropped)
    channels, all four dimensions named and dynamic. ``mean`` and ``std``: of pixel / 255 over the training faces.
    """
    classes = num_classes(network)
    nodes, constants = _pixels_to_faces(image_size, mean, std)
    graph = helper.make_graph(
        [*nodes, *network.graph.node, helper.make_node("Softmax", [LOGITS], [PROBABILITIES], PROBABILITIES, axis=1)],
        "fer_edge",
        [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["batch", "height", "width", "channels"])],
        [
            helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["batch", classes]),
            helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["batch", classes]),
        ],
        [*constants, *network.graph.initializer],
        value_info=network.graph.value_info,
    )
    return helper.make_model(
        graph, opset_imports=network.opset_import, ir_version=network.ir_version, functions=list(network.functions)
    )


def _pixels_to_faces(image_size: int, mean: float, std: float) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Operators and constants from ``image`` to normalised faces float32 (batch, 1, S, S).

    The resize comes before the luma sum: both are linear, so the answer is the same, and a photo is shrunk before it is
    weighed. One channel broadcasts against the three weights, which sum to 1, and so gives itself: one graph for every
    number of channels, without a branch. The weights take the division by 255 and by ``std`` in, so that a face of the
    network's own size costs few operators: under a twentieth of an INT8 network's time.
    """
    constants: list[onnx.TensorProto] = []

    def constant(name: str, values: object, dtype: type) -> str:
        constants.append(numpy_helper.from_array(np.array(values, dtype), PREFIX + name))
        return PREFIX + name

    def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
        output = output if output == FACES else PREFIX + output
        return helper.make_node(operator, inputs, [output], name=output, **attributes)

    channel_axis = constant("channel_axis", [1], np.int64)
    size = constant("size", [image_size, image_size], np.int64)
    resize = node(
        "Resize",
        [PREFIX + "planes", "", "", PREFIX + "sizes"],
        "resized",
        mode="linear",
        antialias=1,
        coordinate_transformation_mode="half_pixel",
        # Without it onnxruntime differs from Pillow and torch by up to 18 grey levels at the borders.
        exclude_outside=1,
    )
    first, last = constant("first_channel", [0], np.int64), constant("after_blue", [3], np.int64)
    weights = constant("luma_scaled", np.reshape(LUMA, (3, 1)) / (255 * std), np.float32)
    nodes = [
        node("Cast", [IMAGE], "floats", to=TensorProto.FLOAT),
        node("Transpose", [PREFIX + "floats"], "planes", perm=[0, 3, 1, 2]),
        # All four sizes rather than two and ``axes``: moving the transpose of an 8-bit model behind the resize,
        # onnxruntime 1.28 loses the sizes of the short form and refuses the model.
        node("Shape", [PREFIX + "planes"], "batch_and_channels", start=0, end=2),
        node("Concat", [PREFIX + "batch_and_channels", size], "sizes", axis=0),
        resize,  # (N, 1, 3 or 4, S, S)
        # Alpha goes after the resize, where it is a whole small plane: dropping it from each pixel took longer.
        node("Slice", [PREFIX + "resized", first, last, channel_axis], "colours"),  # (N, 1 or 3, S, S)
        # As rows of pixels, which onnxruntime's optimiser leaves in this order. It would move the transpose behind the
        # operators below and so make them broadcast along a last dimension of one, ten times slower.
        node("Reshape", [PREFIX + "colours", constant("rows", [0, 0, -1], np.int64)], "pixels"),  # (N, 1 or 3, S * S)
        node("Mul", [PREFIX + "pixels", weights], "weighed"),  # (N, 3, S * S)
        node("ReduceSum", [PREFIX + "weighed", channel_axis], "grey", keepdims=1),  # (N, 1, S * S)
        node("Sub", [PREFIX + "grey", constant("mean_scaled", mean / std, np.float32)], "normalised"),
        node("Reshape", [PREFIX + "normalised", constant("face", [0, 1, image_size, image_size], np.int64)], FACES),
    ]
    return nodes, constants


def is_raw(model: onnx.ModelProto) -> bool:
    """Whether ``model`` takes normalised faces, not pixels."""
    return [value.name for value in model.graph.input] == [FACES]
