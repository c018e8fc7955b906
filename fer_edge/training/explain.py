"""What a classifier has learned to see: the filters of its first layer, and where in a face its answer comes from."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fer_edge.data.sample import synthetic_faces
from fer_edge.errors import ImageError, MissingExtraError
from fer_edge.evaluation.face_plots import plot_activation_maps, plot_filters
from fer_edge.labels import FER2013
from fer_edge.own_files import OwnFiles
from fer_edge.runtime.crops import crop_face
from fer_edge.runtime.images import decode_image, face_pixels, source_name
from fer_edge.runtime.photos import DEFAULT_SEARCH, FaceSearch
from fer_edge.text import shown_name
from fer_edge.training.augmentation import normalise
from fer_edge.training.checkpoint import CheckpointInfo
from fer_edge.training.classifier import FacialExpressionClassifier

DRAWN_SEED = 2013
"""Seed of the faces explained when no image is given: not the default of a run, so that none was trained on."""

_BATCH_SIZE = 32

FILTERS, ACTIVATION_MAPS = "filters.png", "activation_maps.png"

OTHER_FOLDER = "choose another folder with --out"
"""What helps where the name of a picture is taken."""


@dataclass(frozen=True)
class Explanation:
    """Where in each of N faces the answer comes from."""

    names: tuple[str, ...]
    """What each face is called."""
    faces: np.ndarray
    """uint8 (N, S, S)."""
    probabilities: np.ndarray
    """float32 (N, C)."""
    maps: np.ndarray
    """float32 (N, S, S), from 0 to 1 where the face speaks most for its label; all 0 where nothing speaks for it."""
    labels: tuple[str, ...]
    """Names of the C classes."""
    layer: str
    """Name of the explained module in the network."""
    map_shape: tuple[int, int]
    """Height and width of that layer's feature map, from which the maps are enlarged."""

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; the maps themselves are in the picture."""
        return {
            "layer": self.layer,
            "map_shape": list(self.map_shape),
            "faces": [
                {
                    "name": name,
                    "label": self.labels[int(row.argmax())],
                    "confidence": float(row.max()),
                    "probabilities": dict(zip(self.labels, row.tolist(), strict=True)),
                }
                for name, row in zip(self.names, self.probabilities, strict=True)
            ],
        }

    def write(self, folder: Path) -> Path:
        """Draw every face with its map into ``folder``; gives the picture's path. Raises StorageError."""
        path = folder / ACTIVATION_MAPS
        height, width = self.map_shape
        title = f"Where the answer comes from (Grad-CAM of '{self.layer}', {height}×{width})"
        names = [Path(name).name for name in self.names]
        with OwnFiles(OTHER_FOLDER).writing(path):
            plot_activation_maps(self.faces, self.maps, self.probabilities, self.labels, path, names, title=title)
        return path


def write_filters(classifier: FacialExpressionClassifier, info: CheckpointInfo, folder: Path) -> Path:
    """Draw the filters of the first convolution into ``folder``; gives the picture's path. Raises StorageError."""
    path = folder / FILTERS
    first = next(module for module in classifier.modules() if isinstance(module, nn.Conv2d))
    title = f"First-layer filters of {info.architecture}, epoch {info.epoch}"
    with OwnFiles(OTHER_FOLDER).writing(path):
        plot_filters(first.weight.detach().cpu().numpy(), path, title=title)
    return path


def read_images(
    images: Sequence[Path], size: int, *, search: FaceSearch = DEFAULT_SEARCH
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and faces uint8 (N, size, size) of image files: of crops themselves, of photos each face that is found, by
    the rule of ``predict``. Raises ImageError for an image that cannot be opened or has no face."""
    names, faces = [], []
    for image in images:
        pixels = decode_image(image)
        places = search.find(pixels).places
        if not places:
            raise ImageError(
                f"{shown_name(image)}: expected a face, found none; leave the photo out, or take it whole with "
                "--faces crop"
            )
        for number, place in enumerate(places, start=1):
            names.append(source_name(image) + ("" if place is None else f" face {number} of {len(places)}"))
            faces.append(face_pixels(pixels if place is None else crop_face(pixels, place, search.framing), size))
    return tuple(names), np.stack(faces)


def drawn_examples(size: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and faces uint8 (N, size, size) of one synthetic face of each of FER-2013's expressions."""
    drawn = synthetic_faces(range(len(FER2013)), size=size, seed=DRAWN_SEED)
    return tuple(f"drawn {FER2013.names[label]}" for label in drawn.labels), drawn.faces


def explain_faces(
    classifier: FacialExpressionClassifier, info: CheckpointInfo, names: Sequence[str], faces: np.ndarray
) -> Explanation:
    """Class activation maps for the most probable label of each of ``faces``, uint8 (N, S, S), N at least 1.

    On the last feature map; see ``class_activation_maps``. Raises MissingExtraError without captum.
    """
    classifier.eval()
    prepared = normalise(torch.from_numpy(faces), info.mean, info.std)  # (N, 1, S, S)
    name, layer, map_shape = last_feature_map(classifier, prepared[:1])
    logits, maps = [], []
    for batch in prepared.split(_BATCH_SIZE):
        with torch.no_grad():
            logits.append(classifier(batch))
        maps.append(class_activation_maps(classifier, layer, batch, logits[-1].argmax(dim=1)))
    return Explanation(
        names=tuple(names),
        faces=faces,
        probabilities=torch.cat(logits).softmax(dim=1).numpy(),
        maps=torch.cat(maps).numpy(),
        labels=info.labels,
        layer=name,
        map_shape=map_shape,
    )


def class_activation_maps(
    classifier: FacialExpressionClassifier, layer: nn.Module, faces: Tensor, labels: Tensor
) -> Tensor:
    """Where in ``faces`` (N, 1, S, S), normalised, ``layer`` finds what speaks for ``labels`` (N,): (N, S, S), 0 to 1.

    Grad-CAM (Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
    ICCV 2017) by captum. Raises MissingExtraError without captum.
    """
    try:
        from captum.attr import LayerAttribution, LayerGradCam
    except ImportError as error:
        raise MissingExtraError("captum", "explain") from error
    attribution = LayerGradCam(classifier, layer).attribute(faces, target=labels, relu_attributions=True)
    enlarged = LayerAttribution.interpolate(attribution.detach(), faces.shape[-2:], interpolate_mode="bilinear")
    return _scaled_to_one(enlarged.squeeze(1))


def last_feature_map(classifier: FacialExpressionClassifier, faces: Tensor) -> tuple[str, nn.Module, tuple[int, int]]:
    """Name, module and (height, width) of the last feature map on the way from ``faces`` (N, 1, S, S) to the logits.

    That is the last convolution's output of more than one place, followed through what comes after it for as long as
    height and width stay: norm and activation (Grad-CAM weighs activations; before a batch norm any constant could be
    added to them), and the sum or concatenation of the block. Where every map has one place only (faces as small as
    the network's stride), it begins at the last convolution. Auxiliary heads do not run in eval mode.
    """
    seen: list[tuple[str, nn.Module, tuple[int, int]]] = []

    def watch(name: str, module: nn.Module) -> Any:
        def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 4:
                seen.append((name, module, (output.shape[2], output.shape[3])))

        return module.register_forward_hook(note)

    hooks = [watch(name, module) for name, module in classifier.network.named_modules()]
    try:
        with torch.no_grad():
            classifier(faces)
    finally:
        for hook in hooks:
            hook.remove()
    convolutions = [index for index, (_, module, _) in enumerate(seen) if isinstance(module, nn.Conv2d)]
    wide = [index for index in convolutions if seen[index][2] != (1, 1)]
    last = (wide or convolutions)[-1]
    times_run = Counter(name for name, _, _ in seen)
    same_size = itertools.takewhile(lambda entry: entry[2] == seen[last][2], seen[last:])
    # A block may run one ReLU twice, and then its two outputs cannot be told apart by module.
    return [entry for entry in same_size if times_run[entry[0]] == 1][-1]


def _scaled_to_one(maps: Tensor) -> Tensor:
    """Maps (N, S, S), none negative, each divided by its own maximum; a map without any signal stays 0."""
    largest = maps.amax(dim=(1, 2), keepdim=True)
    return maps / torch.where(largest > 0, largest, 1)
