"""Draws what moves in a face - brows, eyes, nose, mouth, wrinkles - as the intensities of its action units say."""

from dataclasses import dataclass

import numpy as np

from fer_edge.data.action_units import (
    BROW_LOWERER,
    CHEEK_RAISER,
    INNER_BROW_RAISER,
    JAW_DROP,
    LID_TIGHTENER,
    LIP_CORNER_DEPRESSOR,
    LIP_CORNER_PULLER,
    LIP_STRETCHER,
    LIP_TIGHTENER,
    LIPS_PART,
    LOWER_LIP_DEPRESSOR,
    NOSE_WRINKLER,
    OUTER_BROW_RAISER,
    UPPER_LID_RAISER,
)
from fer_edge.data.canvas import Canvas, circle, curve

EYE = (0.42, -0.12)
BROW_Y = -0.43
NOSE_Y = 0.30
MOUTH_Y = 0.66

SIDES = (-1, 1)
_ACROSS = np.linspace(-1, 1, 17)
"""Places across an eye or a mouth, from corner to corner."""

_BOW = 1 - _ACROSS**2
"""Height of a bow over them: 0 in the corners, 1 in the middle."""


@dataclass(frozen=True)
class Features:
    """What makes one person's features their own; lengths in units of the face, levels 0-255."""

    skin: float
    brow_level: float
    brow_width: float
    eye_size: float
    iris_level: float
    gaze: tuple[float, float]
    nose_width: float
    mouth_width: float
    lip_fullness: float
    lip_level: float

    @property
    def ink(self) -> float:
        """Level of lines in the face."""
        return 0.32 * self.skin

    def shade(self, strength: float) -> float:
        """Level of the skin in a fold of ``strength`` 0-1."""
        return self.skin * (1 - 0.55 * min(max(strength, 0.0), 1.0))


def draw_brows(canvas: Canvas, features: Features, units: dict[int, float]) -> None:
    """The eyebrows: units 1, 2 and 4 (and 9, which pulls them down)."""
    inner_up, outer_up, lowered = units[INNER_BROW_RAISER], units[OUTER_BROW_RAISER], units[BROW_LOWERER]
    # With unit 1 at work, unit 4 draws the brows together and lowers their middle, but the inner ends stay up.
    inner_down = lowered * (1 - 0.95 * min(inner_up, 1)) + 0.4 * units[NOSE_WRINKLER]
    inner = (0.18 - 0.07 * lowered, BROW_Y - 0.19 * inner_up + 0.19 * inner_down)
    middle = (0.42, BROW_Y - 0.10 - 0.07 * inner_up - 0.15 * outer_up + 0.15 * lowered + 0.04 * units[NOSE_WRINKLER])
    outer = (0.70, BROW_Y + 0.04 - 0.14 * outer_up + 0.04 * lowered)
    widths = features.brow_width * np.linspace(1.1, 0.45, 12)
    for side in SIDES:
        points = curve(inner, middle, outer) * (side, 1)
        canvas.ribbon(points, features.brow_level, widths)


def draw_eyes(canvas: Canvas, features: Features, units: dict[int, float]) -> None:
    """The eyes: unit 5 raises the upper lid, 7 and 6 raise the lower one, 9 narrows both."""
    width = 0.235 * features.eye_size
    squint = 0.55 * units[LID_TIGHTENER] + 0.5 * units[NOSE_WRINKLER] + 0.35 * units[CHEEK_RAISER]
    above = 0.115 * features.eye_size * max(1 + 0.75 * units[UPPER_LID_RAISER] - 0.45 * squint, 0.2)
    below = 0.085 * features.eye_size * (1 + 0.25 * units[UPPER_LID_RAISER] - squint - 0.45 * units[CHEEK_RAISER])
    below = max(below, -0.3 * above)
    for side in SIDES:
        x = EYE[0] * side + width * _ACROSS
        upper = EYE[1] - above * _BOW * (1 - 0.18 * side * _ACROSS)
        lower = EYE[1] + below * _BOW
        white = np.concatenate([np.stack([x, upper], 1), np.stack([x, lower], 1)[::-1]])
        canvas.fill(white, 0.45 * features.skin + 135)
        centre = (EYE[0] * side + features.gaze[0], EYE[1] - 0.02 + features.gaze[1])
        for radius, level in ((0.108, features.iris_level), (0.055, 12.0)):
            iris = circle(centre, radius * (0.5 + 0.5 * features.eye_size))
            # What the lids cover is not seen: the iris ends where they are.
            iris[:, 1] = np.clip(iris[:, 1], np.interp(iris[:, 0], x, upper), np.interp(iris[:, 0], x, lower))
            canvas.fill(iris, level)
        if above + below > 0.12:
            canvas.disc((centre[0] - 0.035, centre[1] - 0.035), 0.022, 250)
        canvas.stroke(np.stack([x, upper], 1), 0.55 * features.ink, 0.045)
        canvas.stroke(np.stack([x, lower], 1), features.shade(0.55 + 0.4 * squint), 0.025)


def draw_nose(canvas: Canvas, features: Features, units: dict[int, float]) -> None:
    """The nose: unit 9 lifts its wings and wrinkles its bridge."""
    wrinkled = units[NOSE_WRINKLER]
    y = NOSE_Y - 0.05 * wrinkled
    for side in SIDES:
        wing = features.nose_width * (1 + 0.2 * wrinkled) * side
        canvas.stroke(curve((wing, y - 0.09), (wing * 1.25, y), (wing * 0.75, y + 0.02)), features.shade(0.75), 0.03)
        canvas.disc((wing * 0.5, y + 0.015), (0.045, 0.025), features.ink)
        for line in range(3 if wrinkled > 0.25 else 0):
            start = (0.04 * side, -0.16 + 0.10 * line)
            end = (0.19 * side, -0.08 + 0.11 * line)
            canvas.stroke(
                curve(start, (0.12 * side, start[1] - 0.02), end), features.shade(0.3 + 0.5 * wrinkled), 0.028
            )


def draw_folds(canvas: Canvas, features: Features, units: dict[int, float]) -> None:
    """Wrinkles: forehead (1, 2), between the brows (4), eye corners (6), from nose to mouth (9, 12), chin (15)."""
    raised = (units[INNER_BROW_RAISER] + units[OUTER_BROW_RAISER]) / 2
    if raised > 0.3:
        for y in (-0.76, -0.88):
            canvas.stroke(
                curve((-0.45, y + 0.03), (0, y - 0.05), (0.45, y + 0.03)), features.shade(0.45 * raised), 0.025
            )
    if units[BROW_LOWERER] > 0.3:
        for side in SIDES:
            line = curve((0.05 * side, BROW_Y - 0.08), (0.075 * side, BROW_Y + 0.03), (0.05 * side, BROW_Y + 0.13))
            canvas.stroke(line, features.shade(0.7 * units[BROW_LOWERER]), 0.028)
    laughing = max(units[LIP_CORNER_PULLER], 0.9 * units[NOSE_WRINKLER])
    for side in SIDES:
        if laughing > 0.3:
            bend = 0.50 + 0.10 * units[LIP_CORNER_PULLER]
            line = curve(
                (0.23 * side, NOSE_Y - 0.05), (bend * side, NOSE_Y + 0.08), ((bend + 0.02) * side, MOUTH_Y - 0.02)
            )
            canvas.stroke(line, features.shade(0.6 * laughing), 0.03)
        if units[CHEEK_RAISER] > 0.35:
            for fan in (-0.06, 0.02, 0.10):
                line = curve(
                    (0.71 * side, EYE[1] + 0.4 * fan), (0.76 * side, EYE[1] + fan), (0.83 * side, EYE[1] + 1.3 * fan)
                )
                canvas.stroke(line, features.shade(0.55 * units[CHEEK_RAISER]), 0.02)
    if units[LIP_CORNER_DEPRESSOR] > 0.4:
        for side in SIDES:
            line = curve((0.46 * side, MOUTH_Y + 0.12), (0.50 * side, MOUTH_Y + 0.19), (0.47 * side, MOUTH_Y + 0.27))
            canvas.stroke(line, features.shade(0.5 * units[LIP_CORNER_DEPRESSOR]), 0.028)


def draw_mouth(canvas: Canvas, features: Features, units: dict[int, float]) -> None:
    """The mouth: 12 pulls its corners up, 15 down, 20 apart; 23 presses it; 25 and 26 open it, 16 bares the teeth."""
    smile, frown = units[LIP_CORNER_PULLER], units[LIP_CORNER_DEPRESSOR]
    stretched, pressed, dropped = units[LIP_STRETCHER], units[LIP_TIGHTENER], units[JAW_DROP]
    sneer = units[LOWER_LIP_DEPRESSOR]
    # A stretched mouth opens wide and low where a slack one falls open tall and narrow (fear against surprise).
    opening = 0.13 * units[LIPS_PART] + dropped * (0.36 - 0.2 * min(stretched, 1)) + 0.09 * sneer
    half_width = features.mouth_width * (1 + 0.28 * smile + 0.4 * stretched - 0.12 * pressed - 0.3 * dropped)
    corner_y = MOUTH_Y - 0.15 * smile + 0.15 * frown + 0.05 * stretched + 0.3 * opening
    top_y = MOUTH_Y + 0.06 * smile - 0.05 * frown - 0.05 * units[NOSE_WRINKLER] - 0.04 * dropped
    bottom_y = top_y + opening

    x = half_width * _ACROSS
    # Flatter in the middle than a parabola once the lips are stretched or pressed.
    bow = 1 - np.abs(_ACROSS) ** (2 + 2 * min(stretched + 0.5 * pressed, 1))
    upper = corner_y + (top_y - corner_y) * bow
    lower = corner_y + (bottom_y - corner_y) * bow
    thickness = features.lip_fullness * (1 - 0.6 * min(pressed, 1))
    dip = 0.25 * np.exp(-((_ACROSS / 0.16) ** 2))
    upper_edge = upper - 0.075 * thickness * (_BOW**0.7 - dip)
    lower_edge = lower + 0.11 * thickness * (1 + 0.25 * sneer) * _BOW**0.8

    canvas.fill(_band(x, upper_edge, lower_edge), features.lip_level)
    if opening > 0.03:
        canvas.fill(_band(x, upper, lower), 18)
        teeth = np.minimum(upper + (0.085 + 0.03 * smile) * _BOW**0.5, lower)
        canvas.fill(_band(x * 0.9, upper, teeth), 0.35 * features.skin + 150)
        if sneer > 0.3 or stretched > 0.5:
            canvas.fill(
                _band(x * 0.8, np.maximum(lower - 0.05 * _BOW, teeth + 0.02 * _BOW), lower), 0.3 * features.skin + 140
            )
    else:
        canvas.stroke(np.stack([x, (upper + lower) / 2], 1), 0.6 * features.ink, 0.035)
    for side in SIDES:
        canvas.disc((half_width * side, corner_y), 0.022, features.shade(0.8))
    chin_y = float(lower_edge[8]) + 0.09
    canvas.stroke(curve((-0.13, chin_y), (0, chin_y + 0.03), (0.13, chin_y)), features.shade(0.3), 0.03)


def _band(x: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Points (2K, 2) of the area between two lines over the same K places."""
    return np.concatenate([np.stack([x, top], 1), np.stack([x, bottom], 1)[::-1]])
