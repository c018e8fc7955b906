"""SHA-256 of the weights after three short runs on the CPU: what a change of the training code must leave alone.

    OMP_NUM_THREADS=1 python benchmarks/training_digests.py [NAME ...] > benchmarks/results/training_digests.json

Bit-identical on one kind of processor with one version of torch; both are in the output.
"""

import hashlib
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from fer_edge.runtime.machine import processor_name
from fer_edge.training.checkpoint import read_checkpoint
from fer_edge.training.config import TrainConfig
from fer_edge.training.preparation import DataRequest
from fer_edge.training.runs import train

SOURCE = "sample:210"
BASE = TrainConfig(
    architecture="tiny", weights="none", epochs=2, batch_size=32, precision="fp32", device="cpu", threads=1
)
TEACHER = "TEACHER"
CONFIGURATIONS = {
    "tiny": BASE,
    "resnet10_half-mixup-teacher": replace(
        BASE, architecture="resnet10_half", mixup=0.2, class_weights=True, teacher=TEACHER
    ),
    "resnet18-progression": replace(BASE, architecture="resnet18", progression="32:1", optimizer="adamw", max_lr=1e-3),
}


def digest_of(name: str, folder: Path) -> str:
    """SHA-256 over live and averaged weights, the history's figures and nothing else, in the order of their names."""
    config = CONFIGURATIONS[name]
    if config.teacher == TEACHER:
        train(BASE, DataRequest(SOURCE), folder / "teacher", quiet=True)
        config = replace(config, teacher=str(folder / "teacher"))
    train(config, DataRequest(SOURCE), folder / "run", quiet=True)
    state = read_checkpoint(folder / "run" / "checkpoints" / "last.pt")
    digest = hashlib.sha256()
    for weights in (state["model"], state["average"]["weights"]):
        for key in sorted(weights):
            digest.update(key.encode() + weights[key].contiguous().numpy().tobytes())
    for row in state["progress"]["rows"]:
        figures = {key: value for key, value in row.items() if key not in ("images_per_second", "seconds")}
        digest.update(json.dumps(figures, sort_keys=True).encode())
    return digest.hexdigest()


def machine_facts() -> dict[str, str]:
    return {"processor": processor_name(), "torch": str(torch.__version__)}


def main() -> None:
    torch.set_num_threads(1)
    digests = {}
    for name in sys.argv[1:] or CONFIGURATIONS:
        with tempfile.TemporaryDirectory() as folder:
            digests[name] = digest_of(name, Path(folder))
    print(json.dumps({"machine": machine_facts(), "digests": digests}, indent=2))


if __name__ == "__main__":
    main()
