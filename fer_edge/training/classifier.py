"""The base of every trainable model: what one step, one validation and one epoch's end do."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_edge.labels import NUM_EXPRESSIONS


@dataclass(frozen=True)
class Batch:
    """Faces ready for the network, with their targets."""

    faces: Tensor
    """float32 (N, 1, S, S), normalised."""
    labels: Tensor
    """int64 (N,)."""
    mixed_labels: Tensor | None = None
    """int64 (N,): labels of the faces that mixup blended in, if it did."""
    mix: float = 1.0
    """Weight of ``labels`` in the loss; the rest is for ``mixed_labels``."""
    taught: Tensor | None = None
    """float32 (N, 7): the teachers' probabilities at the classifier's temperature, if there are teachers."""


class StepSums(NamedTuple):
    """Sums over some faces, so that they can be added over batches and over processes."""

    loss: Tensor
    """() summed loss."""
    correct: Tensor
    """() number of faces whose largest logit is their label's."""
    num_faces: Tensor
    """() number of faces."""


class EpochMeans(NamedTuple):
    """Means over one pass."""

    loss: float
    accuracy: float


class FacialExpressionClassifier(nn.Module):
    """Seven logits from a face, and what training and validation do with them.

    Args:
        network: maps float32 (N, 1, S, S) to logits (N, 7). While training it may return an object with ``logits`` and
            auxiliary logits (torchvision's GoogLeNet does), which the loss takes in with ``auxiliary_weight``.
        auxiliary_weight: weight of each auxiliary head's loss, 0.3 in the GoogLeNet paper (Szegedy et al. 2014).
    """

    class_weights: Tensor | None

    def __init__(self, network: nn.Module, *, auxiliary_weight: float = 0.3) -> None:
        super().__init__()
        self.network = network
        self.auxiliary_weight = auxiliary_weight
        self.label_smoothing = 0.0
        self.distillation, self.temperature = 0.0, 1.0
        self.register_buffer("class_weights", None, persistent=False)

    def forward(self, faces: Tensor) -> Tensor:
        """Logits (N, 7) of normalised faces float32 (N, 1, S, S)."""
        return self._main_logits(self.network(faces))

    def training_step(self, batch: Batch) -> tuple[Tensor, StepSums]:
        """Mean loss to go back from (auxiliary heads, smoothing and class weights in it), and the batch's sums."""
        outputs = self.network(batch.faces)
        logits = self._main_logits(outputs)  # (N, 7)
        loss = self._loss(logits, batch)
        for auxiliary in self._auxiliary_logits(outputs):
            loss = loss + self.auxiliary_weight * self._loss(auxiliary, batch)
        return loss, self._sums(loss.detach() * len(batch.labels), logits.detach(), batch.labels)

    @torch.no_grad()
    def validation_step(self, batch: Batch) -> StepSums:
        """Sums of the plain cross-entropy and of hits: no smoothing, no class weights, no auxiliary heads."""
        logits = self(batch.faces).float()  # (N, 7)
        return self._sums(F.cross_entropy(logits, batch.labels, reduction="sum"), logits, batch.labels)

    @staticmethod
    def validation_epoch_end(steps: Iterable[StepSums]) -> EpochMeans:
        """Means over all validation steps, each face counting once."""
        loss, correct, count = (torch.stack(values).double().sum() for values in zip(*steps, strict=True))
        return EpochMeans(loss=float(loss / count), accuracy=float(correct / count))

    @staticmethod
    def epoch_end(epoch: int, epochs: int, row: dict[str, float]) -> str:
        """The one line that an epoch leaves behind."""
        return (
            f"epoch {epoch:>{len(str(epochs))}}/{epochs}  "
            f"train loss {row['train_loss']:.4f} acc {row['train_accuracy']:.4f}  "
            f"validation loss {row['validation_loss']:.4f} acc {row['validation_accuracy']:.4f}  "
            f"lr {row['lr']:.2e}  {row['images_per_second']:.0f} images/s"
        )

    def _loss(self, logits: Tensor, batch: Batch) -> Tensor:
        def cross_entropy(labels: Tensor) -> Tensor:
            return F.cross_entropy(
                logits.float(), labels, weight=self.class_weights, label_smoothing=self.label_smoothing
            )

        loss = cross_entropy(batch.labels)
        if batch.mixed_labels is not None:
            loss = batch.mix * loss + (1 - batch.mix) * cross_entropy(batch.mixed_labels)
        if batch.taught is not None:
            student = F.log_softmax(logits.float() / self.temperature, dim=1)  # (N, 7)
            # Dividing by the temperature shrinks the gradient by its square, which is given back (Hinton et al. 2015).
            distance = self.temperature**2 * F.kl_div(student, batch.taught, reduction="batchmean")
            loss = (1 - self.distillation) * loss + self.distillation * distance
        return loss

    @staticmethod
    def _sums(loss: Tensor, logits: Tensor, labels: Tensor) -> StepSums:
        correct = (logits.argmax(dim=1) == labels).sum()
        return StepSums(loss=loss, correct=correct, num_faces=torch.tensor(len(labels), device=logits.device))

    @staticmethod
    def _main_logits(outputs: object) -> Tensor:
        return outputs if isinstance(outputs, Tensor) else outputs.logits  # type: ignore[attr-defined]  # torchvision's namedtuples

    @staticmethod
    def _auxiliary_logits(outputs: object) -> list[Tensor]:
        if isinstance(outputs, Tensor):
            return []
        heads = (getattr(outputs, name, None) for name in ("aux_logits", "aux_logits1", "aux_logits2"))
        return [head for head in heads if head is not None]


def balanced_class_weights(labels: Tensor) -> Tensor:
    """Weights float32 (7,) that let every class count alike: N / (classes present * its count), 0 if absent."""
    counts = torch.bincount(labels, minlength=NUM_EXPRESSIONS).float()
    present = counts > 0
    weights = torch.zeros_like(counts)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights
