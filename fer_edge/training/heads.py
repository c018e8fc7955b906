"""The heads of a network: what each learns and which classes it tells apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fer_edge.errors import CheckpointError, TrainingError
from fer_edge.labels import BUILT_IN, FER2013, FERPLUS, LabelSet
from fer_edge.training.plain_types import shown, typed


@dataclass(frozen=True)
class Head:
    """One part of the last layer's outputs."""

    name: str
    """'labels' (one hard label a face) or 'votes' (a distribution over FER+'s emotions)."""
    label_set: LabelSet = FER2013

    def to_dict(self) -> dict[str, Any]:
        """Plain types for checkpoints; ``heads_from`` reads them back."""
        return {"name": self.name, "label_set": self.label_set.to_dict()}


LABELS_ALONE: tuple[Head, ...] = (Head("labels"),)
"""What a network has had before there were heads."""


def heads_from(values: Any) -> tuple[Head, ...]:
    """The heads of a checkpoint, from a list of what ``to_dict`` gave. Raises CheckpointError or UsageError."""
    if not isinstance(values, list) or not values:
        raise CheckpointError(f"heads: expected a list of heads, found {shown(values)}")
    heads = []
    for value in values:
        written = typed(value, _WrittenHead, required=("name", "label_set"))
        names = typed(written.label_set, _WrittenLabels, required=("names", "name", "aliases", "dataset"))
        heads.append(Head(written.name, LabelSet(**{**names.__dict__, "names": tuple(names.names)})))
        if names.name in BUILT_IN and heads[-1].label_set != BUILT_IN[names.name]:
            raise CheckpointError(f"heads: expected the labels of {names.name} in their order, found others")
    return tuple(heads)


@dataclass(frozen=True)
class _WrittenHead:
    name: str
    label_set: dict[str, Any]


@dataclass(frozen=True)
class _WrittenLabels:
    names: list[str]
    name: str
    aliases: dict[str, str]
    dataset: str


def heads_of(names: str, labels: LabelSet) -> tuple[Head, ...]:
    """The heads that the setting ``names`` means, the main one first; ``labels`` are those of the data."""
    return tuple(Head(name, FERPLUS if name == "votes" else labels) for name in names.split(","))


def sizes_of(heads: Sequence[Head]) -> tuple[int, ...]:
    """How many outputs each head has."""
    return tuple(len(head.label_set) for head in heads)


def columns_of(heads: Sequence[Head]) -> tuple[slice, ...]:
    """Which of all outputs are each head's."""
    ends = [sum(sizes_of(heads)[: place + 1]) for place in range(len(heads))]
    return tuple(slice(end - size, end) for end, size in zip(ends, sizes_of(heads), strict=True))


def in_words(heads: Sequence[Head]) -> str:
    """For messages: 'labels (7 classes) and votes (8 classes)'."""
    return " and ".join(f"{head.name} ({len(head.label_set)} classes)" for head in heads)


def output_layers(network: nn.Module, num_outputs: int) -> list[str]:
    """Names of the layers that make the outputs, those of auxiliary heads included.

    No hidden layer of the architectures is as narrow as a last one may be wide.
    """
    found = [n for n, m in network.named_modules() if isinstance(m, nn.Linear) and m.out_features == num_outputs]
    if not found:
        raise TrainingError(f"expected a last layer of {num_outputs} outputs in {type(network).__name__}, found none")
    return found


def with_new_outputs(state: dict[str, Tensor], network: nn.Module, num_outputs: int) -> dict[str, Tensor]:
    """``state`` of trained weights with the output layers of ``network`` in place of its own, for other heads."""
    layers = output_layers(network, num_outputs)
    fresh = {key: value for key, value in network.state_dict().items() if key.rpartition(".")[0] in layers}
    return {**state, **fresh}


def keep_main_head(network: nn.Module, sizes: Sequence[int]) -> None:
    """Cut the output layers of ``network`` down to the first head's outputs, in place."""
    for name in output_layers(network, sum(sizes)):
        whole = network.get_submodule(name)
        assert isinstance(whole, nn.Linear)
        main = nn.Linear(whole.in_features, sizes[0], bias=whole.bias is not None)
        with torch.no_grad():
            main.weight.copy_(whole.weight[: sizes[0]])
            if whole.bias is not None:
                main.bias.copy_(whole.bias[: sizes[0]])
        network.set_submodule(name, main.to(whole.weight.device))
