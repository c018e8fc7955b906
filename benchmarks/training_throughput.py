"""Images per second of training: the loop that tutorials show against this project's, alternating in one process tree.

    python benchmarks/training_throughput.py --data fer2013 --output benchmarks/results/training_throughput.json

(a) torchvision ImageFolder, DataLoader workers, per-image PIL transforms (flip, rotation, colour jitter), fp32;
(b) fer_edge: one uint8 tensor, batch augmentation, channels_last, the precision that ``--precision auto`` chooses.
Same architecture, stem, image size, batch, optimizer, schedule and epochs. Each loop trains once to compare accuracy
(``--epochs``), then rounds of timed steps alternate and the median ratio is printed. (b) also says which part of its
step is data and augmentation.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import DataLoader

from fer_edge.data.faces import FaceData, FaceSet
from fer_edge.data.load import load_faces
from fer_edge.labels import FER2013
from fer_edge.training.checkpoint import classifier_from_config
from fer_edge.training.config import TrainConfig
from fer_edge.training.hardware import describe_machine, resolve
from fer_edge.training.inference import predict_logits
from fer_edge.training.optimizer import build_optimizer, build_schedule
from fer_edge.training.preparation import build_for_training
from fer_edge.training.signals import StopSignals
from fer_edge.training.trainer import Trainer

from torchvision import datasets, transforms  # isort: skip  # after fer_edge.training, which makes it importable


def as_folders(faces: FaceSet, root: Path) -> Path:
    """The same faces as JPEG files in class folders, which is where a tutorial begins."""
    for name in FER2013.names:
        (root / name).mkdir(parents=True)
    for index, (face, label) in enumerate(zip(faces.faces, faces.labels, strict=True)):
        Image.fromarray(face).save(root / FER2013.names[label] / f"{index}.jpg", quality=95)
    return root


class TutorialLoop:
    """(a): files decoded and varied one at a time in worker processes, fp32, NCHW."""

    def __init__(self, folder: Path, config: TrainConfig, workers: int) -> None:
        self.config, self.device = config, torch.device(config.device)
        vary = [transforms.RandomHorizontalFlip(), transforms.RandomRotation(config.augment.rotation)]
        vary += [transforms.ColorJitter(config.augment.brightness, config.augment.contrast)]
        shape = [transforms.Grayscale(), transforms.Resize((config.image_size, config.image_size))]
        dataset = datasets.ImageFolder(str(folder), transforms.Compose([*shape, *vary, transforms.ToTensor()]))
        pin = self.device.type == "cuda"
        self.loader = DataLoader(
            dataset, config.batch_size, shuffle=True, drop_last=True, num_workers=workers, pin_memory=pin
        )
        torch.manual_seed(config.seed)
        self.model = classifier_from_config(config).to(self.device)
        self.optimizer = build_optimizer(self.model, config)
        self.schedule = build_schedule(self.optimizer, config, config.epochs * len(self.loader))

    def epoch(self) -> Iterator[None]:
        """One epoch, yielding after each step."""
        self.model.train()
        for faces, labels in self.loader:
            faces, labels = faces.to(self.device), labels.to(self.device)
            loss = F.cross_entropy(self.model(faces), labels, label_smoothing=self.config.label_smoothing)
            self.optimizer.zero_grad()
            loss.backward()
            if self.config.clip_norm:
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
            if self.config.clip_value:
                torch.nn.utils.clip_grad_value_(self.model.parameters(), self.config.clip_value)
            self.optimizer.step()
            if self.schedule.last_epoch + 1 < self.schedule.total_steps:
                self.schedule.step()
            loss.item()
            yield

    def accuracy(self, faces: FaceSet) -> float:
        """Accuracy on ``faces``, given as ToTensor gives them: pixel / 255."""
        logits = predict_logits(self.model, faces.faces, mean=0.0, std=1.0)
        return float((logits.argmax(axis=1) == faces.labels).mean())


class ProjectLoop:
    """(b): this project's own ``Trainer``, its steps unchanged."""

    def __init__(self, data: FaceData, config: TrainConfig) -> None:
        self.config = config
        classifier, record = build_for_training(config, data)
        self.trainer = Trainer(classifier, data, record)
        self.batch_s = self.step_s = 0.0
        self.epochs_done = 0

    def epoch(self) -> Iterator[None]:
        """One epoch, yielding after each step; counts the time that data and augmentation take."""
        self.trainer.classifier.train()
        signals = StopSignals()
        for position in range(self.trainer.batches.num_steps):
            started = time.perf_counter()
            batch = self.trainer.batches.batch(self.epochs_done, position)
            if self.config.device != "cpu":
                torch.cuda.synchronize()
            self.batch_s += time.perf_counter() - started
            self.trainer._step(iter([batch]), signals)
            self.step_s += time.perf_counter() - started
            yield
        self.epochs_done += 1

    def accuracy(self, faces: FaceSet) -> float:
        """Accuracy of the averaged weights, as ``train`` validates."""
        return self.trainer.validate().accuracy


def timed_images_per_second(loop: TutorialLoop | ProjectLoop, steps: int, warmup: int) -> float:
    """Images per second over ``steps`` steps after ``warmup`` steps; the workers of (a) start before the clock does."""
    running = loop.epoch()
    for _ in range(warmup):
        next(running)
    started = time.perf_counter()
    for _ in range(steps):
        next(running)
    elapsed = time.perf_counter() - started
    running.close()
    return steps * loop.config.batch_size / elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fer2013")
    parser.add_argument("--stem", default="imagenet")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=2, help="for the accuracies; 0 leaves them out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=4)
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 8))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()

    # SGD without averaging on both sides: the comparison is of the loops, not of what a user may add to them.
    config = TrainConfig(
        stem=arguments.stem,
        weights="none",
        epochs=max(arguments.epochs, 1),
        batch_size=arguments.batch_size,
        device=arguments.device,
        ema_decay=0.0,
    )
    config = resolve(config)
    data = load_faces(arguments.data)
    # The tutorial's three variations on both sides, so that neither is made to learn a harder task.
    plain = replace(config.augment, crop=0, scale=0.0, shift=0.0, erasing=0.0)
    config = replace(config, augment=plain)
    with tempfile.TemporaryDirectory() as folder:
        root = as_folders(data.train, Path(folder) / "train")
        report: dict[str, object] = {"machine": describe_machine(config.device), "settings": config.to_dict()}
        if arguments.epochs:
            accuracies = {}
            for name, loop in (
                ("tutorial", TutorialLoop(root, config, arguments.workers)),
                ("fer_edge", ProjectLoop(data, config)),
            ):
                for _ in range(arguments.epochs):
                    for _ in loop.epoch():
                        pass
                accuracies[name] = loop.accuracy(data.validation)
                print(f"{name}: validation accuracy {accuracies[name]:.4f} after {arguments.epochs} epochs", flush=True)
            report["validation_accuracy"] = accuracies
        tutorial, project = TutorialLoop(root, config, arguments.workers), ProjectLoop(data, config)
        rates: list[tuple[float, float]] = []
        for number in range(arguments.rounds):
            pair = tuple(
                timed_images_per_second(loop, arguments.steps, arguments.warmup) for loop in (tutorial, project)
            )
            rates.append((pair[0], pair[1]))
            rate = f"tutorial {pair[0]:.0f}, fer_edge {pair[1]:.0f} images/s, ratio {pair[1] / pair[0]:.2f}"
            print(f"round {number + 1}: {rate}", flush=True)
    ratio = statistics.median(b / a for a, b in rates)
    share = project.batch_s / project.step_s
    report |= {
        "workers": arguments.workers,
        "images_per_second": [{"tutorial": a, "fer_edge": b} for a, b in rates],
        "median_ratio": ratio,
        "data_and_augmentation_share_of_step": share,
    }
    print(f"median ratio {ratio:.2f}; data and augmentation take {share:.1%} of fer_edge's step; {report['machine']}")
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(report, indent=1) + "\n")
        print(f"wrote {arguments.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
