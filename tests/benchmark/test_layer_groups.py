"""Which layers a runtime's nodes are, by names that onnxruntime and OpenVINO gave them."""

import pytest

from fer_edge.backends.contract import NodeTime
from fer_edge.benchmark.layer_groups import layer_name, timed_layers
from fer_edge.export.graph.layer_costs import Layer


def layer(name, operator, reads, writes, products=0, weights=0):
    return Layer(
        name, operator, "fp32", products, {f"{name}.w": weights}, dict.fromkeys(reads, 8), dict.fromkeys(writes, 8)
    )


CHAIN = [
    layer("conv1", "Conv", ["x"], ["c1"], 100, 40),
    layer("relu1", "Relu", ["c1"], ["r1"]),
    layer("conv2", "Conv", ["r1"], ["c2"], 200, 80),
    layer("add", "Add", ["c2", "r1"], ["a"]),
    layer("relu2", "Relu", ["a"], ["r2"]),
    layer("logits", "Gemm", ["r2"], ["y"], 10, 4),
]


@pytest.mark.parametrize(
    ("node", "name"),
    [
        ("network.relu_nchwc", "network.relu"),
        ("network.bn1_token_12", "network.bn1"),
        ("InsertedPrecisionFreeCast_network.bn1_nchwc", "network.bn1"),
        ("fused network.bn1", "network.bn1"),
        ("network.bn1/WithoutBiases", "network.bn1"),
        ("logits/WithoutBiases/DequantizationMultiply", "logits"),
        ("network.relu:2", "network.relu:2"),
    ],
)
def test_layer_that_a_node_is_named_after(node, name):
    assert layer_name(node) == name


def test_convolutions_with_what_onnxruntime_merged_into_them():
    """The first is named after its activation, the second took in the sum and the activation behind it."""
    nodes = [
        NodeTime("relu1_nchwc", "Conv", "fp32", 1.0),
        NodeTime("conv2_nchwc", "Conv", "fp32", 2.0),
        NodeTime("ReorderOutput", "ReorderOutput", "fp32", 0.1, num_bytes=16),
        NodeTime("logits", "Gemm", "fp32", 0.5),
    ]
    first, second, added, last = timed_layers(nodes, CHAIN)
    assert first.layers == ("conv1", "relu1")
    assert first.cost.multiply_adds == 100
    assert (first.cost.reads, first.cost.writes) == ({"x": 8}, {"r1": 8})
    assert second.layers == ("conv2", "add", "relu2")
    assert (second.cost.reads, second.cost.writes) == ({"r1": 8}, {"r2": 8})
    assert (added.layers, added.cost) == ((), None)
    assert last.layers == ("logits",)
    assert sum(one.cost.multiply_adds for one in (first, second, last)) == 310  # each counted once


def test_layers_that_openvino_names():
    nodes = [
        NodeTime("conv1/WithoutBiases", "Convolution", "fp32", 1.0, ("conv1/WithoutBiases", "conv1", "relu1")),
        NodeTime("conv2/WithoutBiases", "Convolution", "fp32", 2.0, ("conv2", "add", "relu2")),
        NodeTime("logits", "FullyConnected", "fp32", 0.5, ("logits",)),
    ]
    assert [one.layers for one in timed_layers(nodes, CHAIN)] == [
        ("conv1", "relu1"),
        ("conv2", "add", "relu2"),
        ("logits",),
    ]


def test_merged_operator_of_an_ort_file_is_found_by_the_name_that_it_had_there():
    layers = [
        Layer("r_before", "Conv", "fp32", 5, {}, {"x": 8}, {"c": 8}, "conv"),
        Layer("r", "Relu", "fp32", 0, {}, {"c": 8}, {"r": 8}, "conv"),
    ]
    (one,) = timed_layers([NodeTime("conv", "FusedConv", "fp32", 1.0)], layers)
    assert one.layers == ("r_before", "r")


def test_layers_at_the_beginning_go_to_who_reads_them():
    (one,) = timed_layers([NodeTime("conv2", "Conv", "fp32", 1.0)], CHAIN[:3])
    assert set(one.layers) == {"conv1", "relu1", "conv2"}
