"""Where a network's first weights come from: ImageNet (cached or downloaded), a file, an earlier run, or nowhere."""

import hashlib
import re
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fer_edge.errors import CheckpointError, FerEdgeError, SettingError, StorageError, TrainingError
from fer_edge.files import make_folder, write_bytes
from fer_edge.runtime.file_kind import CHECKPOINT, mistaken
from fer_edge.runtime.shipped import names_in_words, shipped_checkpoint
from fer_edge.training.architectures import Architecture
from fer_edge.training.checkpoint import CheckpointInfo, is_checkpoint, load_classifier
from fer_edge.training.heads import in_words

KEYWORDS = ("auto", "imagenet", "none")
"""What ``--weights`` takes beside paths and names."""
DOWNLOAD_TIMEOUT_S = 5.0
"""Seconds to wait for the server's next bytes: long enough for a slow line, short enough to find out there is none."""


@dataclass(frozen=True)
class StartingWeights:
    """What training starts from."""

    state: Mapping[str, Tensor] | None
    """torchvision's state dict, or None to draw the weights."""
    description: str
    """One line for people and for the run's record."""
    trained: tuple["TrainedWeights", ...] = ()
    """Whole classifiers of this project, heads included; training goes on from the mean of their weights."""


@dataclass(frozen=True)
class TrainedWeights:
    """What a checkpoint of this project gives another run."""

    state: Mapping[str, Tensor]
    """The classifier's state dict."""
    info: CheckpointInfo


def starting_weights(
    choice: str, architecture: Architecture, *, timeout_s: float = DOWNLOAD_TIMEOUT_S
) -> StartingWeights:
    """Weights for ``choice``: 'auto', 'imagenet', 'none', or paths with commas between them.

    'auto' takes ImageNet weights from torchvision's cache or a download, and starts from scratch where neither works;
    'imagenet' raises TrainingError there. A path is that of a torchvision state dict, or of a run folder or checkpoint
    of this project, or the name of a shipped one, which gives the trained classifier in it; of the latter there may be
    several. A state dict may have any head, and a prefix before its names (see ``foreign_weights``). A file of another
    kind raises TrainingError, a folder without a finished epoch CheckpointError.
    """
    if choice == "none":
        return StartingWeights(None, "from scratch (--weights none)")
    if choice not in KEYWORDS:
        return _weights_at(_paths_in(choice), architecture)
    try:
        path = imagenet_weights(architecture, timeout_s=timeout_s)
        return StartingWeights(read_state_dict(path), f"ImageNet weights from {path}")
    except FerEdgeError as error:
        if choice == "imagenet":
            raise TrainingError(
                f"--weights imagenet: {error}; put the file there by hand, name one with --weights FILE, "
                "or start from scratch with --weights none"
            ) from error
        return StartingWeights(None, f"from scratch: ImageNet weights were not to be had ({error})")


def settings_behind(choice: str) -> dict[str, Any]:
    """Settings of the network that the weights ``choice`` are of, to go on training it: architecture, what shapes it,
    image size. None for what is no checkpoint of this project. Raises TrainingError or CheckpointError."""
    if choice in KEYWORDS:
        return {}
    trained = _trained_at(_paths_in(choice)[0])
    if trained is None:
        return {}
    info = trained.info
    return {"architecture": info.architecture, **info.settings, "image_size": info.image_size}


def _paths_in(choice: str) -> list[Path]:
    parts = [part.strip() for part in choice.split(",")]
    if not all(parts):
        raise SettingError(f"--weights: expected {', '.join(KEYWORDS)}, a name, or paths with commas, found {choice!r}")
    return [Path(part) for part in parts]


def _weights_at(paths: list[Path], architecture: Architecture) -> StartingWeights:
    named = ", ".join(map(_told, paths))
    trained = [_trained_at(path) for path in paths]
    if all(trained):
        kinds = {in_words(each.info.heads) for each in trained if each}
        if len({each.info.heads for each in trained if each}) > 1:
            raise TrainingError(
                f"--weights {named}: expected runs with the same heads and label sets, found {', '.join(sorted(kinds))}"
            )
        architectures = ", ".join(dict.fromkeys(each.info.architecture for each in trained if each))
        mean_of = "the mean of " if len(paths) > 1 else ""
        return StartingWeights(None, f"from {mean_of}{named} ({architectures})", tuple(filter(None, trained)))
    if len(paths) > 1:
        other = paths[trained.index(None)]
        raise TrainingError(
            f"--weights {named}: expected runs or checkpoints of this project where several are named, found {other}; "
            "name it alone, or leave it out"
        )
    if architecture.weights_url is None:  # a network of this project alone: no other maker has weights of it
        return StartingWeights(read_state_dict(paths[0]), f"from {named}")
    from fer_edge.training.foreign_weights import fit_weights

    fitted = fit_weights(_read(paths[0]), architecture.name, paths[0])
    return StartingWeights(fitted.state, f"from {named}: {fitted.report}")


def _told(path: Path) -> str:
    return str(path) if shipped_checkpoint(path) is None else f"the shipped {path}"


def _trained_at(path: Path) -> TrainedWeights | None:
    """The trained classifier in a run folder or checkpoint, or the shipped one of that name; None for another file."""
    path = shipped_checkpoint(path) or path
    try:
        path.stat()
    except (OSError, ValueError) as error:  # missing, no permission, a name too long or with a null byte
        raise TrainingError(
            f"--weights: expected auto, imagenet, none, a file or a run folder, found no file '{path}'; "
            f"{names_in_words()}"
        ) from error
    if not path.is_dir() and not is_checkpoint(_read(path)):
        return None
    classifier, info = load_classifier(path)
    return TrainedWeights(classifier.state_dict(), info)


def mean_of_weights(trained: Sequence[TrainedWeights]) -> dict[str, Tensor]:
    """The mean of each weight and batch norm statistic (Izmailov et al. 2018, Wortsman et al. 2022); counters add up.

    The classifiers must be of one network. Where their runs began from one another they lie in one flat valley, and
    the mean is better than each; of independent runs it is worthless.
    """
    names = trained[0].state
    stacked = {name: torch.stack([each.state[name] for each in trained]) for name in names}
    return {name: values.mean(0) if values.is_floating_point() else values.sum(0) for name, values in stacked.items()}


def imagenet_weights(architecture: Architecture, *, timeout_s: float = DOWNLOAD_TIMEOUT_S) -> Path:
    """Path of torchvision's ImageNet weights in torch's hub cache, downloaded there if they are missing.

    The first eight digits of the file's SHA-256 are in its name and are checked. Raises TrainingError.
    """
    url = architecture.weights_url
    if url is None:
        raise TrainingError(f"there are none for '{architecture.name}'")
    cached = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if cached.is_file():
        if not _hash_agrees(cached.name, cached.read_bytes()):
            raise TrainingError(f"{cached}: expected the SHA-256 in its name, found another; remove the file")
        return cached
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as response:
            data = response.read()
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise TrainingError(f"not in {cached.parent}, and {url} could not be downloaded: {reason}") from error
    if not _hash_agrees(cached.name, data):
        raise TrainingError(f"{url}: expected the SHA-256 in its name, found another; the download is damaged")
    try:
        make_folder(cached.parent)
        write_bytes(cached, data)
    except StorageError as error:
        raise TrainingError(str(error)) from error
    return cached


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The state dict in ``path``, loaded as data only (no code runs). Raises TrainingError."""
    state: dict[str, Tensor] = _read(path)
    is_names_to_tensors = isinstance(state, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    )
    if not is_names_to_tensors:
        raise TrainingError(
            f"{path}: expected a torchvision state dict (names to tensors), found other content; "
            "name such a file or a run of this project, or start from scratch with --weights none"
        )
    return state


def _read(path: Path) -> Any:
    from fer_edge.training.foreign_weights import read_weights

    try:
        return read_weights(path)
    except CheckpointError as error:
        damaged = "found a damaged file, another kind, or one that would run code; choose another"
        told = mistaken(path, CHECKPOINT) or damaged
        raise TrainingError(f"--weights {path}: expected a torchvision state dict or a checkpoint, {told}") from error


def _hash_agrees(file_name: str, data: bytes) -> bool:
    match = re.search(r"-([0-9a-f]{8,})\.", file_name)
    return match is None or hashlib.sha256(data).hexdigest().startswith(match.group(1))
