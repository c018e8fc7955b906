"""The faces that rows are timed on and judged by."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_edge.benchmark.request import BenchmarkRequest
from fer_edge.data.load import DEFAULT_SOURCES, load_faces
from fer_edge.data.sample import synthetic_faces

if TYPE_CHECKING:
    from fer_edge.data.faces import FaceSet

DRAWN_FOR_AGREEMENT = 256
"""Drawn faces that models are compared on where there are no labelled ones."""
_SEED = 0


@dataclass(frozen=True)
class JudgingFaces:
    """What all rows of models with one image size answer."""

    faces: np.ndarray
    """uint8 (N, S, S)"""
    labels: np.ndarray | None
    """int64 (N,); None for drawn faces, on which only agreement is measured."""
    source: str
    """What they are, in words."""


def timing_faces(count: int, size: int) -> np.ndarray:
    """Drawn faces uint8 (count, size, size): the same on every machine, so that two benchmarks time the same input."""
    drawn = synthetic_faces(range(min(count, 64)), size=size).faces
    return np.resize(drawn, (count, size, size))


def judging_faces(request: BenchmarkRequest, size: int, seed: int) -> JudgingFaces:
    """The split of the data that was named or that lies in the working directory, or drawn faces. Raises DataError.

    ``seed`` is that of the training run, which chose the validation faces where the data set has none.
    """
    source = request.data or next((name for name in DEFAULT_SOURCES if Path(name).exists()), None)
    if source is None:
        drawn = synthetic_faces(range(DRAWN_FOR_AGREEMENT), size=size).faces
        return JudgingFaces(drawn, None, f"{len(drawn)} drawn faces")
    data = load_faces(source, size=size, seed=seed)
    chosen = data.split(request.split)
    faces = _some(chosen, request.num_faces)
    of_all = f" of {len(chosen)}" if len(faces) < len(chosen) else ""
    name = Path(data.source).name  # results travel: they tell no machine's folders
    return JudgingFaces(faces.faces, faces.labels, f"{len(faces)}{of_all} faces, {request.split} split of {name}")


def _some(faces: "FaceSet", count: int) -> "FaceSet":
    """``count`` faces at random by a fixed seed, in their order; all for 0."""
    if not 0 < count < len(faces):
        return faces
    return faces.take(np.sort(np.random.default_rng(_SEED).choice(len(faces), count, replace=False)))
