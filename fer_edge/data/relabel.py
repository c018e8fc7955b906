"""The same faces under another label set: a model's, where the data says more or calls it otherwise."""

from dataclasses import replace

import numpy as np

from fer_edge.data.classes import judging_others
from fer_edge.data.faces import NO_LABEL, FaceData, FaceSet
from fer_edge.data.votes import NO_MAJORITY, majority
from fer_edge.errors import DataError
from fer_edge.labels import FERPLUS, LabelSet, class_map


def relabelled(data: FaceData, target: LabelSet, *, may_lack: bool = False) -> FaceData:
    """``data`` with the labels of ``target``.

    Faces of classes that ``target`` has not (contempt, where it is FER2013) are left out. Where ``target`` is FERPLUS
    and the faces have votes, the label is the votes' majority (see ``votes.majority``), as it is where no face
    has a label; faces without a majority keep their votes alone. Raises DataError where the data cannot have faces of
    a class of ``target``, unless it ``may_lack`` some: then only where it has none of them.
    """
    if _is_to_be_labelled_by_votes(data, target):
        data = _with(data, FERPLUS, [_labelled_by_votes(faces) for faces in data.splits.values()])
    if data.labels == target:
        return data
    mapped = class_map(data.labels, target)
    missing = [name for index, name in enumerate(target.names) if index not in mapped]
    if len(missing) == len(target) or (missing and not may_lack):
        raise DataError(
            f"{data.source}: expected faces of the model's classes ({', '.join(target.names)}), found a data set of "
            f"{', '.join(data.labels.names)}, which has no {', '.join(missing)}; name other faces with --data, "
            "say with --class-map which of its classes these are, or "
            f"{judging_others(data.location, data.labels.names)}"
        )
    indices = np.array([NO_LABEL if index is None else index for index in mapped] + [NO_LABEL])  # the last: of NO_LABEL
    return _with(data, target, [_mapped(faces, indices) for faces in data.splits.values()])


def left_out(data: FaceData, target: LabelSet, split: str) -> dict[str, int]:
    """How many faces of ``split`` have each class that ``relabelled(data, target)`` leaves out."""
    if _is_to_be_labelled_by_votes(data, target):
        data = _with(data, FERPLUS, [_labelled_by_votes(faces) for faces in data.splits.values()])
    if data.labels == target:
        return {}
    counts = data.splits[split].counts(data.labels)
    missing = (
        name for name, index in zip(data.labels.names, class_map(data.labels, target), strict=True) if index is None
    )
    return {name: counts[name] for name in missing if counts[name]}


def _is_to_be_labelled_by_votes(data: FaceData, target: LabelSet) -> bool:
    """Whether the votes are to say the label: for FERPLUS, whose labels they are, and where no face has another."""
    filled = [faces for faces in data.splits.values() if faces]
    if data.labels == FERPLUS or any(faces.votes is None for faces in filled):
        return False
    return target == FERPLUS or all((faces.labels == NO_LABEL).all() for faces in filled)


def _labelled_by_votes(faces: FaceSet) -> FaceSet:
    if faces.votes is None:
        return faces  # none at all: an empty split
    labels = majority(faces.votes)
    return replace(faces, labels=np.where(labels == NO_MAJORITY, NO_LABEL, labels))


def _mapped(faces: FaceSet, indices: np.ndarray) -> FaceSet:
    labels = indices[faces.labels]
    keep = (labels != NO_LABEL) | (faces.labels == NO_LABEL)
    return replace(faces, labels=labels).take(keep)


def _with(data: FaceData, labels: LabelSet, splits: list[FaceSet]) -> FaceData:
    train, validation, test = splits
    return replace(data, train=train, validation=validation, test=test, labels=labels)
