"""Judge a checkpoint on a split it did not train on: every figure, with and without leaked faces, and the pictures."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fer_edge.data.faces import FaceSet
from fer_edge.data.leaks import leaked, without_leaks
from fer_edge.data.load import load_faces
from fer_edge.data.sample import is_sample
from fer_edge.errors import CheckpointError, DataError
from fer_edge.evaluation.figures import confusion_matrix_figure, reliability_diagram
from fer_edge.evaluation.metrics import Metrics, evaluate_probabilities, softmax
from fer_edge.evaluation.pictures import mistakes_figure
from fer_edge.files import make_folder, write_text
from fer_edge.training.checkpoint import CheckpointInfo, load_classifier
from fer_edge.training.hardware import choose_device, describe_machine
from fer_edge.training.inference import Views, predict_logits


@dataclass(frozen=True)
class Evaluation:
    """What a checkpoint is worth on one split."""

    checkpoint: CheckpointInfo
    split: str
    augmentation: Views
    metrics: Metrics
    """Over all faces that were judged."""
    num_leaked: int
    """Faces of the split, among those judged, that are byte-identical to one of an earlier split."""
    metrics_without_leaks: Metrics | None
    """Over the rest; None where every face is leaked."""
    faces: FaceSet
    probabilities: np.ndarray
    """float64 (N, 7)."""
    data_source: str
    data_fingerprint: str
    is_training_data_set: bool
    """Whether these are the very faces, splits and labels of the training run, leaked ones left out or not."""
    machine: str

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        without = self.metrics_without_leaks
        return {
            "checkpoint": str(self.checkpoint.path),
            "architecture": self.checkpoint.architecture,
            "settings": self.checkpoint.settings,
            "epoch": self.checkpoint.epoch,
            "split": self.split,
            "augmentation": self.augmentation,
            **self.metrics.to_dict(),
            "leaks": {
                "num_leaked": self.num_leaked,
                "accuracy_with": self.metrics.accuracy,
                "accuracy_without": without.accuracy if without else None,
                "macro_f1_without": without.macro_f1 if without else None,
            },
            "data": self.data_source,
            "data_fingerprint": self.data_fingerprint,
            "is_training_data_set": self.is_training_data_set,
            "machine": self.machine,
        }

    def write(self, folder: Path) -> list[Path]:
        """Write the figures as JSON and the pictures into ``folder``; gives their paths. Raises StorageError."""
        make_folder(folder)
        figures = folder / f"evaluation-{self.split}.json"
        confusion, mistakes, reliability = (
            folder / f"{picture}-{self.split}.png" for picture in ("confusion", "mistakes", "reliability")
        )
        write_text(figures, json.dumps(self.to_dict(), indent=2) + "\n")
        title = f"{self.split}: accuracy {self.metrics.accuracy:.2%}, macro-F1 {self.metrics.macro_f1:.3f}"
        confusion_matrix_figure(self.metrics.confusion, confusion, title)
        names = [Path(source).name for source in self.faces.sources]
        mistakes_figure(self.faces.faces, self.faces.labels, self.probabilities, mistakes, names)
        reliability_diagram(self.metrics.calibration, reliability)
        return [figures, confusion, mistakes, reliability]


def evaluate_checkpoint(
    checkpoint: Path,
    *,
    source: str | None = None,
    split: str = "validation",
    drop_leaks: bool = False,
    skip_bad: bool = False,
    augmentation: Views = "none",
    device: str = "auto",
) -> Evaluation:
    """Judge the checkpoint or run folder at ``checkpoint`` on ``split`` of the faces at ``source``.

    Without ``source`` the faces are those of the run. Raises CheckpointError, DataError (an empty split too) and
    TrainingError (a device that is not there).
    """
    classifier, info = load_classifier(checkpoint)
    place = choose_device(device)
    # The seed is the run's: it decides which training faces are validation where the data has no split of its own.
    data = load_faces(
        source or _recorded_source(info),
        size=info.image_size,
        skip_bad=skip_bad or (source is None and info.skip_bad),
        seed=int(info.config["seed"]),
    )
    faces = data.split(split)
    is_leaked = leaked(data, split)
    if drop_leaks:
        if is_leaked.all():
            raise DataError(f"{data.source}: every face of {split} is in an earlier split too; leave out --drop-leaks")
        faces, is_leaked = faces.take(~is_leaked), np.zeros(int((~is_leaked).sum()), bool)
    logits = predict_logits(classifier.to(place), faces.faces, mean=info.mean, std=info.std, augmentation=augmentation)
    probabilities = softmax(logits)
    return Evaluation(
        checkpoint=info,
        split=split,
        augmentation=augmentation,
        metrics=evaluate_probabilities(probabilities, faces.labels),
        num_leaked=int(is_leaked.sum()),
        metrics_without_leaks=_metrics_of(probabilities, faces, ~is_leaked),
        faces=faces,
        probabilities=probabilities,
        data_source=data.source,
        data_fingerprint=data.fingerprint(),
        is_training_data_set=info.data_fingerprint in (data.fingerprint(), without_leaks(data).fingerprint()),
        machine=describe_machine(place if place.type == "cuda" else torch.device("cpu")),
    )


def _metrics_of(probabilities: np.ndarray, faces: FaceSet, chosen: np.ndarray) -> Metrics | None:
    return evaluate_probabilities(probabilities[chosen], faces.labels[chosen]) if chosen.any() else None


def _recorded_source(info: CheckpointInfo) -> str:
    source = info.data_source
    if not is_sample(source) and not Path(source).exists():
        raise CheckpointError(
            f"{info.path}: expected its training data at {source}, found nothing; name it with --data"
        )
    return source
