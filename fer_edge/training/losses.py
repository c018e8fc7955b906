"""Losses as components: what each head learns from, chosen by the settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_edge.data.faces import NO_LABEL
from fer_edge.training.config import TrainConfig
from fer_edge.training.heads import Head, columns_of


@dataclass(frozen=True)
class Batch:
    """Faces ready for the network, with their targets."""

    faces: Tensor
    """float32 (N, 1, S, S), normalised."""
    labels: Tensor
    """int64 (N,); NO_LABEL where a face has none."""
    mixed_labels: Tensor | None = None
    """int64 (N,): labels of the faces that mixup blended in, if it did."""
    mix: float = 1.0
    """Weight of ``labels`` in the loss; the rest is for ``mixed_labels``."""
    soft_targets: Tensor | None = None
    """float32 (N, outputs of all heads): the teachers' probabilities at the temperature, if there are teachers."""
    votes: Tensor | None = None
    """float32 (N, 8): each face's distribution of votes, blended already where mixup is on; all 0 without one."""
    majority: Tensor | None = None
    """int64 (N,): what most annotators saw, for validation; NO_MAJORITY where it is undecided."""


class Target(Protocol):
    """What a head learns from the data."""

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean loss () of the head's logits (N, C) over the faces that have such a target."""
        ...

    def hits(self, logits: Tensor, batch: Batch) -> tuple[Tensor, int | Tensor]:
        """How many faces have the largest logit where the target says, and how many have such a target."""
        ...


@dataclass(frozen=True)
class HardLabels:
    """Cross-entropy to one label a face, smoothed and weighted by class where asked for."""

    smoothing: float = 0.0
    class_weights: Tensor | None = None
    """float32 (C,)."""
    some_lack: bool = False
    """Whether any face has no label; then those that have one share the weight."""

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """With mixup, the weighted mean of the losses of both labels."""
        loss = self._cross_entropy(logits, batch.labels)
        if batch.mixed_labels is not None:
            loss = batch.mix * loss + (1 - batch.mix) * self._cross_entropy(logits, batch.mixed_labels)
        return loss

    def hits(self, logits: Tensor, batch: Batch) -> tuple[Tensor, int | Tensor]:
        """Of the labels before mixup."""
        num_faces = (batch.labels != NO_LABEL).sum() if self.some_lack else len(batch.labels)
        return (logits.argmax(dim=1) == batch.labels).sum(), num_faces

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        options = {"weight": self.class_weights, "label_smoothing": self.smoothing}
        if not self.some_lack:
            return F.cross_entropy(logits.float(), labels, **options)  # type: ignore[arg-type]  # torch types each
        summed = F.cross_entropy(logits.float(), labels, **options, ignore_index=NO_LABEL, reduction="none").sum()  # type: ignore[arg-type]
        weights = torch.ones_like(logits[0]) if self.class_weights is None else self.class_weights
        share = weights[labels.clamp_min(0)] * (labels != NO_LABEL)
        return summed / share.sum().clamp_min(1e-12)


@dataclass(frozen=True)
class Votes:
    """Cross-entropy to the distribution of votes (Barsoum et al. 2016, eq. 3); faces without one weigh nothing."""

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean over the faces, each weighing what its row sums to: 1, 0, or a part of it where mixup blended both."""
        assert batch.votes is not None
        summed = -(batch.votes * F.log_softmax(logits.float(), dim=1)).sum()
        return summed / batch.votes.sum().clamp_min(1e-6)

    def hits(self, logits: Tensor, batch: Batch) -> tuple[Tensor, int | Tensor]:
        """Where the largest logit is at the largest part of the votes."""
        assert batch.votes is not None
        has_votes = batch.votes.sum(dim=1) > 0
        return ((logits.argmax(dim=1) == batch.votes.argmax(dim=1)) & has_votes).sum(), has_votes.sum()


@dataclass(frozen=True)
class Distillation:
    """Divergence from the teachers' probabilities (Hinton et al. 2015)."""

    weight: float
    """Of the teachers in the loss; the head's own target has the rest."""
    temperature: float

    def loss(self, logits: Tensor, soft_targets: Tensor) -> Tensor:
        """T^2 times the Kullback-Leibler divergence of softmax(logits / T) from ``soft_targets`` (N, C), mean of faces.

        Dividing by the temperature shrinks the gradient by its square, which is given back.
        """
        student = F.log_softmax(logits.float() / self.temperature, dim=1)  # (N, C)
        return self.temperature**2 * F.kl_div(student, soft_targets, reduction="batchmean")


@dataclass(frozen=True)
class HeadLoss:
    """What one head learns from: its target, and the teachers where there are some."""

    target: Target
    columns: slice | None = None
    """Which of all outputs are this head's; None: all."""
    weight: float = 1.0
    """Of this head in the sum over heads."""
    distillation: Distillation | None = None

    def part_of(self, outputs: Tensor) -> Tensor:
        """This head's columns (N, C) of all outputs."""
        return outputs if self.columns is None else outputs[:, self.columns]

    def __call__(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean loss () from the outputs of all heads (N, K)."""
        logits = self.part_of(outputs)
        loss = self.target.loss(logits, batch)
        if self.distillation is not None and batch.soft_targets is not None:
            part = self.distillation.weight
            loss = (1 - part) * loss + part * self.distillation.loss(logits, self.part_of(batch.soft_targets))
        return loss


@dataclass(frozen=True)
class TrainingLoss:
    """The sum over heads; the first is the main one."""

    heads: tuple[HeadLoss, ...] = (HeadLoss(HardLabels()),)

    def __call__(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean loss () from the outputs of all heads (N, K)."""
        main, *others = self.heads
        loss = main(outputs, batch)
        for head in others:
            loss = loss + head.weight * head(outputs, batch)
        return loss

    def hits(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, int | Tensor]:
        """The main head's hits, and how many faces could be one."""
        return self.heads[0].target.hits(self.heads[0].part_of(outputs), batch)


def training_loss(config: TrainConfig, heads: Sequence[Head], labels: Tensor) -> TrainingLoss:
    """The loss that ``config`` asks for; ``labels`` int64 (N,) are those of all training faces, on the device."""
    some_lack = bool((labels == NO_LABEL).any())
    distillation = Distillation(config.distillation, config.temperature) if config.teacher else None
    parts = []
    for place, (head, columns) in enumerate(zip(heads, columns_of(heads), strict=True)):
        target: Target = Votes()
        if head.name == "labels":
            weights = balanced_class_weights(labels, len(head.label_set)) if config.class_weights else None
            target = HardLabels(config.label_smoothing, weights, some_lack)
        weight = config.second_head_weight if place else 1.0
        parts.append(HeadLoss(target, columns if len(heads) > 1 else None, weight, distillation))
    return TrainingLoss(tuple(parts))


def balanced_class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Weights float32 (C,) that let every class count alike: N / (classes present * its count), 0 if absent."""
    counts = torch.bincount(labels[labels != NO_LABEL], minlength=num_classes).float()
    present = counts > 0
    weights = torch.zeros_like(counts)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights
