"""What cameras, programs and networks do to a face before a model sees it, as fixed changes of fixed strength.

In the manner of ImageNet-C: D. Hendrycks and T. Dietterich, "Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations", ICLR 2019 (arXiv 1903.12261). Every kind has one strength or several, every model meets
the same pixels, and none may be trained on the very table (training draws its own, see ``fer_edge.training``).
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter, ImageOps

NOISE_SEED = 0

GAMMAS = (0.5, 0.67, 1.5, 2.0)
"""Exponents of pixels of 0 to 1: below 1 a face becomes brighter."""
CONTRASTS = (0.5, 0.25)
"""What is left of each pixel's distance to the face's mean."""
JPEG_QUALITIES = (95, 75, 50, 30)
BLUR_SIGMAS = (1.0, 2.0)
"""Standard deviations of a Gaussian, in pixels of the face."""
SIDES = (16, 24, 32, 64, 96)
"""Pixels that a face of another size is resampled to; the model then gets it in that size."""
NOISE_SIGMAS = (10.0, 20.0)
"""Standard deviations of Gaussian noise, in grey levels of 255."""


@dataclass(frozen=True)
class Corruption:
    """One kind of change in one strength."""

    kind: str
    """What changes, e.g. ``JPEG``."""
    strength: str
    """How much, e.g. ``quality 30``; empty for a kind that has one strength."""
    apply: Callable[[np.ndarray], np.ndarray]
    """uint8 (N, T, T) of uint8 (N, S, S), which stays as it is; T is S but for a change of size."""

    @property
    def name(self) -> str:
        """Kind and strength in words, e.g. ``JPEG, quality 30``."""
        return f"{self.kind}, {self.strength}" if self.strength else self.kind


def equalise(faces: np.ndarray) -> np.ndarray:
    """Histogram-equalise each face, as the most downloaded folder of FER-2013 is."""
    return _each(faces, ImageOps.equalize)


def change_gamma(faces: np.ndarray, exponent: float) -> np.ndarray:
    """Raise pixels of 0 to 1 to ``exponent``."""
    return np.asarray(_rounded(255 * (np.arange(256) / 255) ** exponent)[faces])


def lower_contrast(faces: np.ndarray, fraction: float) -> np.ndarray:
    """Bring every pixel nearer to its face's mean: ``fraction`` of the distance is left."""
    mean = faces.mean(axis=(1, 2), keepdims=True)
    return _rounded(mean + fraction * (faces - mean))


def compress_jpeg(faces: np.ndarray, quality: int) -> np.ndarray:
    """Save each face as a grey JPEG and open it again."""

    def through_jpeg(image: Image.Image) -> Image.Image:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        return Image.open(stream)

    return _each(faces, through_jpeg)


def blur(faces: np.ndarray, sigma: float) -> np.ndarray:
    """Blur each face by a Gaussian of ``sigma`` pixels."""
    return _each(faces, lambda image: image.filter(ImageFilter.GaussianBlur(sigma)))


def resample(faces: np.ndarray, side: int) -> np.ndarray:
    """Shrink (antialiased) or enlarge each face to ``side`` pixels, bilinearly: uint8 (N, side, side)."""
    return _each(faces, lambda image: image.resize((side, side), Image.Resampling.BILINEAR))


def add_noise(faces: np.ndarray, sigma: float) -> np.ndarray:
    """Add Gaussian noise of ``sigma`` grey levels: the same to a face of the same place, whatever the strength."""
    noise = np.random.default_rng(NOISE_SEED).standard_normal(faces.shape, np.float32)
    return _rounded(faces + sigma * noise)


def _with(change: Callable[..., np.ndarray], strength: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda faces: change(faces, strength)


CORRUPTIONS: tuple[Corruption, ...] = (
    Corruption("equalised", "", equalise),
    *(Corruption("gamma", f"{exponent:g}", _with(change_gamma, exponent)) for exponent in GAMMAS),
    *(Corruption("low contrast", f"{left:.0%}", _with(lower_contrast, left)) for left in CONTRASTS),
    *(Corruption("JPEG", f"quality {quality}", _with(compress_jpeg, quality)) for quality in JPEG_QUALITIES),
    *(Corruption("blur", f"sigma {sigma:g} pixels", _with(blur, sigma)) for sigma in BLUR_SIGMAS),
    *(Corruption("size", f"{side} pixels", _with(resample, side)) for side in SIDES),
    *(Corruption("noise", f"sigma {sigma:g} of 255", _with(add_noise, sigma)) for sigma in NOISE_SIGMAS),
)
"""Every row of the table but the untouched faces, kind by kind."""


def _each(faces: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """``change`` of every face; an empty set stays as it is."""
    if not len(faces):
        return faces
    return np.stack([np.asarray(change(Image.fromarray(face)), np.uint8) for face in np.ascontiguousarray(faces)])


def _rounded(levels: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(levels).clip(0, 255).astype(np.uint8))
