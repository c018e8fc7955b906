"""Evaluate an exported model as an app would run it: by its backend, fed pixels."""

from functools import partial
from pathlib import Path

import numpy as np

from fer_edge.backends.contract import Backend
from fer_edge.backends.registry import open_model
from fer_edge.data.class_map import ClassMap
from fer_edge.data.faces import FaceData
from fer_edge.data.load import load_faces, load_faces_for
from fer_edge.evaluation.evaluation import CROP_FRACTION, Evaluation, Subject, Views, evaluate_split
from fer_edge.metadata import ModelMetadata
from fer_edge.runtime.certainty import Certainty
from fer_edge.runtime.foreign import ForeignMetadata
from fer_edge.runtime.foreign_files import Description
from fer_edge.runtime.machine import describe_machine
from fer_edge.runtime.shipped import model_path

_BATCH_SIZE = 64


def evaluate_model(
    model: str | Path,
    *,
    source: str | None = None,
    labels: str | None = None,
    split: str = "validation",
    drop_leaks: bool = False,
    skip_bad: bool = False,
    augmentation: Views = "none",
    provider: str = "cpu",
    votes: str | Path | None = None,
    corruptions: bool = False,
    class_map: ClassMap | None = None,
    trust: bool = False,
    description: Description | None = None,
    like: Evaluation | None = None,
) -> Evaluation:
    """Evaluate the model file ``model``, or the shipped model of that name, on ``split`` of the faces at ``source``.

    Without ``source`` the faces are those of the folder ``fer2013`` here. ``labels`` says what the faces' labels are,
    as ``load_faces`` takes it; without it they are the model's where the folders, by ``class_map`` if there is one, are
    called so. ``votes`` is FER+'s table for faces that lack votes. ``corruptions`` evaluates on corrupted faces, too,
    ``like`` on the faces of another evaluation of the same data; ``trust`` and ``description`` are ``open_model``'s.
    Raises ModelError, ProviderError and DataError (an empty split too).
    """
    model = model_path(model)
    backend = open_model(model, threads=0, provider=provider, trust=trust, description=description)
    metadata = backend.metadata
    is_verified = not isinstance(metadata, ForeignMetadata)
    data = faces_for(metadata, source, labels=labels, skip_bad=skip_bad, votes=votes, class_map=class_map)
    facts = {
        "architecture": metadata.architecture,
        "settings": dict(metadata.settings),
        "precision": metadata.precision,
    }
    subject = Subject(
        kind="model",
        path=model,
        description=f"{metadata.architecture} {metadata.precision} on {backend.provider}"
        + ("" if is_verified else ", another maker's: not verified"),
        facts=facts | {"provider": backend.provider, "verified": is_verified},
        data_fingerprint=metadata.training_data.fingerprint,
        labels=metadata.label_set,
        certainty=None if metadata.uncertainty is None else Certainty.of(metadata.uncertainty),
    )

    def probabilities_of(faces: np.ndarray) -> np.ndarray:
        mean = np.mean([answers_of(backend, view) for view in _views(faces, augmentation)], axis=0)
        return np.asarray(mean / mean.sum(axis=1, keepdims=True))  # float32 rounding left the rows a little off one

    return evaluate_split(
        subject,
        probabilities_of,
        data,
        split,
        drop_leaks=drop_leaks,
        augmentation=augmentation,
        machine=describe_machine(),
        corruptions=corruptions,
        may_lack_classes=labels is not None,  # somebody said so
        like=like,
    )


def faces_for(
    metadata: ModelMetadata,
    source: str | None,
    *,
    labels: str | None = None,
    skip_bad: bool = False,
    votes: str | Path | None = None,
    class_map: ClassMap | None = None,
) -> FaceData:
    """The faces at ``source`` of the size that a model takes, split as its training run split them.

    The options are ``evaluate_model``'s. Raises DataError.
    """
    load = partial(load_faces_for, metadata.label_set) if labels is None else partial(load_faces, labels=labels)
    size, seed = metadata.image_size, metadata.training_data.seed
    return load(source, size=size, skip_bad=skip_bad, seed=seed, votes=votes, class_map=class_map)


def answers_of(backend: Backend, faces: np.ndarray) -> np.ndarray:
    """Probabilities float64 (N, C), N at least 1, of faces uint8 (N, S, S)."""
    starts = range(0, len(faces), _BATCH_SIZE)
    batches = (np.ascontiguousarray(faces[start : start + _BATCH_SIZE, :, :, np.newaxis]) for start in starts)
    return np.concatenate([backend.run(batch).probabilities for batch in batches]).astype(np.float64)


def _views(faces: np.ndarray, augmentation: Views) -> list[np.ndarray]:
    """uint8 (N, S, S) each, or smaller crops, which the model enlarges itself."""
    if augmentation == "none":
        return [faces]
    if augmentation == "flip":
        return [faces, faces[:, :, ::-1]]
    size = faces.shape[-1]
    side = round(size * CROP_FRACTION)
    far, middle = size - side, (size - side) // 2
    corners = ((0, 0), (0, far), (far, 0), (far, far), (middle, middle))
    crops = [faces[:, top : top + side, left : left + side] for top, left in corners]
    return [view for crop in crops for view in (crop, crop[:, :, ::-1])]
