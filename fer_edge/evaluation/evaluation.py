"""Evaluate whatever answers with probabilities on one split: every figure, with and without leaked faces, and plots."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fer_edge import __version__
from fer_edge.data.faces import NO_LABEL, FaceData, FaceSet
from fer_edge.data.leaks import leaked, without_leaks
from fer_edge.data.relabel import left_out, relabelled
from fer_edge.errors import DataError
from fer_edge.evaluation.face_plots import plot_mistakes
from fer_edge.evaluation.metrics import Metrics, evaluate_probabilities
from fer_edge.evaluation.plots import plot_confusion_matrix, plot_reliability
from fer_edge.evaluation.robustness import Robustness, evaluate_corruptions
from fer_edge.evaluation.votes import VoteMetrics, can_evaluate_votes, evaluate_votes
from fer_edge.files import write_text
from fer_edge.labels import FER2013, LabelSet
from fer_edge.own_files import OwnFiles
from fer_edge.runtime.certainty import Certainty
from fer_edge.text import without_surrogates

Views = Literal["none", "flip", "ten-crop"]
"""Over which views of a face its probabilities are averaged: only itself, it and its mirror image, or five crops
(corners and centre) and their mirror images (Krizhevsky et al. 2012)."""

CROP_FRACTION = 0.9
"""Side of a crop as a fraction of the face's side."""


@dataclass(frozen=True)
class Subject:
    """What is evaluated."""

    kind: Literal["checkpoint", "model"]
    path: Path
    description: str
    """In a few words, e.g. ``epoch 12``."""
    facts: Mapping[str, Any]
    """What else the report says about it; plain types."""
    data_fingerprint: str
    """Of the faces that it was trained and chosen on."""
    labels: LabelSet = FER2013
    """Its classes, in the order of its outputs."""
    certainty: Certainty | None = None
    """When its answers are certain; None where it was not calibrated."""


@dataclass(frozen=True)
class Evaluation:
    """What a checkpoint or a model is worth on one split."""

    subject: Subject
    split: str
    augmentation: Views
    metrics: Metrics
    """Over all faces that were evaluated and have a label."""
    votes: VoteMetrics | None
    """Over all faces that were evaluated and have votes; None without votes, or where a class is none that the
    annotators could choose."""
    num_leaked: int
    """Faces of the split, among those with a label, that are byte-identical to one of an earlier split."""
    metrics_without_leaks: Metrics | None
    """Over the rest; None where every face is leaked."""
    faces: FaceSet
    """Those with a label, N."""
    probabilities: np.ndarray
    """float64 (N, C)."""
    left_out: Mapping[str, int]
    """Faces of the split that were left out because the subject has not their class, by class."""
    num_without_label: int
    """Faces that have votes alone."""
    data_source: str
    data_fingerprint: str
    is_training_data_set: bool
    """Whether these are the very faces, splits and labels of the training run, leaked ones left out or not."""
    machine: str
    robustness: Robustness | None = None
    """On corrupted faces, where that was asked for; over all faces that were evaluated."""
    left_out_files: Mapping[str, int] = field(default_factory=dict)
    """Files and rows of the data set that cannot be used, by kind (``fer_edge.data.left_out``)."""
    split_sources: tuple[str, ...] = ()
    """Where every face of the split is from, those that were left out too: for ``like`` of another evaluation."""
    num_trained_on: int = 0
    """How many of these faces the subject's own run trained on: more than none only with ``like``."""

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        without = self.metrics_without_leaks
        return {
            self.subject.kind: str(self.subject.path),
            **self.subject.facts,
            "split": self.split,
            "augmentation": self.augmentation,
            "labels": list(self.subject.labels.names),
            **self.metrics.to_dict(self.subject.labels),
            "votes": None if self.votes is None else self.votes.to_dict(),
            "left_out": dict(self.left_out),
            "left_out_files": dict(self.left_out_files),
            "num_without_label": self.num_without_label,
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
            "corruptions": None if self.robustness is None else self.robustness.to_dict(),
        }

    def write(self, folder: Path) -> list[Path]:
        """Write the figures as JSON and the plots into ``folder``; gives their paths.

        Raises StorageError, also where one of them would replace a file that was not written here."""
        written = output_paths(folder, self.split, with_corruptions=self.robustness is not None)
        with OwnFiles(OTHER_FOLDER).writing(*written):
            self._write(*written)
        return written

    def _write(self, figures: Path, confusion: Path, mistakes: Path, reliability: Path, *corruptions: Path) -> None:
        write_text(figures, json.dumps(without_surrogates(self.to_dict()), indent=2) + "\n")
        metrics = self.metrics
        of = (
            ""
            if metrics.num_judged == len(metrics.classes)
            else f" ({metrics.num_judged} of {len(metrics.classes)} classes)"
        )
        title = f"{self.split}: accuracy {metrics.accuracy:.2%}, macro-F1 {metrics.macro_f1:.3f}{of}"
        names = self.subject.labels.names
        plot_confusion_matrix(self.metrics.confusion, names, confusion, title)
        captions = [Path(source).name for source in self.faces.sources]
        plot_mistakes(self.faces.faces, self.faces.labels, self.probabilities, names, mistakes, captions)
        plot_reliability(self.metrics.calibration, reliability)
        for path in corruptions:
            write_text(path, self.corruptions_in_markdown())

    def corruptions_in_markdown(self) -> str:
        """The table of ``robustness``, with what was evaluated, where and by what; empty without one."""
        if self.robustness is None:
            return ""
        subject = self.subject
        return (
            f"# {subject.path.stem} on corrupted faces\n\n"
            f"{subject.path.name} ({subject.description}) on {self.split} of {Path(self.data_source).name}; "
            f"{self.machine}; fer_edge {__version__}.\n\n{self.robustness.to_markdown()}"
        )


OTHER_FOLDER = "choose another folder with --out"
"""What helps where the name of a file is taken."""


def output_paths(folder: Path, split: str, *, with_corruptions: bool) -> list[Path]:
    """Every file that ``Evaluation.write`` writes."""
    plots = (folder / f"{plot}-{split}.png" for plot in ("confusion", "mistakes", "reliability"))
    tables = [folder / f"corruptions-{split}.md"] if with_corruptions else []
    return [folder / f"evaluation-{split}.json", *plots, *tables]


def evaluate_split(
    subject: Subject,
    probabilities_of: Callable[[np.ndarray], np.ndarray],
    data: FaceData,
    split: str,
    *,
    drop_leaks: bool,
    augmentation: Views,
    machine: str,
    corruptions: bool = False,
    may_lack_classes: bool = False,
    like: Evaluation | None = None,
) -> Evaluation:
    """Evaluate ``subject`` on ``split`` of ``data``.

    ``probabilities_of`` takes uint8 (N, S, S) and gives float (N, C), already averaged over the views; with
    ``corruptions`` it is asked about faces of other sizes, too. Where the data has other labels than the subject, they
    are mapped (see ``relabelled``); with ``may_lack_classes`` or ``like`` they may lack some. ``like``: evaluate on the
    faces of that evaluation, also where the subject's run chose others for validation. Raises DataError where labels
    cannot be mapped, when the split is empty, or nothing but leaks and ``drop_leaks`` is asked for.
    """
    fingerprints = (data.fingerprint(), without_leaks(data).fingerprint())
    is_training_data_set, num_trained_on = subject.data_fingerprint in fingerprints, 0
    if like is not None:
        may_lack_classes = True
        data, moved = data.with_split(split, like.split_sources)
        num_trained_on = moved if is_training_data_set else 0
    data.split(split)  # refuses an empty one
    labels = subject.labels
    faces = relabelled(data, labels, may_lack=may_lack_classes).splits[split]
    # The earlier splits are the data's own: a face that is there under a label that the subject has not is leaked too.
    is_leaked = leaked(data, split, faces)
    if drop_leaks:
        if is_leaked.all():
            raise DataError(f"{data.source}: every face of {split} is in an earlier split too; leave out --drop-leaks")
        faces, is_leaked = faces.take(~is_leaked), np.zeros(int((~is_leaked).sum()), bool)
    has_label = faces.labels != NO_LABEL
    if not has_label.any():
        raise DataError(
            f"{data.source}: expected faces of {', '.join(labels.names)} in {split}, found none; "
            "see 'fer-edge data inspect'"
        )
    probabilities = probabilities_of(faces.faces)
    votes = None
    if faces.votes is not None and can_evaluate_votes(labels):
        votes = evaluate_votes(probabilities, faces.votes, labels)
    robustness = None
    if corruptions:
        robustness = evaluate_corruptions(probabilities_of, faces, labels, probabilities=probabilities)
    faces, probabilities, is_leaked = faces.take(has_label), probabilities[has_label], is_leaked[has_label]
    return Evaluation(
        subject=subject,
        split=split,
        augmentation=augmentation,
        metrics=evaluate_probabilities(probabilities, faces.labels, len(labels)),
        votes=votes,
        num_leaked=int(is_leaked.sum()),
        metrics_without_leaks=_metrics_of(probabilities, faces, ~is_leaked),
        faces=faces,
        probabilities=probabilities,
        left_out=left_out(data, labels, split),
        num_without_label=int((~has_label).sum()),
        data_source=data.source,
        data_fingerprint=fingerprints[0],
        is_training_data_set=is_training_data_set,
        machine=machine,
        robustness=robustness,
        left_out_files=data.left_out,
        split_sources=data.splits[split].sources,
        num_trained_on=num_trained_on,
    )


def _metrics_of(probabilities: np.ndarray, faces: FaceSet, chosen: np.ndarray) -> Metrics | None:
    return evaluate_probabilities(probabilities[chosen], faces.labels[chosen]) if chosen.any() else None
