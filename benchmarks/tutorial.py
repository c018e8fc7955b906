"""The tutorial recipe that this project grew out of against its own, on FER-2013, at equal epochs and over seeds.

    python benchmarks/tutorial.py --data fer2013 --epochs 6 --seeds 0 1

The tutorial: ResNet18 with the ImageNet stem, Adam under one cycle with its peak at 0.05, gradients clipped to 0.1 by
value, flip, rotation by up to 30 degrees and colour jitter on files read one at a time, pixels only divided by 255,
the last epoch's weights. This project: the same network by the short recipe of benchmarks/pareto.py, also without
choosing among epochs. Both are judged on the validation split. Finished runs are kept and not done again.
"""

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from pareto import SETTINGS, trained
from training_throughput import TutorialLoop, as_folders

from fer_edge.data.faces import FaceData
from fer_edge.data.load import load_faces
from fer_edge.training.checkpoint import read_checkpoint
from fer_edge.training.config import AugmentConfig, TrainConfig
from fer_edge.training.hardware import describe_machine, resolve

TUTORIAL = TrainConfig(
    stem="imagenet",
    weights="none",
    batch_size=128,
    optimizer="adam",
    max_lr=0.05,
    warmup=0.3,
    weight_decay=1e-4,
    clip_value=0.1,
    clip_norm=0.0,
    label_smoothing=0.0,
    ema_decay=0.0,
    precision="fp32",
    threads=1,
    augment=AugmentConfig(crop=0, flip=0.5, rotation=30, scale=0, shift=0, brightness=0.2, contrast=0.2, erasing=0),
)


def run_tutorial(config: TrainConfig, data: FaceData, workers: int) -> tuple[float, float]:
    """Validation accuracy after the last epoch, and minutes of all epochs."""
    torch.set_num_threads(config.threads)
    with tempfile.TemporaryDirectory() as folder:
        loop = TutorialLoop(as_folders(data.train, Path(folder) / "train"), config, workers)
        started = time.perf_counter()
        for _ in range(config.epochs):
            for _ in loop.epoch():
                pass
        minutes = (time.perf_counter() - started) / 60
        return loop.accuracy(data.validation), minutes


def run_ours(config: TrainConfig, source: str, folder: Path) -> tuple[float, float]:
    """Validation accuracy of the averaged weights after the last epoch, and minutes of all epochs."""
    rows = read_checkpoint(trained(config, source, folder) / "checkpoints" / "last.pt")["progress"]["rows"]
    return float(rows[-1]["validation_accuracy"]), sum(row["seconds"] for row in rows) / 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fer2013")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--workers", type=int, default=0, help="of the tutorial's DataLoader")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/tutorial.json"))
    arguments = parser.parse_args()
    recipes = {"tutorial": resolve(TUTORIAL), "fer_edge": replace(SETTINGS, stem="imagenet")}
    recipes = {name: replace(config, epochs=arguments.epochs) for name, config in recipes.items()}
    report = {
        "machine": describe_machine("cpu"),
        "epochs": arguments.epochs,
        "recipes": {name: config.to_dict() for name, config in recipes.items()},
        "runs": [],
    }
    if arguments.output.exists():
        earlier = json.loads(arguments.output.read_text())
        if (earlier["epochs"], earlier["recipes"]) == (report["epochs"], report["recipes"]):
            report["runs"] = earlier["runs"]
    finished = {(run["recipe"], run["seed"]) for run in report["runs"]}
    data = load_faces(arguments.data)
    for seed in arguments.seeds:
        for name, config in recipes.items():
            if (name, seed) in finished:
                continue
            seeded = replace(config, seed=seed)
            if name == "tutorial":
                accuracy, minutes = run_tutorial(seeded, data, arguments.workers)
            else:
                accuracy, minutes = run_ours(
                    seeded, data.source, arguments.runs / f"short-{arguments.epochs}-seed{seed}"
                )
            report["runs"].append({"recipe": name, "seed": seed, "accuracy": accuracy, "minutes": minutes})
            arguments.output.write_text(json.dumps(report, indent=1) + "\n")
            print(f"{name}, seed {seed}: validation accuracy {accuracy:.4f} in {minutes:.0f} minutes", flush=True)
    for name in recipes:
        found = [run["accuracy"] for run in report["runs"] if run["recipe"] == name]
        spread = statistics.stdev(found) if len(found) > 1 else 0.0
        print(f"{name}: {statistics.mean(found):.4f} +- {spread:.4f} over {len(found)} seeds")


if __name__ == "__main__":
    main()
