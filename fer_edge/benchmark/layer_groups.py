"""Which layers of a graph a runtime's nodes are made of.

OpenVINO tells. Of onnxruntime's nodes the names do: its optimiser (onnxruntime/core/optimizer) keeps a layer's name or
adds to it. What it merged bears the name of one of its layers; operators, and who reads whom, tell the others.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fer_edge.backends.contract import NodeTime
from fer_edge.export.graph.layer_costs import Layer, merged

_ADDED = re.compile(
    r"^(?:fused |InsertedPrecisionFreeCast_)|(?:_nchwc|_token_\d+|/WithoutBiases|/DequantizationMultiply)$"
)
"""What optimisers put around the name of a layer."""
_OTHER_NAMES = {
    **{"QLinearConv": "Conv", "FusedConv": "Conv", "NhwcFusedConv": "Conv", "QGemm": "Gemm", "FusedGemm": "Gemm"},
    **{"QLinearMatMul": "MatMul", "FusedMatMul": "MatMul", "QLinearAdd": "Add", "QLinearMul": "Mul"},
    **{"QLinearGlobalAveragePool": "GlobalAveragePool", "QLinearAveragePool": "AveragePool"},
    "QLinearSoftmax": "Softmax",
}
"""Of an operator, for its 8-bit or merged forms."""


@dataclass(frozen=True)
class TimedLayer:
    """A node that a runtime runs, and the layers of the graph that it is."""

    node: NodeTime
    layers: tuple[str, ...]
    """Names, that with the most work first; empty for a node that the runtime added."""
    cost: Layer | None
    """Of these layers together; None where there are none."""


def timed_layers(nodes: Sequence[NodeTime], layers: Sequence[Layer]) -> list[TimedLayer]:
    """Each node with its layers. A layer that no node is named after belongs to the node that made what it reads."""
    by_name: dict[str, list[int]] = {}
    for place, one in enumerate(layers):
        for name in filter(None, dict.fromkeys((one.other_name, one.name))):
            by_name.setdefault(name, []).append(place)
    owner: dict[int, int] = {}
    for number, node in enumerate(nodes):
        # Its whole name first: a layer's own name may end like what optimisers add.
        for name in dict.fromkeys((node.name, layer_name(node.name), *node.layers, *map(layer_name, node.layers))):
            for place in by_name.get(name, ()):
                owner.setdefault(place, number)
    makers = {value: place for place, one in enumerate(layers) for value in one.writes}
    for place, number in list(owner.items()):
        _take_merged_before(place, nodes[number], layers, makers, owner)
    _take_merged_after(layers, makers, owner)
    return [_timed(number, node, layers, owner) for number, node in enumerate(nodes)]


def layer_name(node: str) -> str:
    """The layer that a runtime's node is named after."""
    while (shorter := _ADDED.sub("", node)) != node:
        node = shorter
    return node


def _take_merged_before(
    place: int, node: NodeTime, layers: Sequence[Layer], makers: Mapping[str, int], owner: dict[int, int]
) -> None:
    """A convolution that is named after the activation that was merged into it: go back to where its operator is."""
    operator = _OTHER_NAMES.get(node.operator, node.operator)
    if node.layers or layers[place].operator == operator:
        return
    path, at = [], place
    while layers[at].operator != operator:
        free = [makers[value] for value in layers[at].reads if value in makers and makers[value] not in owner]
        if not free:
            return
        at = max(free)
        path.append(at)
    owner.update(dict.fromkeys(path, owner[place]))


def _take_merged_after(layers: Sequence[Layer], makers: Mapping[str, int], owner: dict[int, int]) -> None:
    """Layers without a node of their own, in the graph's order: to the node that is the last to make what they read."""
    for place, layer in enumerate(layers):
        if place in owner or not layer.bytes_moved:
            continue
        sources = [owner[makers[value]] for value in layer.reads if makers.get(value) in owner]
        if sources:
            owner[place] = max(sources)
    for place in reversed(range(len(layers))):  # at the graph's beginning: to the node that reads what they make
        if place not in owner and layers[place].bytes_moved:
            readers = [
                owner[other]
                for other, one in enumerate(layers)
                if other in owner and set(one.reads) & set(layers[place].writes)
            ]
            if readers:
                owner[place] = min(readers)


def _timed(number: int, node: NodeTime, layers: Sequence[Layer], owner: Mapping[int, int]) -> TimedLayer:
    own = [one for place, one in enumerate(layers) if owner.get(place) == number]
    outside = {value for place, one in enumerate(layers) if owner.get(place) != number for value in one.reads}
    cost = merged(own, node.name, outside) if own else None
    heaviest_first = sorted(own, key=lambda one: (-one.multiply_adds, -one.bytes_moved))
    return TimedLayer(node, tuple(one.name for one in heaviest_first), cost)
