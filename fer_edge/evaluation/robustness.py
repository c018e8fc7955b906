"""What a model is worth on corrupted faces: accuracy, and how often it answers as to the untouched face."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from fer_edge.data.faces import NO_LABEL, FaceSet
from fer_edge.data.votes import NO_MAJORITY, majority
from fer_edge.evaluation.corruptions import CORRUPTIONS, Corruption
from fer_edge.evaluation.votes import can_evaluate_votes, emotions_of
from fer_edge.labels import LabelSet

_logger = logging.getLogger(__name__)

ORIGINAL = "original"
"""The name of the untouched faces' row."""


@dataclass(frozen=True)
class Scores:
    """Fractions of the faces, or means of such fractions."""

    accuracy: float
    """Of the faces with a label."""
    votes_accuracy: float | None
    """Of the faces on whose emotion more than half of the annotators agree (FER+); None where there are none."""
    agreement: float
    """Of all faces: the answer is the one to the untouched face."""


@dataclass(frozen=True)
class Robustness:
    """The table of one model."""

    num_faces: int
    num_labelled: int
    num_majority: int
    """Faces that ``votes_accuracy`` is about."""
    original: Scores
    corrupted: Mapping[str, Scores]
    """By the name of the corruption, kind by kind."""
    kinds: Mapping[str, Scores]
    """By kind: the mean over its strengths."""
    mean: Scores
    """Over the kinds, each counting once, as in ImageNet-C."""
    versions: Mapping[str, str]
    """Of the libraries that made the corrupted faces."""

    @property
    def relative_error(self) -> float:
        """Mean over the kinds of the accuracy that is lost: ImageNet-C's relative error, not divided by a model's."""
        return self.original.accuracy - self.mean.accuracy

    def rows(self) -> list[tuple[str, Scores]]:
        """The table: the untouched faces, every corruption, and the mean over the kinds."""
        return [(ORIGINAL, self.original), *self.corrupted.items(), ("mean over the kinds", self.mean)]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "num_faces": self.num_faces,
            "num_labelled": self.num_labelled,
            "num_majority": self.num_majority,
            ORIGINAL: asdict(self.original),
            "corrupted": {name: asdict(scores) for name, scores in self.corrupted.items()},
            "kinds": {kind: asdict(scores) for kind, scores in self.kinds.items()},
            "mean": asdict(self.mean),
            "relative_error": self.relative_error,
            "versions": dict(self.versions),
        }

    def to_markdown(self) -> str:
        """The table in Markdown, with what its columns mean."""
        lines = [
            "| faces | accuracy | votes' majority | same answer as to the original |",
            "|---|--:|--:|--:|",
            *(
                f"| {name} | {_percent(each.accuracy)} | {_percent(each.votes_accuracy)} | {_percent(each.agreement)} |"
                for name, each in self.rows()
            ),
        ]
        made_by = ", ".join(f"{library} {number}" for library, number in self.versions.items())
        lines += [
            "",
            f"{self.num_faces:,} faces, {self.num_labelled:,} with a label, {self.num_majority:,} with a majority of "
            f"votes. The mean counts every kind once, as in [ImageNet-C](https://arxiv.org/abs/1903.12261). "
            f"Corruptions made by {made_by}.",
        ]
        return "\n".join(lines) + "\n"


def evaluate_corruptions(
    probabilities_of: Callable[[np.ndarray], np.ndarray],
    faces: FaceSet,
    labels: LabelSet,
    corruptions: Sequence[Corruption] = CORRUPTIONS,
    *,
    probabilities: np.ndarray | None = None,
) -> Robustness:
    """Ask ``probabilities_of`` about ``faces`` and about each of their ``corruptions``.

    It takes uint8 (N, T, T) of any size T and gives float (N, C) for the classes ``labels``. At least one face has a
    label. ``probabilities`` are those of the untouched faces, where they are known already.
    """
    has_label = faces.labels != NO_LABEL
    emotions, majorities = np.zeros(len(labels), np.int64), np.full(len(faces), NO_MAJORITY)
    if faces.votes is not None and can_evaluate_votes(labels):
        emotions, majorities = emotions_of(labels), majority(faces.votes)
    has_majority = majorities != NO_MAJORITY

    def scores(answers: np.ndarray, untouched: np.ndarray) -> Scores:
        votes_accuracy = (emotions[answers] == majorities)[has_majority]
        return Scores(
            accuracy=float((answers == faces.labels)[has_label].mean()),
            votes_accuracy=float(votes_accuracy.mean()) if len(votes_accuracy) else None,
            agreement=float((answers == untouched).mean()),
        )

    untouched = (probabilities_of(faces.faces) if probabilities is None else probabilities).argmax(axis=1)
    corrupted = {}
    for number, corruption in enumerate(corruptions, 1):
        answers = probabilities_of(corruption.apply(faces.faces)).argmax(axis=1)
        corrupted[corruption.name] = scores(answers, untouched)
        _logger.info("%d of %d: %s", number, len(corruptions), corruption.name)
    kinds: dict[str, list[Scores]] = {}
    for corruption in corruptions:
        kinds.setdefault(corruption.kind, []).append(corrupted[corruption.name])
    means = {kind: _mean(each) for kind, each in kinds.items()}
    return Robustness(
        num_faces=len(faces),
        num_labelled=int(has_label.sum()),
        num_majority=int(has_majority.sum()),
        original=scores(untouched, untouched),
        corrupted=corrupted,
        kinds=means,
        mean=_mean(list(means.values())),
        versions={"Pillow": version("pillow"), "numpy": version("numpy")},
    )


def mean_corruption_error(model: Mapping[str, Any], reference: Mapping[str, Any]) -> float:
    """The mCE of ImageNet-C (eq. 1): errors of each kind divided by those of a reference model, mean over the kinds.

    Both are what ``Robustness.to_dict`` gives, of the same corruptions. Below 1 the model is the more robust one.
    """
    ratios = [
        (1 - scores["accuracy"]) / (1 - reference["kinds"][kind]["accuracy"]) for kind, scores in model["kinds"].items()
    ]
    return float(np.mean(ratios))


def _mean(scores: Sequence[Scores]) -> Scores:
    votes = [each.votes_accuracy for each in scores if each.votes_accuracy is not None]
    return Scores(
        accuracy=float(np.mean([each.accuracy for each in scores])),
        votes_accuracy=float(np.mean(votes)) if votes else None,
        agreement=float(np.mean([each.agreement for each in scores])),
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
