"""How far a run has come and what it did: plain types that checkpoints, files and pictures share."""

from collections.abc import Callable
from dataclasses import dataclass, field

Row = dict[str, float]
"""One epoch: epoch, steps, train_loss, train_accuracy, validation_loss, validation_accuracy, lr, images_per_second,
seconds."""
EpochCallback = Callable[[Row], None]


def is_better(row: Row, best: Row) -> bool:
    """Whether an epoch's weights are better than the best before: by validation accuracy, then by the lower loss."""
    return (row["validation_accuracy"], -row["validation_loss"]) > (
        best["validation_accuracy"],
        -best["validation_loss"],
    )


@dataclass(frozen=True)
class History:
    """What a run did."""

    rows: list[Row]
    """One row an epoch."""
    best_epoch: int
    """The epoch, from 1, with the highest validation accuracy (the lower loss among equals)."""
    best_accuracy: float
    """Validation accuracy of the best epoch's weights, the averaged ones where averaging is on."""
    stopped_early: bool
    """Whether patience ended the run before its last epoch."""


@dataclass
class Progress:
    """How far a run has come: what a checkpoint keeps beside tensors. Plain types only."""

    epoch: int = 0
    """Epochs completed."""
    position: int = 0
    """Steps completed in the epoch under way."""
    loss: float = 0.0
    """Sum of the losses of the epoch's faces so far."""
    correct: int = 0
    count: int = 0
    rows: list[Row] = field(default_factory=list)
    best_epoch: int = 0
    stale_epochs: int = 0
    """Epochs since the best one."""

    @property
    def best(self) -> Row | None:
        """The best epoch's row."""
        return self.rows[self.best_epoch - 1] if self.best_epoch else None
