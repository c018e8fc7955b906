"""Trains for two epochs, alone or under torchrun, and writes what each process ended with: probe.py FOLDER."""

import hashlib
import json
import sys
from pathlib import Path

from torch import nn

from fer_edge.data.load import load_faces
from fer_edge.training.architectures import register
from fer_edge.training.classifier import FacialExpressionClassifier
from fer_edge.training.config import TrainConfig
from fer_edge.training.distributed import end_process, has_joined, joined_processes
from fer_edge.training.hardware import resolve
from fer_edge.training.preparation import build_for_training
from fer_edge.training.run_folder import RunFolder
from fer_edge.training.trainer import Trainer


@register("plain")
def plain(settings, weights, head_sizes):
    """Without batch norm, every face's gradient is its own."""
    layers = [nn.Conv2d(1, 8, 5, stride=4), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(), nn.Flatten()]
    return FacialExpressionClassifier(nn.Sequential(*layers, nn.Linear(16 * 5 * 5, sum(head_sizes))), head_sizes)


def main(folder: Path) -> None:
    config = TrainConfig(architecture="plain", weights="none", epochs=2, batch_size=64, precision="fp32", device="cpu")
    data = load_faces("sample:420")
    with joined_processes("cpu") as (processes, _):
        classifier, record = build_for_training(resolve(config), data, processes)
        run = RunFolder(folder / "run").__enter__() if processes.is_main else None
        history = Trainer(classifier, data, record, run=run, processes=processes).fit_one_cycle()
        digest = hashlib.sha256()
        for parameter in classifier.parameters():
            digest.update(parameter.detach().contiguous().numpy().tobytes())
        timings = {"images_per_second", "seconds"}
        content = {
            "weights_sha256": digest.hexdigest(),
            "weights_sum": sum(float(p.detach().double().abs().sum()) for p in classifier.parameters()),
            "rows": [{k: v for k, v in row.items() if k not in timings} for row in history.rows],
            "files": run is not None,
        }
        (folder / f"rank{processes.rank}.json").write_text(json.dumps(content))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    if has_joined():
        end_process(0)
