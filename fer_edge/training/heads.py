"""The heads of a network: what each learns and which classes it tells apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fer_edge.errors import CheckpointError, TrainingError
from fer_edge.labels import BUILT_IN, FER2013, FERPLUS, LabelSet
from fer_edge.text import listed
from fer_edge.training.plain_types import shown, typed

_MOST_NAMED = 10


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


Places = tuple[int | None, ...]
"""For each output of a network the output of an earlier one that it goes on from, None for one that begins anew."""


def shared_outputs(found: Sequence[Head], wanted: Sequence[Head]) -> Places:
    """Which outputs of a network with the heads ``found`` those of one with ``wanted`` go on from.

    A head goes on from the one of its name, else from the main one; a class from the one of its name or alias.
    """
    places: list[int | None] = []
    columns = dict(zip((head.name for head in found), columns_of(found), strict=True))
    for head in wanted:
        earlier = next((one for one in found if one.name == head.name), found[0])
        start = columns[earlier.name].start
        by_name: dict[str, int] = {}
        for index, name in enumerate(earlier.label_set.names):
            by_name.setdefault(head.label_set.resolve(name) or name, start + index)
        for name in head.label_set.names:
            own = earlier.label_set.resolve(name)
            places.append(by_name.get(name) if own is None else start + earlier.label_set.index(own))
    return tuple(places)


def with_new_outputs(state: dict[str, Tensor], network: nn.Module, places: Places) -> dict[str, Tensor]:
    """``state`` of trained weights for a ``network`` with other heads: its output layers with the rows of the outputs
    that go on, in their new ``places``, and the network's own first ones where an output begins anew."""
    layers = output_layers(network, len(places))
    outputs = {key: value.clone() for key, value in network.state_dict().items() if key.rpartition(".")[0] in layers}
    for key, rows in outputs.items():
        for place, earlier in enumerate(places):
            if earlier is not None:
                rows[place] = state[key][earlier]
    return {**state, **outputs}


def outputs_in_words(found: Sequence[Head], wanted: Sequence[Head], places: Places) -> str:
    """What became of the outputs, for people: which classes' are kept, which begin anew."""
    names = [name for head in wanted for name in head.label_set.names]
    kept = [name for name, place in zip(names, places, strict=True) if place is not None]
    fresh = [name for name, place in zip(names, places, strict=True) if place is None]
    if not kept:
        return f"the last layer begins anew: {in_words(wanted)} in place of {in_words(found)}"
    if not fresh:
        return f"the outputs of all its classes are kept: {in_words(wanted)} in place of {in_words(found)}"
    return f"the outputs of {listed(kept, _MOST_NAMED)} are kept, those of {listed(fresh, _MOST_NAMED)} begin anew"


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
