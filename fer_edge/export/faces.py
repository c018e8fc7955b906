"""The faces that an export is measured on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_edge.data.class_map import ClassMap
from fer_edge.data.faces import NO_LABEL, FaceData, FaceSet
from fer_edge.data.load import load_faces
from fer_edge.data.relabel import relabelled
from fer_edge.errors import DataError
from fer_edge.training.checkpoint import CheckpointInfo
from fer_edge.training.evaluate import faces_of

SYNTHETIC_FACES = "sample:105"
"""Faces that parity is measured on where no others are given: two thirds of them, 70, are the train split."""


@dataclass(frozen=True)
class JudgingFaces:
    """What parity is measured on."""

    probes: NDArray[np.uint8]
    """uint8 (N, S, S), made into probes."""
    labelled: FaceSet | None
    """Faces for the accuracy of both sides: the validation split of given data; synthetic ones say nothing about it."""
    source: str
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Files and rows of the data set that cannot be used, by kind (``fer_edge.data.left_out``)."""


def judging_faces(image_size: int, given: FaceData | None) -> JudgingFaces:
    """The validation split of ``given``, or synthetic faces where nothing is given. Raises DataError."""
    if given is None:
        synthetic = load_faces(SYNTHETIC_FACES, size=image_size)
        return JudgingFaces(synthetic.split("train").faces, None, synthetic.source)
    validation = given.split("validation")
    labelled = with_labels(validation)
    if not len(labelled):
        raise DataError(f"{given.source}: expected labelled faces in validation, found faces with votes alone")
    name = Path(given.source).name  # reports travel: they must not tell this machine's folders
    return JudgingFaces(validation.faces, labelled, name, given.left_out)


def given_faces(
    info: CheckpointInfo,
    data: str | None,
    skip_bad: bool,
    *,
    of_training: bool = False,
    class_map: ClassMap | None = None,
) -> FaceData | None:
    """The faces at ``data`` under the checkpoint's labels; None where none are named, unless those ``of_training``."""
    if data is None and not of_training:
        return None
    found = relabelled(faces_of(info, data, skip_bad=skip_bad, class_map=class_map), info.label_set)
    return replace(found, source=Path(found.source).name)  # metadata travel: they must not tell this machine's folders


def with_labels(faces: FaceSet) -> FaceSet:
    """Without those that have votes alone."""
    return faces.take(faces.labels != NO_LABEL)
