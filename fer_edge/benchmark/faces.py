"""The faces that rows are timed on and judged by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_edge.benchmark.request import BenchmarkRequest
from fer_edge.data.faces import NO_LABEL
from fer_edge.data.load import DEFAULT_SOURCES, load_faces_for
from fer_edge.data.relabel import relabelled
from fer_edge.data.sample import synthetic_faces
from fer_edge.errors import DataError
from fer_edge.labels import FER2013, LabelSet

if TYPE_CHECKING:
    from fer_edge.data.faces import FaceSet

SYNTHETIC_FOR_AGREEMENT = 256
"""Synthetic faces that models are compared on where there are no labelled ones."""
_SEED = 0


@dataclass(frozen=True)
class JudgingFaces:
    """What all rows of models with one image size answer."""

    faces: np.ndarray
    """uint8 (N, S, S)"""
    labels: np.ndarray | None
    """int64 (N,); None for synthetic faces, on which only agreement is measured."""
    source: str
    """What they are, in words."""
    names: tuple[str, ...] = ()
    """Of each face: its file below the data set, or the row of a table."""
    other_classes: str = ""
    """Why there are faces and no labels: the data set has not all of the model's classes."""
    left_out_files: Mapping[str, int] = field(default_factory=dict)
    """Files and rows of the data set that cannot be used, by kind (``fer_edge.data.left_out``)."""

    def classes_without_faces(self, names: Sequence[str]) -> list[str]:
        """Those of the classes ``names`` that no face has; none where there are no labels at all."""
        present = set(range(len(names)) if self.labels is None else self.labels.tolist())
        return [name for place, name in enumerate(names) if place not in present]


def timing_faces(count: int, size: int) -> np.ndarray:
    """Synthetic faces uint8 (count, size, size), the same on every machine: two benchmarks time the same input."""
    faces = synthetic_faces(range(min(count, 64)), size=size).faces
    return np.resize(faces, (count, size, size))


def judging_faces(request: BenchmarkRequest, size: int, seed: int, labels: LabelSet = FER2013) -> JudgingFaces:
    """The split of the data that was named or that lies in the working directory, or synthetic faces. Raises DataError.

    Without labels where the data set lacks classes among ``labels``. ``seed`` is that of the training run, which chose
    the validation faces where the data set has none.
    """
    source = request.data or next((name for name in DEFAULT_SOURCES if Path(name).exists()), None)
    if source is None:
        synthetic = synthetic_faces(range(SYNTHETIC_FOR_AGREEMENT), size=size).faces
        return JudgingFaces(synthetic, None, f"{len(synthetic)} synthetic faces")
    data = load_faces_for(labels, source, size=size, seed=seed, class_map=request.class_map, skip_bad=request.skip_bad)
    other_classes = ""
    try:
        data = relabelled(data, labels)
    except DataError as error:
        other_classes = str(error)
    chosen = data.split(request.split)
    chosen = chosen.take(chosen.labels != NO_LABEL)
    faces = _some(chosen, request.num_faces)
    of_all = f" of {len(chosen)}" if len(faces) < len(chosen) else ""
    name = Path(data.source).name  # results travel: they tell no machine's folders
    what = f"{len(faces)}{of_all} faces, {request.split} split of {name}"
    if other_classes:
        return JudgingFaces(
            faces.faces, None, f"{what}, without labels", other_classes=other_classes, left_out_files=data.left_out
        )
    names = data.names_of(faces)
    return JudgingFaces(faces.faces, faces.labels, what, names, left_out_files=data.left_out)


def _some(faces: "FaceSet", count: int) -> "FaceSet":
    """``count`` faces at random by a fixed seed, in their order; all for 0."""
    if not 0 < count < len(faces):
        return faces
    return faces.take(np.sort(np.random.default_rng(_SEED).choice(len(faces), count, replace=False)))
