"""What a run shows of itself: pictures in its folder, and a TensorBoard log."""

from pathlib import Path

from fer_edge.errors import MissingExtraError
from fer_edge.evaluation.plots import plot_learning_rate, plot_training_curves
from fer_edge.training.checkpoint import read_checkpoint
from fer_edge.training.config import TrainConfig
from fer_edge.training.history import EpochCallback, Row
from fer_edge.training.optimizer import one_cycle
from fer_edge.training.run_folder import RunFolder

_POINTS = 2_000
"""Of the plot of the learning rate: more than it has pixels."""


def draw_pictures(run: RunFolder) -> None:
    """Draw the pictures of the run from what it has saved."""
    saved = read_checkpoint(run.last)
    rows = saved["progress"]["rows"]
    if rows:
        plot_training_curves(rows, run.curves)
    config = TrainConfig.from_dict(saved["record"]["config"])
    num_steps = saved["schedule"]["total_steps"]
    peak = int(config.warmup * num_steps)
    steps = sorted({*range(0, num_steps, max(num_steps // _POINTS, 1)), *range(max(peak - 2, 0), peak), num_steps - 1})
    learning_rates, momenta = one_cycle(config, num_steps, steps)
    plot_learning_rate(learning_rates, run.learning_rate, momenta, steps)


def tensorboard_log(folder: Path, epochs_done: int) -> EpochCallback:
    """Writes each epoch's row to a TensorBoard log; events of epochs that are done again are purged."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("tensorboard", "tensorboard") from error
    writer = SummaryWriter(str(folder), purge_step=epochs_done + 1)

    def write(row: Row) -> None:
        for name, value in row.items():
            if name != "epoch":
                writer.add_scalar(name, value, int(row["epoch"]))
        writer.flush()

    return write
