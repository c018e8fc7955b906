"""Judge whatever answers with probabilities on one split: every figure, with and without leaked faces, and pictures."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fer_edge.data.faces import FaceData, FaceSet
from fer_edge.data.leaks import leaked, without_leaks
from fer_edge.errors import DataError
from fer_edge.evaluation.figures import confusion_matrix_figure, reliability_diagram
from fer_edge.evaluation.metrics import Metrics, evaluate_probabilities
from fer_edge.evaluation.pictures import mistakes_figure
from fer_edge.files import make_folder, write_text

Views = Literal["none", "flip", "ten-crop"]
"""Over which views of a face its probabilities are averaged: only itself, it and its mirror image, or five crops
(corners and centre) and their mirror images (Krizhevsky et al. 2012)."""

CROP_PART = 0.9
"""Side of a crop as a part of the face's side."""


@dataclass(frozen=True)
class Subject:
    """What is judged."""

    kind: Literal["checkpoint", "model"]
    path: Path
    description: str
    """In a few words, e.g. ``epoch 12``."""
    facts: Mapping[str, Any]
    """What else the report says about it; plain types."""
    data_fingerprint: str
    """Of the faces that it was trained and chosen on."""


@dataclass(frozen=True)
class Evaluation:
    """What a checkpoint or a model is worth on one split."""

    subject: Subject
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
            self.subject.kind: str(self.subject.path),
            **self.subject.facts,
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


def judge(
    subject: Subject,
    probabilities_of: Callable[[np.ndarray], np.ndarray],
    data: FaceData,
    split: str,
    *,
    drop_leaks: bool,
    augmentation: Views,
    machine: str,
) -> Evaluation:
    """Judge ``subject`` on ``split`` of ``data``.

    ``probabilities_of`` takes uint8 (N, S, S) and gives float (N, 7), already averaged over the views. Raises DataError
    when the split is empty, or nothing but leaks and ``drop_leaks`` is asked for.
    """
    faces = data.split(split)
    is_leaked = leaked(data, split)
    if drop_leaks:
        if is_leaked.all():
            raise DataError(f"{data.source}: every face of {split} is in an earlier split too; leave out --drop-leaks")
        faces, is_leaked = faces.take(~is_leaked), np.zeros(int((~is_leaked).sum()), bool)
    probabilities = probabilities_of(faces.faces)
    return Evaluation(
        subject=subject,
        split=split,
        augmentation=augmentation,
        metrics=evaluate_probabilities(probabilities, faces.labels),
        num_leaked=int(is_leaked.sum()),
        metrics_without_leaks=_metrics_of(probabilities, faces, ~is_leaked),
        faces=faces,
        probabilities=probabilities,
        data_source=data.source,
        data_fingerprint=data.fingerprint(),
        is_training_data_set=subject.data_fingerprint in (data.fingerprint(), without_leaks(data).fingerprint()),
        machine=machine,
    )


def _metrics_of(probabilities: np.ndarray, faces: FaceSet, chosen: np.ndarray) -> Metrics | None:
    return evaluate_probabilities(probabilities[chosen], faces.labels[chosen]) if chosen.any() else None
