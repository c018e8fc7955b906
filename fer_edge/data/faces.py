"""Labelled faces in memory: one array a split."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fer_edge.data.left_out import left_out_of
from fer_edge.data.problems import Problem
from fer_edge.data.splits import SPLITS
from fer_edge.errors import DataError
from fer_edge.labels import FER2013, LabelSet

NO_LABEL = -1
"""The label of a face that has votes alone."""


@dataclass(frozen=True)
class FaceSet:
    """Faces of one split with their labels."""

    faces: np.ndarray
    """uint8 (N, size, size), grey levels 0-255."""

    labels: np.ndarray
    """int64 (N,), indices in the label set's names; NO_LABEL where a face has votes alone."""

    sources: tuple[str, ...]
    """Where each face is from, N texts: a path, ``file.csv:LINE`` or ``sample:INDEX``."""

    votes: np.ndarray | None = None
    """float32 (N, 10): how many annotators chose each column of ``fer_edge.data.votes.COLUMNS``; None without votes."""

    def __post_init__(self) -> None:
        if not len(self.faces) == len(self.labels) == len(self.sources):
            raise ValueError(f"{len(self.faces)} faces, {len(self.labels)} labels, {len(self.sources)} sources")
        if self.votes is not None and len(self.votes) != len(self.labels):
            raise ValueError(f"{len(self.faces)} faces, {len(self.votes)} rows of votes")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray | Iterable[int]) -> "FaceSet":
        """The faces at ``indices`` (integers, or a boolean mask of N), in that order."""
        selection = np.asarray(indices)
        if not selection.size:
            selection = selection.astype(np.int64)  # numpy makes an empty list float, which cannot index
        chosen = np.arange(len(self))[selection]
        return FaceSet(
            self.faces[chosen],
            self.labels[chosen],
            tuple(self.sources[index] for index in chosen),
            None if self.votes is None else self.votes[chosen],
        )

    def counts(self, labels: LabelSet) -> dict[str, int]:
        """Number of faces of each class of ``labels``, zeros included, in that order; others left out."""
        numbers = np.bincount(self.labels[self.labels != NO_LABEL], minlength=len(labels))
        return dict(zip(labels.names, numbers.tolist(), strict=True))

    def mean_and_std(self) -> tuple[float, float]:
        """Mean and standard deviation of pixel / 255 over every pixel, exact; (0.0, 1.0) where there is no face."""
        if not len(self):
            return 0.0, 1.0
        histogram = sum(np.bincount(face.ravel(), minlength=256) for face in self.faces)
        levels = np.arange(256) / 255
        mean = float(np.average(levels, weights=histogram))
        return mean, float(np.sqrt(np.average((levels - mean) ** 2, weights=histogram)))

    def digests(self) -> list[bytes]:
        """SHA-256 of the pixels of each face: equal exactly where two faces are byte-identical."""
        return [hashlib.sha256(face.tobytes()).digest() for face in self.faces]

    def labelled_digests(self, label_bytes: int = 1) -> list[bytes]:
        """The label in ``label_bytes`` bytes (all bits set for none) before the digest of each face."""
        labels = (self.labels % 256**label_bytes).tolist()
        return [
            label.to_bytes(label_bytes, "big") + digest for label, digest in zip(labels, self.digests(), strict=True)
        ]


def joined(first: FaceSet, second: FaceSet) -> FaceSet:
    """The faces of ``first``, then those of ``second``, of one size."""
    votes = None
    if first.votes is not None and second.votes is not None:
        votes = np.concatenate([first.votes, second.votes])
    return FaceSet(
        np.concatenate([first.faces, second.faces]),
        np.concatenate([first.labels, second.labels]),
        first.sources + second.sources,
        votes,
    )


def empty_face_set(size: int) -> FaceSet:
    """A set of no faces of ``size`` x ``size`` pixels."""
    return FaceSet(np.zeros((0, size, size), np.uint8), np.zeros(0, np.int64), ())


@dataclass(frozen=True)
class FaceData:
    """A whole data set: the three splits, what it was read from, and what was left out."""

    source: str
    """What was asked for, as text to show: an absolute path, or ``sample:N``."""

    layout: str
    """The layout that was recognised, in words."""

    train: FaceSet
    validation: FaceSet
    test: FaceSet

    problems: tuple[Problem, ...] = ()
    """What was left out under ``skip_bad``."""

    validation_from_train: bool = False
    """Whether the validation faces were chosen from train: another seed, or another size of faces, chooses others."""

    path: str | None = None
    """The absolute path it was read from, as the file system has it; None for synthetic faces."""

    labels: LabelSet = FER2013
    """The classes that the faces' labels are of."""

    @property
    def left_out(self) -> dict[str, int]:
        """Files and rows that were left out under ``skip_bad``, by kind: see ``fer_edge.data.left_out``."""
        return left_out_of(self.problems)

    @property
    def location(self) -> str:
        """What ``load_faces`` takes to read it again, from anywhere on this machine."""
        return self.path or self.source

    def names_of(self, faces: FaceSet) -> tuple[str, ...]:
        """Where each of ``faces`` is from, below this data set: for results that travel, which tell no machine's
        folders. Two faces of one file name in two folders have two names."""
        if self.path is None:
            return faces.sources
        place = Path(self.path)
        folder = place if place.is_dir() else place.parent
        paths = (Path(source).absolute() for source in faces.sources)
        return tuple(
            path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name for path in paths
        )

    def split(self, name: str) -> FaceSet:
        """The split called ``name``. Raises DataError, naming the splits there are, when it is unknown or empty."""
        chosen = self.splits.get(name)
        if not chosen:
            filled = ", ".join(split for split, faces in self.splits.items() if faces) or "none"
            raise DataError(
                f"{self.source}: expected faces in the split '{name}', found none; splits with faces: {filled} "
                f"({self.layout}); add faces to it, or name another split where the command has "
                "--split"
            )
        return chosen

    def with_split(self, name: str, sources: Collection[str]) -> tuple["FaceData", int]:
        """The same faces with those from ``sources`` as validation, where the data set does not say which are and a run
        chose them; and how many of them were in train. As it is for another split, or where the data set says it."""
        if not self.validation_from_train or name != "validation":
            return self, 0
        wanted = {Path(source).absolute() for source in sources}
        faces = joined(self.train, self.validation)
        chosen = np.array([Path(source).absolute() in wanted for source in faces.sources], bool)
        moved = int(chosen[: len(self.train)].sum())
        return replace(self, train=faces.take(~chosen), validation=faces.take(chosen)), moved

    @property
    def splits(self) -> dict[str, FaceSet]:
        """Every split by name, in the order of SPLITS, also those without faces."""
        return dict(zip(SPLITS, (self.train, self.validation, self.test), strict=True))

    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal over pixels, label and split of every face, whatever their paths and reading order.

        The names of the classes are part of it, except FER2013's, which were the only ones when it was first written.
        """
        return self._digest(
            sorted(split.encode() + one for split, faces in self.splits.items() for one in self._labelled(faces))
        )

    def training_fingerprints(self) -> dict[str, str]:
        """SHA-256 in hexadecimal of what a training run must know again, without the test split.

        ``order``: the train and validation faces as they follow each other. ``validation``: the validation faces,
        whatever their order. ``pool``: the train and validation faces together, whatever their split and order.
        ``votes``: those of the train and validation faces in their order, where there are any.
        """
        train, validation = self._labelled(self.train), self._labelled(self.validation)
        found = {
            "order": self._digest([*train, b"validation", *validation]),
            "validation": self._digest(sorted(validation)),
            "pool": self._digest(sorted(train + validation)),
        }
        votes = [faces.votes for faces in (self.train, self.validation) if faces.votes is not None]
        if votes:
            found["votes"] = hashlib.sha256(np.concatenate(votes).tobytes()).hexdigest()
        return found

    def _labelled(self, faces: FaceSet) -> list[bytes]:
        return faces.labelled_digests(1 if len(self.labels) < 256 else 2)

    def _digest(self, entries: list[bytes]) -> str:
        names = [] if self.labels == FER2013 else [b"labels", *(name.encode() for name in self.labels.names)]
        return hashlib.sha256(b"\n".join([*names, *entries])).hexdigest()
