"""How usable a found face is: a number from what the detector and the pixels say, without the expression model.

The weights are those of a logistic regression that ``benchmarks/quality.py`` fits on FER-2013's training faces and
measures on validation faces: usable ones against blurred, turned, covered, small and faint ones, and against those to
which FER+'s annotators said "unknown" or "no face".
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.runtime.detector import Face
from fer_edge.runtime.images import face_pixels

FEATURES = ("detector", "size", "sharpness", "contrast", "turned away", "tilted")
WEIGHTS = (0.949, 0.017, 0.302, 0.741, -0.665, -3.049)
BIAS = -6.198
"""As ``benchmarks/results/quality.json`` has them."""

_SIDE = 48
"""Pixels of the face that is looked at: FER-2013's."""
_ENOUGH_PIXELS = 96
"""More than so many across say nothing more."""


def face_features(crop: NDArray[np.uint8], face: Face) -> NDArray[np.float64]:
    """float64 (6,), in the order of FEATURES, of what was cut out of the photo, uint8 (H, W, C), and its place there.

    ``detector``: -log2 of what its score lacks of 1. ``size``: log2 of the longer side of the box, up to 96 pixels.
    ``sharpness``: log2 of the variance of the Laplacian over that of the grey levels, both of the face at 48 pixels
    (J. L. Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000; divided, so that contrast is
    told apart). ``contrast``: log2 of the grey levels' standard deviation. ``turned away``: how far the tip of the nose
    is from the line between the middles of eyes and mouth, over the distance of the eyes. ``tilted``: the angle of the
    eyes to the horizontal, in right angles.
    """
    grey = face_pixels(crop, _SIDE).astype(np.float64)
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    variance = float(grey.var()) + 1.0  # of a flat picture, too, there is a logarithm
    right_eye, left_eye, nose, right_mouth, left_mouth = (np.array(point) for point in face.landmarks)
    eyes, mouth, across = (right_eye + left_eye) / 2, (right_mouth + left_mouth) / 2, left_eye - right_eye
    down = mouth - eyes
    distance = max(float(np.hypot(*across)), 1e-6)
    height = max(float(np.hypot(*down)), 1e-6)
    off_line = abs(float(down[0] * (nose - eyes)[1] - down[1] * (nose - eyes)[0])) / height
    return np.array(
        [
            -math.log2(max(1.0 - face.score, 1e-3)),
            math.log2(min(max(face.box.width, face.box.height, 1.0), _ENOUGH_PIXELS)),
            math.log2((float(laplacian.var()) + 1.0) / variance),
            math.log2(variance) / 2,
            min(off_line / distance, 1.0),
            abs(math.atan2(float(across[1]), float(across[0]))) / (math.pi / 2),
        ]
    )


def usable_face(crop: NDArray[np.uint8], face: Face) -> float:
    """How likely the face is one that can be read, 0-1, by FEATURES: rather a rank than a probability, because what
    cameras see is another mixture than what it was fitted on."""
    return probability_of(face_features(crop, face))


def probability_of(features: NDArray[np.floating[Any]]) -> float:
    """The logistic function of the weighted features (6,)."""
    return 1.0 / (1.0 + math.exp(-(float(features @ np.array(WEIGHTS)) + BIAS)))
