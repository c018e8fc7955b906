"""What to know about a data set before training on it: counts, contrast, votes, blanks, duplicates, leaks."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fer_edge.data.contrast import Contrast, measure_contrast
from fer_edge.data.faces import NO_LABEL, FaceData
from fer_edge.data.leaks import leaked
from fer_edge.data.left_out import left_out_of
from fer_edge.data.names import has_known_names
from fer_edge.data.problems import Problem
from fer_edge.data.splits import SPLITS
from fer_edge.data.votes import COLUMNS, NO_MAJORITY, majority


@dataclass(frozen=True)
class Conflict:
    """Faces with the same pixels and different labels: at most one of the labels is right."""

    sources: tuple[str, ...]
    """Where the faces are from."""

    classes: tuple[str, ...]
    """The label of each of them."""


@dataclass(frozen=True)
class VoteCounts:
    """How far annotators agree on the faces of all splits that have votes."""

    num_faces: int
    num_votes: float
    """Mean number of votes of a face."""
    agreement: float
    """Mean fraction of a face's votes that its most chosen answer has."""
    num_majority: int
    """Faces with an emotion that more than half chose, single votes dropped (the FER+ paper's rule)."""
    num_ties: int
    """Faces of which two answers, or more, were chosen most."""
    num_unknown: int
    """Faces of which "unknown" was chosen most."""
    num_not_a_face: int
    """Faces of which "not a face" was chosen most."""


@dataclass(frozen=True)
class Inspection:
    """The findings on a data set."""

    source: str
    layout: str

    labels: tuple[str, ...]
    """The names of the classes, in their order."""
    label_set: str
    """What ``--labels`` calls them; ``custom`` for the folders' own."""

    counts: dict[str, dict[str, int]]
    """Faces of each class, by split."""

    num_without_label: int
    """Faces, in all splits, that have votes alone."""

    mean: float
    std: float
    """Over every pixel / 255 of train (of the first split with faces, where train has none)."""

    contrast: Contrast
    """Of the same faces."""

    votes: VoteCounts | None
    """None for a data set without votes."""
    can_have_votes: bool
    """Whether it has none, and its file names are the popular folder's, so that FER+'s can be joined."""

    blank: tuple[str, ...]
    """Sources of the faces whose pixels are all equal."""

    duplicates: dict[str, int]
    """By split: faces that repeat the pixels of another one in it (three equal faces count as two)."""

    leaked: dict[str, int]
    """By split: faces with the pixels of one in an earlier split."""

    missing: dict[str, tuple[str, ...]]
    """By split that has faces: the classes without one. Nothing can be said of these on that split."""

    conflicts: tuple[Conflict, ...]
    problems: tuple[Problem, ...]
    fingerprint: str

    @property
    def total(self) -> int:
        """Number of faces in all splits."""
        return sum(sum(numbers.values()) for numbers in self.counts.values()) + self.num_without_label

    def to_json(self) -> dict[str, Any]:
        """The findings as what ``json`` takes; nothing left out."""
        return {
            "source": self.source,
            "layout": self.layout,
            "fingerprint": self.fingerprint,
            "total": self.total,
            "labels": list(self.labels),
            "label_set": self.label_set,
            "counts": self.counts,
            "num_without_label": self.num_without_label,
            "mean": self.mean,
            "std": self.std,
            "contrast": self.contrast.to_dict(),
            "votes": None if self.votes is None else asdict(self.votes),
            "can_have_votes": self.can_have_votes,
            "blank": list(self.blank),
            "duplicates": self.duplicates,
            "leaked": self.leaked,
            "missing": {split: list(names) for split, names in self.missing.items()},
            "conflicts": [dict(zip(conflict.sources, conflict.classes, strict=True)) for conflict in self.conflicts],
            "left_out_files": left_out_of(self.problems),
            "problems": [{"where": problem.where, "what": problem.what} for problem in self.problems],
        }


def inspect_faces(data: FaceData) -> Inspection:
    """Take stock of ``data``."""
    filled = [faces for faces in data.splits.values() if faces]
    mean, std = filled[0].mean_and_std()
    counts = {split: faces.counts(data.labels) for split, faces in data.splits.items()}
    return Inspection(
        source=data.source,
        layout=data.layout,
        labels=data.labels.names,
        label_set=data.labels.name,
        counts=counts,
        num_without_label=sum(int((faces.labels == NO_LABEL).sum()) for faces in filled),
        mean=mean,
        std=std,
        contrast=measure_contrast(filled[0].faces),
        votes=count_votes(data),
        can_have_votes=all(faces.votes is None for faces in filled) and has_known_names(data.splits),
        blank=tuple(
            source
            for faces in filled
            for source, face in zip(faces.sources, faces.faces, strict=True)
            if face.min() == face.max()
        ),
        duplicates={split: len(faces) - len(set(faces.digests())) for split, faces in data.splits.items()},
        leaked={split: int(leaked(data, split).sum()) for split in SPLITS[1:]},
        missing={
            split: tuple(name for name in data.labels.names if not numbers[name])
            for split, numbers in counts.items()
            if any(numbers.values())
        },
        conflicts=find_conflicts(data),
        problems=data.problems,
        fingerprint=data.fingerprint(),
    )


def count_votes(data: FaceData) -> VoteCounts | None:
    """How far the annotators of ``data`` agree; None where no face has a vote."""
    with_votes = [faces.votes for faces in data.splits.values() if faces and faces.votes is not None]
    votes = np.concatenate(with_votes) if with_votes else np.zeros((0, len(COLUMNS)))
    votes = votes[votes.sum(axis=1) > 0]
    if not len(votes):
        return None
    most = votes.max(axis=1)
    is_most = votes == most[:, np.newaxis]  # (N, 10)
    return VoteCounts(
        num_faces=len(votes),
        num_votes=float(votes.sum(axis=1).mean()),
        agreement=float((most / votes.sum(axis=1)).mean()),
        num_majority=int((majority(votes) != NO_MAJORITY).sum()),
        num_ties=int((is_most.sum(axis=1) > 1).sum()),
        num_unknown=int(is_most[:, COLUMNS.index("unknown")].sum()),
        num_not_a_face=int(is_most[:, COLUMNS.index("NF")].sum()),
    )


def find_conflicts(data: FaceData) -> tuple[Conflict, ...]:
    """Groups of faces, in whatever splits, with the same pixels and different labels."""
    groups: dict[bytes, list[tuple[str, int]]] = {}
    for faces in data.splits.values():
        for digest, source, label in zip(faces.digests(), faces.sources, faces.labels.tolist(), strict=True):
            if label != NO_LABEL:
                groups.setdefault(digest, []).append((source, label))
    return tuple(
        Conflict(tuple(source for source, _ in group), tuple(data.labels.names[label] for _, label in group))
        for group in groups.values()
        if len({label for _, label in group}) > 1
    )
