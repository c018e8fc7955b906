"""Preprocessing skew: what the usual mistakes in preparing faces cost, for those who do it themselves (``--raw``)."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fer_edge.data.faces import FaceSet
from fer_edge.export.card.tables import markdown_table, signed
from fer_edge.export.graph.reference import PixelsToProbabilities

MAX_FACES = 512
"""Faces that are scored, chosen at random from the labelled ones: each mistake is one more pass over them."""

SCALE = 4
"""Grey faces of the training size show no mistake of colour or resizing, so larger photos are made of them."""
GRAIN = 20.0
"""Standard deviation of the photo's grain, in grey levels: that of a phone indoors at high ISO."""

_WARM, _COOL = np.array((1.0, 0.80, 0.55)), np.array((0.70, 0.90, 1.0))
_IMAGENET_MEAN, _IMAGENET_STD = 0.449, 0.226
_KEPT_BY_CROP = 0.875
_BATCH = 64

WHAT_WAS_DONE = (
    f"Each grey face was enlarged {SCALE}x (bicubic), lit by a random colour between warm and cool light, and given "
    f"grain of {GRAIN:g} grey levels, as a photo has; then it was prepared in the right way and in each wrong one."
)


@dataclass(frozen=True)
class SkewRow:
    """One way to prepare the photos."""

    preparation: str
    accuracy: float
    cost_points: float
    """Percentage points of accuracy below the right way."""
    agreement: float
    """Fraction of the photos that get the same class as in the right way."""


@dataclass(frozen=True)
class Skew:
    """What each mistake costs on the same photos; the first row is the right way."""

    source: str
    faces: int
    rows: tuple[SkewRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for ``--json``."""
        return {
            "made": WHAT_WAS_DONE,
            "source": self.source,
            "faces": self.faces,
            "rows": [asdict(r) for r in self.rows],
        }

    def markdown(self) -> str:
        """The table, with what was done."""
        rows = [
            (row.preparation, f"{row.accuracy:.1%}", signed(row.cost_points, 1), f"{row.agreement:.1%}")
            for row in self.rows
        ]
        return f"Preprocessing skew on {self.faces} faces of {self.source}. {WHAT_WAS_DONE}\n\n" + markdown_table(
            ("prepared", "accuracy", "cost in points", "same answer"), rows, right=(1, 2, 3)
        )


def measure_skew(reference: PixelsToProbabilities, labelled: FaceSet, source: str, seed: int = 0) -> Skew:
    """Accuracy and agreement of the checkpoint on photos made of ``labelled`` faces, prepared rightly and wrongly."""
    rng = np.random.default_rng(seed)
    chosen = labelled.take(np.sort(rng.permutation(len(labelled))[:MAX_FACES]))
    photos = make_photos(chosen.faces, rng)
    ways = preparations(reference)
    choices: dict[str, NDArray[np.int64]] = {}
    for name, prepare in ways.items():
        with torch.inference_mode():
            logits = [
                reference.classifier(prepare(torch.from_numpy(photos[start : start + _BATCH])))
                for start in range(0, len(photos), _BATCH)
            ]
        choices[name] = torch.cat(logits).argmax(dim=1).numpy()
    right = next(iter(choices.values()))
    right_accuracy = float((right == chosen.labels).mean())
    rows = []
    for name, choice in choices.items():
        accuracy = float((choice == chosen.labels).mean())
        rows.append(SkewRow(name, accuracy, 100 * (right_accuracy - accuracy), float((choice == right).mean())))
    return Skew(source, len(chosen), tuple(rows))


def make_photos(faces: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Photos uint8 (N, SCALE*S, SCALE*S, 3) of grey faces uint8 (N, S, S); see WHAT_WAS_DONE."""
    side = faces.shape[1] * SCALE
    large = F.interpolate(
        torch.from_numpy(faces).float()[:, None], size=(side, side), mode="bicubic", align_corners=False
    ).numpy()[:, 0, :, :, np.newaxis]
    share = rng.random((len(faces), 1, 1, 1))
    light = share * _WARM + (1 - share) * _COOL
    grain = rng.normal(0, GRAIN, (*large.shape[:3], 3))
    return np.asarray(np.clip(np.rint(large * light + grain), 0, 255).astype(np.uint8))


def preparations(reference: PixelsToProbabilities) -> dict[str, Callable[[Tensor], Tensor]]:
    """The right way and each mistake: photos uint8 (N, H, W, 3) to faces float32 (N, 1, S, S)."""
    size, mean, std = reference.image_size, reference.mean, reference.std

    def levels(image: Tensor, *, mode: str = "bilinear", antialias: bool = True) -> Tensor:
        """Grey faces, 0-255."""
        grey = (image.permute(0, 3, 1, 2).float() * reference.luma).sum(dim=1, keepdim=True)
        if mode == "nearest":
            return F.interpolate(grey, size=(size, size), mode=mode)
        return F.interpolate(grey, size=(size, size), mode=mode, antialias=antialias, align_corners=False)

    def normal(grey: Tensor) -> Tensor:
        return (grey / 255 - mean) / std

    def cropped(image: Tensor) -> Tensor:
        height, width = image.shape[1:3]
        top, left = round(height * (1 - _KEPT_BY_CROP) / 2), round(width * (1 - _KEPT_BY_CROP) / 2)
        return image[:, top : height - top, left : width - left]

    return {
        "rightly": lambda image: reference.faces(image),
        "BGR for RGB": lambda image: reference.faces(image.flip(-1)),
        "mean of channels for luma": lambda image: reference.faces(
            image.float().mean(dim=-1, keepdim=True).round().to(torch.uint8)
        ),
        "resize without antialias": lambda image: normal(levels(image, antialias=False)),
        "resize to the nearest pixel": lambda image: normal(levels(image, mode="nearest")),
        "centre crop of 87.5 %": lambda image: reference.faces(cropped(image)),
        "no mean and std (0 to 1)": lambda image: levels(image) / 255,
        "no normalisation at all (0 to 255)": lambda image: levels(image),
        "ImageNet's mean and std": lambda image: (levels(image) / 255 - _IMAGENET_MEAN) / _IMAGENET_STD,
    }
