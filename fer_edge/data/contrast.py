"""Whether somebody has changed the contrast of a set of faces: a model that learns from such faces meets other photos.

The most downloaded folder of FER-2013 has every face histogram-equalised, with blown-out whites: networks trained on it
lose one to two points of accuracy on FER-2013's own pixels.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

EQUALISED_BELOW = 0.1
"""Median flatness. Measured: 0.04 on that folder, 0.02 where Pillow equalises, 0.25 on FER-2013's own pixels."""

SATURATED_ABOVE = 0.05
"""Fraction of black and white pixels. Measured: 0.077 on that folder, 0.015 on FER-2013's own pixels."""

STRETCHED_ABOVE = 0.5
"""Fraction of faces from black to white. Measured: all of that folder, 0.83 after autocontrast, 0.17 originally."""

LOW_BELOW = 128
"""Median range of grey levels. Measured: 236 on FER-2013's own pixels."""

MAX_FACES = 4000
"""As many, spread over the set, are measured."""


@dataclass(frozen=True)
class Contrast:
    """How the grey levels of a set of faces spread."""

    num_faces: int
    """Faces that were measured; blank ones are left out."""

    flatness: float
    """Median over the faces of the largest distance between the cumulative histogram and a straight line (0 to 1)."""

    saturated: float
    """Fraction of the pixels that are 0 or 255."""

    full_range: float
    """Fraction of the faces with a pixel of 0 and one of 255."""

    median_range: float
    """Median over the faces of brightest minus darkest pixel."""

    @property
    def findings(self) -> tuple[str, ...]:
        """What was done to these faces, in words, each with its measure; empty for faces as a camera gives them."""
        if not self.num_faces:
            return ()
        found = []
        if self.flatness < EQUALISED_BELOW:
            found.append(f"histogram-equalised (distance to a flat histogram {self.flatness:.3f}; photos: about 0.25)")
        elif self.full_range > STRETCHED_ABOVE:
            found.append(f"stretched ({self.full_range:.0%} of the faces go from black to white; photos: about 17%)")
        if self.saturated > SATURATED_ABOVE:
            found.append(f"saturated ({self.saturated:.1%} of the pixels are black or white; photos: about 1.5%)")
        if self.median_range < LOW_BELOW:
            found.append(
                f"of low contrast (half of the faces span {self.median_range:.0f} grey levels or fewer of 255)"
            )
        return tuple(found)

    @property
    def advice(self) -> str:
        """What ``findings`` mean for a model; empty where there are none."""
        if not self.findings:
            return ""
        return (
            "photos do not look like this: a model trained on these faces will be less accurate on photos, and one "
            "measured on them is not measured on photos; train on unchanged pixels (FER+'s layout has FER-2013's own), "
            "or with an augmentation of contrast, and evaluate on unchanged ones, or see "
            "'fer-edge evaluate --corruptions'"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {**asdict(self), "findings": list(self.findings), "advice": self.advice}


def measure_contrast(faces: np.ndarray) -> Contrast:
    """Measure ``faces``, uint8 (N, S, S)."""
    chosen = faces[:: max(len(faces) // MAX_FACES, 1)]
    pixels = chosen.reshape(len(chosen), chosen.shape[1] * chosen.shape[2])  # (N, S * S)
    pixels = pixels[pixels.min(axis=1) != pixels.max(axis=1)]
    if not len(pixels):
        return Contrast(0, 0.0, 0.0, 0.0, 0.0)
    histograms = np.stack([np.bincount(face, minlength=256) for face in pixels]) / pixels.shape[1]
    line = np.arange(1, 257) / 256
    darkest, brightest = pixels.min(axis=1).astype(int), pixels.max(axis=1).astype(int)
    return Contrast(
        num_faces=len(pixels),
        flatness=float(np.median(np.abs(histograms.cumsum(axis=1) - line).max(axis=1))),
        saturated=float((histograms[:, 0] + histograms[:, 255]).mean()),
        full_range=float(((darkest == 0) & (brightest == 255)).mean()),
        median_range=float(np.median(brightest - darkest)),
    )
