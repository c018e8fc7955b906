"""Conformal prediction sets: the classes among which the true one is, as often as was asked for.

Split conformal prediction (V. Vovk et al., "Algorithmic Learning in a Random World", 2005): where the next face is
drawn as those were that the threshold is from, the true class is in its set with a probability of at least
``coverage``, be the model good or bad. That holds on average over all faces, not for each class: so coverage is told
by class.
"""

import math
from dataclasses import dataclass

import numpy as np

from fer_edge.runtime.certainty import SCORES, prediction_sets


def fewest_faces(coverage: float) -> int:
    """With fewer faces than this, no threshold has the coverage (0-1, exclusive)."""
    return math.ceil(round(coverage / (1 - coverage), 9))


def conformal_threshold(probabilities: np.ndarray, labels: np.ndarray, method: str, coverage: float) -> float:
    """The score (``lac`` or ``aps``) that at least ``coverage`` of all faces' true classes have at most.

    The ceil((N + 1) * coverage)-th smallest of the scores of ``labels``, integers (N,), in ``probabilities`` (N, C).
    Raises ValueError for fewer than ``fewest_faces``.
    """
    scores = np.sort(SCORES[method](probabilities)[np.arange(len(labels)), labels])
    rank = math.ceil(round((len(scores) + 1) * coverage, 9))
    if rank > len(scores):
        raise ValueError(
            f"expected at least {fewest_faces(coverage)} faces for coverage {coverage}, found {len(scores)}"
        )
    return float(scores[rank - 1])


@dataclass(frozen=True)
class SetMetrics:
    """What prediction sets are worth on labelled faces."""

    faces: int
    covered: int
    """Faces whose true class is in their set."""
    sizes: tuple[int, ...]
    """How many sets have 1, 2, ..., C classes."""
    class_faces: tuple[int, ...]
    """Faces of each of the C classes."""
    class_covered: tuple[int, ...]
    """Those of them whose set has it."""

    @property
    def coverage(self) -> float:
        """Fraction of the faces that is covered."""
        return self.covered / self.faces

    @property
    def mean_size(self) -> float:
        """Mean number of classes in a set: 1 says something, C nothing."""
        return float(np.average(np.arange(1, len(self.sizes) + 1), weights=self.sizes))


def evaluate_sets(probabilities: np.ndarray, labels: np.ndarray, method: str, threshold: float) -> SetMetrics:
    """Measure the sets of ``probabilities`` (N, C) against ``labels``, integers (N,), N at least 1."""
    sets = prediction_sets(probabilities, method, threshold)
    num_classes = sets.shape[1]
    covered = sets[np.arange(len(labels)), labels]
    sizes = np.bincount(sets.sum(axis=1), minlength=num_classes + 1)[1:]
    return SetMetrics(
        faces=len(labels),
        covered=int(covered.sum()),
        sizes=tuple(sizes.tolist()),
        class_faces=tuple(np.bincount(labels, minlength=num_classes).tolist()),
        class_covered=tuple(np.bincount(labels[covered], minlength=num_classes).tolist()),
    )
