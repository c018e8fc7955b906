"""Which class each row names for each labelled face, small enough to keep in a benchmark's JSON: one sign a face."""

import hashlib
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmark.faces import JudgingFaces

SIGNS = string.digits + string.ascii_lowercase + string.ascii_uppercase
"""Of class 0, 1 and so on: ``0`` to ``9``, then letters. A model of more classes has no answers in the JSON."""


@dataclass(frozen=True)
class AnsweredFaces:
    """Labelled faces that rows answered: which they were, and what is right."""

    fingerprint: str
    """SHA-256 of their pixels and of the names of their classes, in their order."""
    source: str
    """What they are, in words."""
    labels: list[str]
    """Names of the classes that ``truth`` counts."""
    truth: str
    """The sign of the right class, one a face."""
    names: tuple[str, ...] = ()
    """Name of each face's file; not in the JSON, where they would take the most room."""

    def __post_init__(self) -> None:
        """Raises ValueError for signs of no class."""
        check_signs(self.truth, len(self.labels))

    def __len__(self) -> int:
        return len(self.truth)

    @classmethod
    def of(cls, faces: JudgingFaces, labels: Sequence[str]) -> "AnsweredFaces | None":
        """None for faces without labels, and for no names or more of them than there are signs."""
        if faces.labels is None or not 0 < len(labels) <= len(SIGNS):
            return None
        digest = hashlib.sha256(repr(faces.faces.shape).encode())
        digest.update("".join(f"{len(labels[one])} {labels[one]}" for one in faces.labels).encode())
        digest.update(np.ascontiguousarray(faces.faces).tobytes())
        return cls(digest.hexdigest(), faces.source, list(labels), signs_of(faces.labels), faces.names)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {key: getattr(self, key) for key in ("fingerprint", "source", "labels", "truth")}


def signs_of(classes: Iterable[int]) -> str:
    """One sign a class number."""
    return "".join(SIGNS[one] for one in classes)


def class_names(signs: str, labels: Sequence[str]) -> NDArray[np.object_]:
    """The names (N,) that signs stand for."""
    names: NDArray[np.object_] = np.array(labels, object)[[SIGNS.index(one) for one in signs]]
    return names


def check_signs(signs: str, num_classes: int) -> None:
    """Raise ValueError for a sign that stands for none of the classes."""
    if not isinstance(signs, str) or set(signs) - set(SIGNS[:num_classes]):
        raise ValueError(f"answers that are none of {num_classes} classes")
