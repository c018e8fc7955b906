"""What to know about a data set before training on it: counts, pixel statistics, blanks, duplicates, leaks."""

from dataclasses import dataclass
from typing import Any

from fer_edge.data.faces import FaceData
from fer_edge.data.leaks import leaked
from fer_edge.data.problems import Problem
from fer_edge.data.splits import SPLITS
from fer_edge.labels import EXPRESSIONS


@dataclass(frozen=True)
class Conflict:
    """Faces with the same pixels and different labels: at most one of the labels is right."""

    sources: tuple[str, ...]
    """Where the faces are from."""

    expressions: tuple[str, ...]
    """The label of each of them."""


@dataclass(frozen=True)
class Inspection:
    """The findings on a data set."""

    source: str
    layout: str

    counts: dict[str, dict[str, int]]
    """Faces of each expression, by split."""

    mean: float
    std: float
    """Over every pixel / 255 of train (of the first split with faces, where train has none)."""

    blank: tuple[str, ...]
    """Sources of the faces whose pixels are all equal."""

    duplicates: dict[str, int]
    """By split: faces that repeat the pixels of another one in it (three equal faces count as two)."""

    leaked: dict[str, int]
    """By split: faces with the pixels of one in an earlier split."""

    missing: dict[str, tuple[str, ...]]
    """By split that has faces: the expressions without one. Nothing can be said of these on that split."""

    conflicts: tuple[Conflict, ...]
    problems: tuple[Problem, ...]
    fingerprint: str

    @property
    def total(self) -> int:
        """Number of faces in all splits."""
        return sum(sum(numbers.values()) for numbers in self.counts.values())

    def to_json(self) -> dict[str, Any]:
        """The findings as what ``json`` takes; nothing left out."""
        return {
            "source": self.source,
            "layout": self.layout,
            "fingerprint": self.fingerprint,
            "total": self.total,
            "counts": self.counts,
            "mean": self.mean,
            "std": self.std,
            "blank": list(self.blank),
            "duplicates": self.duplicates,
            "leaked": self.leaked,
            "missing": {split: list(names) for split, names in self.missing.items()},
            "conflicts": [
                dict(zip(conflict.sources, conflict.expressions, strict=True)) for conflict in self.conflicts
            ],
            "problems": [{"where": problem.where, "what": problem.what} for problem in self.problems],
        }


def inspect_faces(data: FaceData) -> Inspection:
    """Take stock of ``data``."""
    filled = [faces for faces in data.splits.values() if faces]
    mean, std = filled[0].mean_and_std()
    counts = {split: faces.counts() for split, faces in data.splits.items()}
    return Inspection(
        source=data.source,
        layout=data.layout,
        counts=counts,
        mean=mean,
        std=std,
        blank=tuple(
            source
            for faces in filled
            for source, face in zip(faces.sources, faces.faces, strict=True)
            if face.min() == face.max()
        ),
        duplicates={split: len(faces) - len(set(faces.digests())) for split, faces in data.splits.items()},
        leaked={split: int(leaked(data, split).sum()) for split in SPLITS[1:]},
        missing={
            split: tuple(name for name in EXPRESSIONS if not numbers[name])
            for split, numbers in counts.items()
            if any(numbers.values())
        },
        conflicts=find_conflicts(data),
        problems=data.problems,
        fingerprint=data.fingerprint(),
    )


def find_conflicts(data: FaceData) -> tuple[Conflict, ...]:
    """Groups of faces, in whatever splits, with the same pixels and different labels."""
    groups: dict[bytes, list[tuple[str, int]]] = {}
    for faces in data.splits.values():
        for digest, source, label in zip(faces.digests(), faces.sources, faces.labels.tolist(), strict=True):
            groups.setdefault(digest, []).append((source, label))
    return tuple(
        Conflict(tuple(source for source, _ in group), tuple(EXPRESSIONS[label] for _, label in group))
        for group in groups.values()
        if len({label for _, label in group}) > 1
    )
