"""What a run begins from: its faces, a seeded classifier with its first weights, and the record of their origin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fer_edge import __version__
from fer_edge.data.class_map import ClassMap
from fer_edge.data.faces import NO_LABEL, FaceData
from fer_edge.data.load import load_faces
from fer_edge.data.names import is_fer2013
from fer_edge.data.votes import NO_MAJORITY, majority
from fer_edge.errors import TrainingError
from fer_edge.labels import AUTO, FER2013
from fer_edge.training.architectures import architecture_named
from fer_edge.training.batches import votes_of
from fer_edge.training.checkpoint import CheckpointInfo, classifier_from_config, network_settings
from fer_edge.training.classifier import FacialExpressionClassifier
from fer_edge.training.config import TrainConfig
from fer_edge.training.distributed import Processes
from fer_edge.training.hardware import describe_machine
from fer_edge.training.heads import Head, heads_of, outputs_in_words, shared_outputs, with_new_outputs
from fer_edge.training.random_states import seed_everything
from fer_edge.training.weights import StartingWeights, TrainedWeights, mean_of_weights, starting_weights

_SMALLEST_STD = 1e-3  # faces that are all one grey must not divide by zero


@dataclass(frozen=True)
class DataRequest:
    """Which labelled faces a run trains on, so that it can find them again."""

    source: str | None = None
    """As ``load_faces`` takes it."""
    skip_bad: bool = False
    drop_leaks: bool = False
    labels: str = AUTO
    """As ``load_faces`` takes it."""
    votes: str | None = None
    """The table of FER+'s votes for faces that lack them, as ``load_faces`` takes it."""
    class_map: dict[str, str] = field(default_factory=dict)
    """Folders or label values to classes, the entries of a ``ClassMap``."""

    def load(self, config: TrainConfig) -> FaceData:
        """Read the faces at the run's image size; the run's seed chooses validation faces where there is no split."""
        return load_faces(
            self.source,
            labels=self.labels,
            votes=self.votes,
            class_map=ClassMap(self.class_map),
            size=config.image_size,
            skip_bad=self.skip_bad,
            drop_leaks=self.drop_leaks,
            seed=config.seed,
        )


def mean_and_std_of(data: FaceData) -> tuple[float, float]:
    """Mean and standard deviation of pixel / 255 over the training faces, the latter above 0."""
    mean, std = data.train.mean_and_std()
    return mean, max(std, _SMALLEST_STD)


def build_for_training(
    config: TrainConfig,
    data: FaceData,
    processes: Processes | None = None,
    request: DataRequest | None = None,
) -> tuple[FacialExpressionClassifier, CheckpointInfo]:
    """A seeded classifier with its starting weights, and the record of where it comes from. ``config`` is resolved.

    Raises TrainingError when the weights do not fit the architecture, or the architecture the size of the faces.
    """
    processes, request = processes or Processes(), request or DataRequest()
    mean, std = mean_and_std_of(data)
    heads = heads_of(config.heads, data.labels)
    _check_targets(data, heads)
    architecture = architecture_named(config.architecture)
    seed_everything(config.seed)
    # The other processes take the main one's weights when DistributedDataParallel begins: one download is enough.
    weights = starting_weights(config.weights, architecture) if processes.is_main else StartingWeights(None, "")
    classifier = classifier_from_config(config, weights.state, heads)
    description = weights.description
    for trained in weights.trained:
        _check_trained(trained, config, data)
    if weights.trained:
        state = mean_of_weights(weights.trained)
        found = weights.trained[0].info.heads
        if found != heads:
            places = shared_outputs(found, heads)
            state = with_new_outputs(state, classifier, places)
            description += f"; {outputs_in_words(found, heads, places)}"
        classifier.load_state_dict(state)
    _check_image_size(classifier, config)
    if not processes.is_main:
        seed_everything(config.seed + processes.rank)  # dropout differs between processes
    return classifier, CheckpointInfo(
        config=config,
        mean=mean,
        std=std,
        data_source=data.location,
        data_fingerprint=data.fingerprint(),
        training_fingerprints=data.training_fingerprints(),
        skip_bad=request.skip_bad,
        drop_leaks=request.drop_leaks,
        data_name=FER2013.dataset if is_fer2013(data) else "",
        class_counts=_class_counts(data, heads[0]),
        data_labels=request.labels,
        data_votes=None if request.votes is None else str(Path(request.votes).resolve()),
        data_class_map=request.class_map,
        starting_weights=description,
        heads=heads,
        versions={
            "fer-edge": __version__,
            "torch": str(torch.__version__),
            "torchvision": version("torchvision"),
            "numpy": np.__version__,
        },
        machine=describe_machine(config.device),
    )


def _class_counts(data: FaceData, head: Head) -> dict[str, int]:
    """Training faces of each class of a head: as labelled, or as most annotators say for one that learns from votes."""
    if head.name == "labels":
        return data.train.counts(head.label_set)
    chosen = majority(votes_of(data.train))
    numbers = np.bincount(chosen[chosen != NO_MAJORITY], minlength=len(head.label_set))
    return dict(zip(head.label_set.names, numbers.tolist(), strict=True))


def _check_targets(data: FaceData, heads: Sequence[Head]) -> None:
    """Raises TrainingError where the faces have not what a head learns from and is judged by."""
    for head in heads:
        for split, faces in (("train", data.train), ("validation", data.validation)):
            if head.name == "votes" and (len(votes_of(faces)) and (majority(votes_of(faces)) == NO_MAJORITY).all()):
                raise TrainingError(f"--heads: expected {split} faces with a majority of votes, found none")
            if head.name == "labels" and len(faces) and (faces.labels == NO_LABEL).all():
                raise TrainingError(
                    f"--heads: expected {split} faces with labels, found faces with votes alone; "
                    "put rows.csv beside the votes, or take --heads votes"
                )


def _check_trained(trained: TrainedWeights, config: TrainConfig, data: FaceData) -> None:
    found = trained.info
    wanted_network = _in_words(config.architecture, network_settings(config))
    found_network = _in_words(found.architecture, found.settings)
    if found_network != wanted_network:
        raise TrainingError(
            f"--weights {found.path}: expected a trained {wanted_network}, found {found_network}; "
            "train that network, or choose other weights"
        )
    if data.validation_from_train and _may_have_seen_validation(found, data):
        raise TrainingError(
            f"--weights {found.path}: expected the validation faces of its run, found some that it trained on; "
            f"take its --seed {found.seed} and --image-size {found.image_size} on the same faces, "
            "or put validation faces in a folder validation/"
        )


def _may_have_seen_validation(found: CheckpointInfo, data: FaceData) -> bool:
    """Whether faces that are drawn for validation now may have been drawn for training in the run behind ``found``."""
    if not found.training_fingerprints:  # of a version before them
        return found.data_source == data.location and found.data_fingerprint != data.fingerprint()
    now = data.training_fingerprints()
    is_same_pool = found.training_fingerprints["pool"] == now["pool"]
    # The same place at another image size, or with more faces than then, is no longer the same pool.
    is_same_place = Path(found.data_source).resolve() == Path(data.location).resolve()
    return (is_same_pool or is_same_place) and found.training_fingerprints["validation"] != now["validation"]


def _in_words(architecture: str, settings: Mapping[str, Any]) -> str:
    return " ".join([architecture, *(f"({name} {value})" for name, value in settings.items())])


def _check_image_size(classifier: FacialExpressionClassifier, config: TrainConfig) -> None:
    """Try blank faces of every size: deep networks halve a small one until nothing is left."""
    classifier.eval()
    sizes = [("--image-size", config.image_size), *(("--progression", side) for side, _ in config.phases)]
    for option, side in sizes:
        try:
            with torch.inference_mode():
                classifier(torch.zeros(1, 1, side, side))
        except RuntimeError as error:
            raise TrainingError(
                f"{option}: expected a size that {config.architecture} can take, found {side}; "
                "choose a larger one or another --architecture"
            ) from error
