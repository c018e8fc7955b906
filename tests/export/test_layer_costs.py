"""Multiply-adds and bytes that were counted by hand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fer_edge.errors import ModelError
from fer_edge.export.graph.layer_costs import layer_costs, merged, uncounted

FLOAT, UINT8 = TensorProto.FLOAT, TensorProto.UINT8


def graph(nodes, constants, given, result, *, of=FLOAT, result_of=FLOAT):
    values = {name: numpy_helper.from_array(np.asarray(one), name) for name, one in constants.items()}
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", of, given)],
            [helper.make_tensor_value_info("y", result_of, result)],
            list(values.values()),
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def test_convolution():
    """3 channels of 8x8 to 4 by 3x3 with padding: each of 4*8*8 outputs sums 3*3*3 products."""
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], name="conv", pads=[1, 1, 1, 1])
    constants = {"w": np.zeros((4, 3, 3, 3), np.float32), "b": np.zeros(4, np.float32)}
    (layer,) = layer_costs(graph([node], constants, ["n", 3, 8, 8], ["n", 4, 8, 8]), (2, 3, 8, 8))
    assert (layer.name, layer.operator, layer.precision) == ("conv", "Conv", "fp32")
    assert layer.multiply_adds == 2 * 4 * 8 * 8 * 27
    assert layer.weight_bytes == 4 * (4 * 27 + 4)
    assert layer.activation_bytes == 4 * 2 * (3 * 64 + 4 * 64)
    assert layer.intensity == pytest.approx(13824 / (448 + 3584))


def test_grouped_convolution_with_stride():
    """8 channels in 4 groups to 12, stride 2: each of 12*4*4 outputs sums 2*3*3 products."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=4, strides=[2, 2], pads=[1, 1, 1, 1])
    constants = {"w": np.zeros((12, 2, 3, 3), np.float32)}
    (layer,) = layer_costs(graph([node], constants, [1, 8, 8, 8], [1, 12, 4, 4]), (1, 8, 8, 8))
    assert layer.name == "y"  # it has no name of its own
    assert layer.multiply_adds == 12 * 4 * 4 * 18
    assert layer.weight_bytes == 4 * 12 * 18
    assert layer.activation_bytes == 4 * (8 * 64 + 12 * 16)


@pytest.mark.parametrize(("trans_a", "given"), [(0, (5, 16)), (1, (16, 5))])
def test_gemm(trans_a, given):
    """5 rows of 16 numbers to 7: 5*7*16 products."""
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transA=trans_a, transB=1)
    constants = {"w": np.zeros((7, 16), np.float32), "b": np.zeros(7, np.float32)}
    (layer,) = layer_costs(graph([node], constants, list(given), [5, 7]), given)
    assert layer.multiply_adds == 5 * 7 * 16
    assert layer.weight_bytes == 4 * (7 * 16 + 7)
    assert layer.activation_bytes == 4 * (5 * 16 + 5 * 7)


def test_transposed_convolution_and_matrix_product():
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["t"], strides=[2, 2]),
        helper.make_node("MatMul", ["t", "m"], ["y"]),
    ]
    constants = {"w": np.zeros((2, 3, 2, 2), np.float32), "m": np.zeros((8, 5), np.float32)}
    first, second = layer_costs(graph(nodes, constants, [1, 2, 4, 4], [1, 3, 8, 5]), (1, 2, 4, 4))
    assert first.multiply_adds == 2 * 4 * 4 * (3 * 2 * 2)  # each number read meets 3*2*2 weights
    assert second.multiply_adds == 3 * 8 * 5 * 8


def quantised():
    """x -> quantised -> 1x1 convolution of 8-bit weights, rounded -> read as float."""
    scale, zero = np.float32(0.1), np.uint8(128)
    constants = {
        "s": scale,
        "z": zero,
        "w8": np.zeros((4, 2, 1, 1), np.int8),
        "zw": np.int8(0),
        "b32": np.zeros(4, np.int32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["x8"], name="round"),
        helper.make_node("DequantizeLinear", ["x8", "s", "z"], ["xf"]),
        helper.make_node("DequantizeLinear", ["w8", "s", "zw"], ["wf"]),
        helper.make_node("DequantizeLinear", ["b32", "s"], ["bf"]),
        helper.make_node("Conv", ["xf", "wf", "bf"], ["c"], name="conv"),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["c8"]),
        helper.make_node("DequantizeLinear", ["c8", "s", "z"], ["cf"]),
        helper.make_node("Relu", ["cf"], ["y"], name="relu"),
    ]
    return graph(nodes, constants, [1, 2, 3, 3], [1, 4, 3, 3])


def test_quantised_layers_read_and_write_bytes():
    rounding, convolution, relu = layer_costs(quantised(), (1, 2, 3, 3))
    assert [one.name for one in (rounding, convolution, relu)] == ["round", "conv", "relu"]
    assert (rounding.reads, rounding.writes) == ({"x": 4 * 18}, {"x8": 18})
    assert convolution.precision == "int8"
    assert convolution.multiply_adds == 4 * 9 * 2
    assert convolution.weights == {"w8": 8, "b32": 16}
    assert (convolution.reads, convolution.writes) == ({"x8": 18}, {"c8": 36})
    assert (relu.reads, relu.writes) == ({"c8": 36}, {"y": 4 * 36})


def test_merged_layers_do_not_move_what_is_between_them():
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("Add", ["r", "c"], ["y"], name="add"),
    ]
    constants = {"w": np.zeros((2, 2, 1, 1), np.float32)}
    conv, relu, add = layer_costs(graph(nodes, constants, [1, 2, 3, 3], [1, 2, 3, 3]), (1, 2, 3, 3))
    both = merged([conv, relu], "both", add.reads)
    assert (both.operator, both.multiply_adds) == ("Conv+Relu", conv.multiply_adds)
    assert both.reads == {"x": 72}
    assert both.writes == {"c": 72, "r": 72}  # 'add' reads both
    assert merged([conv, relu, add], "all").writes == {"y": 72}


def test_views_move_nothing_and_are_seen_through():
    nodes = [
        helper.make_node("Reshape", ["x", "to"], ["r"], name="view"),
        helper.make_node("Relu", ["r"], ["y"], name="relu"),
    ]
    view, relu = layer_costs(graph(nodes, {"to": np.array([4, 6])}, [2, 12], [4, 6]), (2, 12))
    assert view.bytes_moved == 0
    assert relu.reads == {"x": 96}


def test_nodes_out_of_order_are_put_in_order():
    nodes = [helper.make_node("Relu", ["c"], ["y"]), helper.make_node("Abs", ["x"], ["c"])]
    layers = layer_costs(graph(nodes, {}, [2, 3], [2, 3]), (2, 3))
    assert [one.operator for one in layers] == ["Abs", "Relu"]


def test_what_has_no_shape_or_no_count_is_told():
    nonzero = helper.make_node("NonZero", ["x"], ["i"])
    cast = helper.make_node("Cast", ["i"], ["y"], to=FLOAT)
    with pytest.raises(ModelError, match="expected shapes that follow from the input's, found none for i"):
        layer_costs(graph([nonzero, cast], {}, [2, 3], [2, "n"]), (2, 3))
    with pytest.raises(ModelError, match="expected an input of 3 dimensions"):
        layer_costs(quantised(), (1, 2, 3))
    einsum = helper.make_node("Einsum", ["x"], ["y"], equation="ij->ji")
    layers = layer_costs(graph([einsum], {}, [2, 3], [3, 2]), (2, 3))
    assert uncounted(layers) == ["Einsum"]


def test_shipped_model_has_the_multiply_adds_of_its_architecture(repository):
    """As torch counts them in the checkpoint, by hooks."""
    torch = pytest.importorskip("torch")
    from fer_edge.export.checkpoint_graphs import load_reference

    reference, info = load_reference(repository / "exported" / "fer-tiny.pt")
    counted = 0

    def count(module, _, output):
        nonlocal counted
        if isinstance(module, torch.nn.Conv2d):
            counted += output.numel() * module.weight[0].numel()
        elif isinstance(module, torch.nn.Linear):
            counted += output.numel() * module.in_features

    for module in reference.classifier.modules():
        module.register_forward_hook(count)
    with torch.inference_mode():
        reference.classifier(torch.zeros(1, 1, info.image_size, info.image_size))
    model = onnx.load(repository / "exported" / "fer-tiny-int8.onnx")
    size = info.image_size
    assert sum(one.multiply_adds for one in layer_costs(model, (1, size, size, 1))) == counted == 35_557_120
