"""How the seven expressions move a face, in the action units of the Facial Action Coding System (FACS).

The combinations are the prototypes of EMFACS: W. V. Friesen and P. Ekman, "EMFACS-7: Emotional Facial Action Coding
System" (1983); the units are those of P. Ekman, W. V. Friesen and J. C. Hager, "Facial Action Coding System" (2002).
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

INNER_BROW_RAISER = 1
OUTER_BROW_RAISER = 2
BROW_LOWERER = 4
UPPER_LID_RAISER = 5
CHEEK_RAISER = 6
LID_TIGHTENER = 7
NOSE_WRINKLER = 9
LIP_CORNER_PULLER = 12
LIP_CORNER_DEPRESSOR = 15
LOWER_LIP_DEPRESSOR = 16
LIP_STRETCHER = 20
LIP_TIGHTENER = 23
LIPS_PART = 25
JAW_DROP = 26

ACTION_UNITS = (1, 2, 4, 5, 6, 7, 9, 12, 15, 16, 20, 23, 25, 26)
"""Every unit that is drawn, by its FACS number."""

PROTOTYPES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "angry": (BROW_LOWERER, UPPER_LID_RAISER, LID_TIGHTENER, LIP_TIGHTENER),
        "disgust": (NOSE_WRINKLER, LIP_CORNER_DEPRESSOR, LOWER_LIP_DEPRESSOR),
        "fear": (
            INNER_BROW_RAISER,
            OUTER_BROW_RAISER,
            BROW_LOWERER,
            UPPER_LID_RAISER,
            LIP_STRETCHER,
            JAW_DROP,
        ),
        "happy": (CHEEK_RAISER, LIP_CORNER_PULLER),
        "neutral": (),
        "sad": (INNER_BROW_RAISER, BROW_LOWERER, LIP_CORNER_DEPRESSOR),
        "surprise": (INNER_BROW_RAISER, OUTER_BROW_RAISER, UPPER_LID_RAISER, JAW_DROP),
    }
)
"""The units of each expression."""

MAX_STRAY_INTENSITY = 0.18
"""Every face moves a little where its expression does not ask for it, the neutral one too."""


def choose_intensities(expression: str, generator: np.random.Generator) -> dict[int, float]:
    """Intensity of every action unit, 0 (at rest) to about 1.2 (as far as it goes), for one face of ``expression``.

    The whole expression is stronger or weaker, each unit of it varies on its own, and a few others stray.
    """
    stray = generator.uniform(0, MAX_STRAY_INTENSITY, len(ACTION_UNITS)) * (generator.random(len(ACTION_UNITS)) < 0.4)
    intensities = dict(zip(ACTION_UNITS, stray.tolist(), strict=True))
    strength = generator.uniform(0.5, 1.05)
    for unit in PROTOTYPES[expression]:
        intensities[unit] = strength * generator.uniform(0.75, 1.15)
    if (
        expression in ("happy", "angry") and generator.random() < 0.6
    ):  # a grin, bared teeth: both come with lips apart too
        intensities[LIPS_PART] = strength * generator.uniform(0.3, 0.9)
    return intensities
