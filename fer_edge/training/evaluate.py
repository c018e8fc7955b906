"""Evaluate a checkpoint on a split it did not train on."""

from pathlib import Path

import numpy as np
import torch

from fer_edge.data.class_map import ClassMap
from fer_edge.data.faces import FaceData
from fer_edge.data.load import load_faces
from fer_edge.data.sample import is_sample
from fer_edge.errors import CheckpointError
from fer_edge.evaluation.evaluation import Evaluation, Subject, Views, evaluate_split
from fer_edge.evaluation.metrics import softmax
from fer_edge.labels import FERPLUS
from fer_edge.runtime.images import face_pixels
from fer_edge.text import printable
from fer_edge.training.checkpoint import CheckpointInfo, load_classifier
from fer_edge.training.hardware import choose_device, describe_machine
from fer_edge.training.inference import predict_logits


def evaluate_checkpoint(
    checkpoint: Path,
    *,
    source: str | None = None,
    labels: str | None = None,
    split: str = "validation",
    drop_leaks: bool = False,
    skip_bad: bool = False,
    augmentation: Views = "none",
    device: str = "auto",
    votes: str | Path | None = None,
    corruptions: bool = False,
    class_map: ClassMap | None = None,
    like: Evaluation | None = None,
) -> Evaluation:
    """Evaluate the checkpoint or run folder at ``checkpoint`` on ``split`` of the faces at ``source``.

    Without ``source`` the faces are those of the run; without ``labels`` (as ``load_faces`` takes it) they have the
    run's, and likewise ``class_map``. ``votes`` is FER+'s table for faces that lack votes. ``corruptions`` evaluates on
    corrupted faces, too, ``like`` on the faces of another evaluation of the same data.
    Raises CheckpointError, DataError (an empty split too) and TrainingError (a device that is not there).
    """
    classifier, info = load_classifier(checkpoint)
    place = choose_device(device)
    data = faces_of(
        info, source, skip_bad=skip_bad, labels=labels or info.data_labels, votes=votes, class_map=class_map
    )
    facts = {"architecture": info.architecture, "settings": info.settings, "epoch": info.epoch}
    subject = Subject("checkpoint", info.path, f"epoch {info.epoch}", facts, info.data_fingerprint, info.label_set)
    classifier.to(place)

    def probabilities_of(faces: np.ndarray) -> np.ndarray:
        if faces.shape[1] != info.image_size:  # resized as in the exported graph
            faces = np.stack([face_pixels(face, info.image_size) for face in faces])
        return softmax(predict_logits(classifier, faces, mean=info.mean, std=info.std, augmentation=augmentation))

    return evaluate_split(
        subject,
        probabilities_of,
        data,
        split,
        drop_leaks=drop_leaks,
        augmentation=augmentation,
        machine=describe_machine(place if place.type == "cuda" else torch.device("cpu")),
        corruptions=corruptions,
        may_lack_classes=labels is not None,  # somebody said so
        like=like,
    )


def faces_of(
    info: CheckpointInfo,
    source: str | None = None,
    *,
    skip_bad: bool = False,
    labels: str | None = None,
    votes: str | Path | None = None,
    class_map: ClassMap | None = None,
) -> FaceData:
    """The faces at ``source``, by default the run's own, split as the run split them: to judge what came of it.

    Raises CheckpointError when the run's faces are not where they were, and what ``load_faces`` raises.
    """
    # The seed is the run's: it decides which training faces are validation where the data has no split of its own.
    return load_faces(
        source or _recorded_source(info),
        labels=labels or (FERPLUS.name if info.heads[0].name == "votes" else info.data_labels),
        size=info.image_size,
        skip_bad=skip_bad or (source is None and info.skip_bad),
        seed=info.seed,
        votes=votes,
        class_map=class_map or _recorded_map(info, source),
    )


def _recorded_map(info: CheckpointInfo, source: str | None) -> ClassMap:
    """The run's map; for other faces entries need not match, and numbers in tables keep their meaning."""
    is_own = source is None or Path(source).resolve() == Path(info.data_source).resolve()
    return ClassMap(info.data_class_map, is_strict=is_own)


def _recorded_source(info: CheckpointInfo) -> str:
    source = info.data_source
    if not is_sample(source) and not Path(source).exists():
        raise CheckpointError(
            f"{info.path}: expected its training data at {printable(source)}, found nothing; name it with --data"
        )
    return source
