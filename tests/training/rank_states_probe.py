"""One of two processes: a run with dropout that is left alone, and one that is stopped and gone on with.

rank_states_probe.py FOLDER, with torchrun's variables; writes whether their weights are the same.
"""

import json
import sys
from pathlib import Path

import torch
from torch import nn

from fer_edge.data.load import load_faces
from fer_edge.training.architectures import register
from fer_edge.training.checkpoint import read_checkpoint
from fer_edge.training.classifier import FacialExpressionClassifier
from fer_edge.training.config import TrainConfig
from fer_edge.training.distributed import Processes, end_process, joined_processes
from fer_edge.training.hardware import resolve
from fer_edge.training.preparation import build_for_training
from fer_edge.training.run_folder import RunFolder
from fer_edge.training.trainer import Trainer

SAVES = 3
"""In the middle of the first epoch."""


class StopHereError(Exception):
    pass


@register("dropping")
def dropping(settings, weights, head_sizes):
    network = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Dropout(0.5), nn.Linear(36, sum(head_sizes)))
    return FacialExpressionClassifier(network, head_sizes)


def trainer_of(config, data, processes, run):
    classifier, record = build_for_training(config, data, processes)
    return Trainer(classifier, data, record, run=run, processes=processes)


def stop_at_a_save(trainer):
    save, saves = trainer.save, []

    def save_then_stop():
        save()
        saves.append(1)
        if len(saves) == SAVES:
            raise StopHereError

    trainer.save = save_then_stop
    try:
        trainer.fit_one_cycle()
    except StopHereError:
        return
    raise AssertionError("it was not stopped")


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    config = resolve(
        TrainConfig(
            architecture="dropping",
            weights="none",
            epochs=2,
            batch_size=28,
            precision="fp32",
            device="cpu",
            save_interval=0,
        )
    )
    data = load_faces("sample:140")
    with joined_processes("cpu") as (processes, _):
        straight = trainer_of(config, data, processes, None)
        straight.fit_one_cycle()
        run = RunFolder(folder / "run") if processes.is_main else None
        if run is not None:
            run.__enter__()
        stop_at_a_save(trainer_of(config, data, processes, run))
        torch.rand(100 * (1 + processes.rank))  # what happens between must not matter
        processes.take_from_main(torch.zeros(1))  # until the checkpoint is there
        state = read_checkpoint(folder / "run" / "checkpoints" / "last.pt")
        ends = {}
        for kind in ("each its own", "all the main one's"):
            resumed = trainer_of(config, data, processes, None)
            resumed.restore(state if kind == "each its own" else without_the_others(state, processes))
            resumed.fit_one_cycle()
            weights = (straight.classifier.state_dict(), resumed.classifier.state_dict())
            ends[kind] = all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
        (folder / f"rank{processes.rank}.json").write_text(
            json.dumps({"same": ends, "states": 1 + len(state["random_of_others"])})
        )


def without_the_others(state: dict, processes: Processes) -> dict:
    """As before there was a state of each: what a resumed run must not do."""
    return {**state, "random_of_others": [state["random"]] * (processes.count - 1)}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    end_process(0)
