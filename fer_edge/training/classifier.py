"""The base of every trainable model: what one step and one validation do."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_edge.data.faces import NO_LABEL
from fer_edge.data.votes import NO_MAJORITY
from fer_edge.training.heads import Head, columns_of, keep_main_head
from fer_edge.training.losses import Batch, TrainingLoss

__all__ = ["Batch", "EpochMeans", "FacialExpressionClassifier", "StepSums", "ValidationSums"]

_PLAIN = TrainingLoss()


class StepSums(NamedTuple):
    """Sums over some faces, so that they can be added over batches and over processes."""

    loss: Tensor
    """() summed loss."""
    correct: Tensor
    """() number of faces whose largest logit of the main head is at their target."""
    num_faces: Tensor
    """() number of faces with such a target."""


class ValidationSums(NamedTuple):
    """Sums over some faces for one head."""

    loss: Tensor
    """() summed cross-entropy."""
    weight: Tensor
    """() number of faces in ``loss``."""
    correct: Tensor
    """() number of faces whose largest logit is right."""
    num_faces: Tensor
    """() number of faces that can be judged: with a label, or with a majority of votes."""


class EpochMeans(NamedTuple):
    """Means over one pass for one head."""

    loss: float
    accuracy: float


class FacialExpressionClassifier(nn.Module):
    """Logits from a face, and what training and validation do with them.

    Args:
        network: maps float32 (N, 1, S, S) to logits (N, K), K being the sum of ``head_sizes``. While training it may
            return an object with ``logits`` and auxiliary logits (torchvision's GoogLeNet does), which the loss takes
            in with ``auxiliary_weight``.
        head_sizes: outputs of each head, the main one first.
        auxiliary_weight: weight of each auxiliary head's loss, 0.3 in the GoogLeNet paper (Szegedy et al. 2014).
    """

    def __init__(
        self, network: nn.Module, head_sizes: Sequence[int] | None = None, *, auxiliary_weight: float = 0.3
    ) -> None:
        super().__init__()
        self.network = network
        self.head_sizes = None if head_sizes is None else tuple(head_sizes)
        """None: one head, of whatever the network puts out."""
        self.auxiliary_weight = auxiliary_weight

    def forward(self, faces: Tensor) -> Tensor:
        """The main head's logits (N, C) of normalised faces float32 (N, 1, S, S)."""
        outputs = self.all_logits(faces)
        if self.head_sizes is None or len(self.head_sizes) == 1:
            return outputs
        return outputs[:, : self.head_sizes[0]]

    def all_logits(self, faces: Tensor) -> Tensor:
        """The logits of all heads side by side, (N, K)."""
        return self._main_logits(self.network(faces))

    def keep_main_head(self) -> None:
        """Drop the other heads' outputs, in place: ``forward`` answers the same."""
        if self.head_sizes is not None and len(self.head_sizes) > 1:
            keep_main_head(self.network, self.head_sizes)
            self.head_sizes = self.head_sizes[:1]

    def training_step(self, batch: Batch, loss: TrainingLoss = _PLAIN) -> tuple[Tensor, StepSums]:
        """Mean loss to go back from (auxiliary heads in it), and the batch's sums."""
        outputs = self.network(batch.faces)
        logits = self._main_logits(outputs)  # (N, K)
        mean = loss(logits, batch)
        for auxiliary in self._auxiliary_logits(outputs):
            mean = mean + self.auxiliary_weight * loss(auxiliary, batch)
        correct, num_faces = loss.hits(logits.detach(), batch)
        return mean, StepSums(mean.detach() * num_faces, correct, _as_tensor(num_faces, correct))

    @torch.no_grad()
    def validation_step(self, batch: Batch, heads: Sequence[Head]) -> list[ValidationSums]:
        """Sums for each head of the plain cross-entropy and of hits: no smoothing, class weights, auxiliary heads.

        Labels are judged by the label; votes by the distribution (loss) and by the majority (hits).
        """
        outputs = self.all_logits(batch.faces).float()  # (N, K)
        sums = []
        for head, columns in zip(heads, columns_of(heads), strict=True):
            logits = outputs[:, columns]
            if head.name == "votes":
                assert batch.votes is not None
                assert batch.majority is not None
                loss = -(batch.votes * F.log_softmax(logits, dim=1)).sum()
                right, weight, judged = batch.majority, batch.votes.sum(), batch.majority != NO_MAJORITY
            else:
                loss = F.cross_entropy(logits, batch.labels, reduction="sum", ignore_index=NO_LABEL)
                right, judged = batch.labels, batch.labels != NO_LABEL
                weight = judged.sum()
            correct = (logits.argmax(dim=1) == right).sum()
            sums.append(ValidationSums(loss, weight, correct, judged.sum()))
        return sums

    @staticmethod
    def validation_epoch_end(steps: Iterable[ValidationSums]) -> EpochMeans:
        """Means over all validation steps of one head, each face counting once; NaN where no face can be judged."""
        columns = zip(*steps, strict=True)
        loss, weight, correct, count = torch.stack([torch.stack(c).double().sum() for c in columns]).tolist()
        nan = float("nan")
        return EpochMeans(loss=loss / weight if weight else nan, accuracy=correct / count if count else nan)

    @staticmethod
    def epoch_end(epoch: int, epochs: int, row: dict[str, float]) -> str:
        """The one line that an epoch leaves behind."""
        others = (name for name in ("validation_labels_accuracy", "validation_votes_accuracy") if name in row)
        heads = "".join(f"{name.split('_')[1]} {row[name]:.4f}  " for name in others)
        return (
            f"epoch {epoch:>{len(str(epochs))}}/{epochs}  "
            f"train loss {row['train_loss']:.4f} acc {row['train_accuracy']:.4f}  "
            f"validation loss {row['validation_loss']:.4f} acc {row['validation_accuracy']:.4f}  {heads}"
            f"lr {row['lr']:.2e}  {row['images_per_second']:.0f} images/s"
        )

    @staticmethod
    def _main_logits(outputs: object) -> Tensor:
        return outputs if isinstance(outputs, Tensor) else outputs.logits  # type: ignore[attr-defined]  # torchvision's namedtuples

    @staticmethod
    def _auxiliary_logits(outputs: object) -> list[Tensor]:
        if isinstance(outputs, Tensor):
            return []
        heads = (getattr(outputs, name, None) for name in ("aux_logits", "aux_logits1", "aux_logits2"))
        return [head for head in heads if head is not None]


def _as_tensor(number: int | Tensor, like: Tensor) -> Tensor:
    # full, not tensor: a copy from the host would make the GPU wait
    return number if isinstance(number, Tensor) else torch.full((), number, dtype=torch.int64, device=like.device)
