"""How far a run of ``score`` is, and what came of it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class ScoreProgress:
    """Counts while a run goes on."""

    rows: int = 0
    """In files that are written, those of an earlier run too."""
    errors: int = 0
    """Of these, images that could not be scored."""
    rows_before: int = 0
    """Of these, rows of an earlier run, which were not scored again."""
    parts: int = 0
    """Files."""
    labels: Counter[str] = field(default_factory=Counter)
    """How many images have which label."""
    uncertain: int = 0
    """Images whose answers are not certain; 0 for a model that was not calibrated."""
    restarts: int = 0
    """Worker processes that ended and were started again."""

    def add(self, facts: "PartFacts", *, is_old: bool) -> None:
        """Count one file."""
        self.rows += facts.rows
        self.errors += facts.errors
        self.rows_before += facts.rows * is_old
        self.parts += 1
        self.labels.update(facts.labels)
        self.uncertain += facts.uncertain


@dataclass(frozen=True)
class PartFacts:
    """What one file holds."""

    rows: int
    errors: int
    labels: Mapping[str, int]
    uncertain: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "rows": self.rows,
            "errors": self.errors,
            "labels": dict(self.labels),
            "uncertain": self.uncertain,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "PartFacts":
        """What ``as_dict`` gave. Raises KeyError, TypeError or ValueError for other values."""
        labels = {str(k): int(v) for k, v in values["labels"].items()}
        return cls(int(values["rows"]), int(values["errors"]), labels, int(values["uncertain"]))


@dataclass(frozen=True)
class ScoreReport:
    """What a run of ``score`` wrote."""

    out: str
    model: str
    model_sha256: str
    engine: str
    workers: int
    rows: int
    errors: int
    """Images that could not be scored: each is a row with the error."""
    rows_before: int
    """Rows of an earlier run, which were not scored again."""
    parts: int
    labels: Mapping[str, int]
    """How many images have which label, the most frequent first."""
    uncertain: int | None
    """Images whose answers are not certain; None for a model that was not calibrated."""
    unreadable_folders: int
    """Folders of the input that could not be listed: their images are missing."""
    first_unreadable: str | None
    left_out: Mapping[str, int]
    """Files of the input that are no images by their names, by suffix."""
    restarts: int
    seconds: float

    @property
    def images_per_s(self) -> float:
        """Images scored by this run a second, the start of its processes included."""
        return (self.rows - self.rows_before) / max(self.seconds, 1e-9)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **vars(self),
            "labels": dict(self.labels),
            "left_out": dict(self.left_out),
            "seconds": round(self.seconds, 3),
            "images_per_s": round(self.images_per_s, 1),
        }
