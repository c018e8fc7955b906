"""Draws one face of an expression: a made-up person in a made-up pose and light."""

from collections.abc import Callable

import numpy as np

from fer_edge.data.action_units import JAW_DROP, choose_intensities
from fer_edge.data.canvas import CANVAS_SIZE, Canvas, Pose, circle, curve
from fer_edge.data.features import EYE, SIDES, Features, draw_brows, draw_eyes, draw_folds, draw_mouth, draw_nose
from fer_edge.runtime.images import FACE_SIZE

HEAD_HEIGHT = 1.28
_TURN = np.linspace(0, 2 * np.pi, 48, endpoint=False)
_GRID = np.linspace(-1, 1, FACE_SIZE, dtype=np.float32)


def draw_portrait(expression: str, generator: np.random.Generator) -> np.ndarray:
    """Draw a face of ``expression``, uint8 (48, 48); everything about it comes from ``generator``."""
    units = choose_intensities(expression, generator)
    pose = _choose_pose(generator)
    features = _choose_features(generator)
    hair = _choose_hair_level(features.skin, generator)
    outline = _head_outline(units[JAW_DROP], generator)

    canvas = Canvas(pose, generator.uniform(20, 235))
    _draw_background(canvas, generator)
    draw_front_hair = _draw_back_hair(canvas, hair, generator)
    _draw_head(canvas, features, outline)
    if generator.random() < 0.12:
        _draw_beard(canvas, outline, 0.6 * hair + 0.4 * features.skin)
    canvas.soften(1.2)
    draw_folds(canvas, features, units)
    canvas.soften(0.25)
    draw_nose(canvas, features, units)
    draw_eyes(canvas, features, units)
    draw_mouth(canvas, features, units)
    draw_front_hair()
    draw_brows(canvas, features, units)
    if generator.random() < 0.12:
        _draw_glasses(canvas, generator)
    return _photograph(canvas.pixels(), generator)


def _choose_pose(generator: np.random.Generator) -> Pose:
    middle = CANVAS_SIZE / 2
    return Pose(
        scale=generator.uniform(0.33, 0.42) * CANVAS_SIZE,
        centre=(
            middle + generator.normal(0, 0.027) * CANVAS_SIZE,
            middle + generator.normal(-0.01, 0.027) * CANVAS_SIZE,
        ),
        roll=float(np.clip(generator.normal(0, 0.11), -0.3, 0.3)),
        yaw=float(np.clip(generator.normal(0, 0.17), -0.42, 0.42)),
        pitch=float(np.clip(generator.normal(0, 0.06), -0.15, 0.15)),
    )


def _choose_features(generator: np.random.Generator) -> Features:
    skin = generator.uniform(95, 225)
    return Features(
        skin=skin,
        brow_level=generator.uniform(0.12, 0.42) * skin,
        brow_width=generator.uniform(0.07, 0.13),
        eye_size=generator.uniform(0.88, 1.15),
        iris_level=generator.uniform(20, 95),
        gaze=(generator.uniform(-0.05, 0.05), generator.uniform(-0.015, 0.02)),
        nose_width=generator.uniform(0.14, 0.21),
        mouth_width=generator.uniform(0.29, 0.38),
        lip_fullness=generator.uniform(0.7, 1.4),
        lip_level=generator.uniform(0.55, 0.78) * skin,
    )


def _choose_hair_level(skin: float, generator: np.random.Generator) -> float:
    """Dark on light skin or the other way round, with enough between them to be seen."""
    level = generator.uniform(12, 90) if generator.random() < 0.75 else generator.uniform(120, 240)
    return level if abs(level - skin) > 45 else level - 70 if level > 100 else 12.0


def _head_outline(jaw_drop: float, generator: np.random.Generator) -> np.ndarray:
    """Points (48, 2) of the head: broad or narrow, round or with a jaw; a dropped jaw makes it longer."""
    width = generator.uniform(0.88, 1.02)
    taper = generator.uniform(0.12, 0.34)
    squareness = generator.uniform(0.82, 1.0)
    x = width * np.sign(np.cos(_TURN)) * np.abs(np.cos(_TURN)) ** squareness
    y = HEAD_HEIGHT * np.sin(_TURN)
    chin = np.clip(y / HEAD_HEIGHT, 0, 1)
    return np.stack([x * (1 - taper * chin**2), y + 0.13 * jaw_drop * chin], axis=1)


def _draw_background(canvas: Canvas, generator: np.random.Generator) -> None:
    for _ in range(generator.integers(0, 4)):
        centre = (generator.uniform(-1.6, 1.6), generator.uniform(-1.6, 1.6))
        radius = (generator.uniform(0.3, 1.2), generator.uniform(0.3, 1.2))
        canvas.disc(centre, radius, generator.uniform(20, 235), flat=True)
    canvas.soften(1.2)
    clothes = generator.uniform(20, 235)
    canvas.fill(
        np.array([(-1.7, 2.4), (-1.25, 1.55), (-0.4, 1.3), (0.4, 1.3), (1.25, 1.55), (1.7, 2.4)]), clothes, flat=True
    )


def _draw_back_hair(canvas: Canvas, hair: float, generator: np.random.Generator) -> Callable[[], None]:
    """Draw the hair behind the head; the result draws what of it lies over the forehead."""
    style = generator.choice(["none", "short", "fringe", "parted", "long"], p=[0.08, 0.3, 0.2, 0.2, 0.22])
    parting, forehead = generator.uniform(-0.5, 0.5), generator.uniform(-1.35, -1.15)
    strands = generator.uniform(-0.9, 0.9, 5)
    if style == "long":
        canvas.fill(circle((0, 0.15), (1.22, 1.65)), hair, flat=True)
    elif style != "none":
        canvas.disc((0, -0.28), (1.1, 1.18), hair, flat=True)

    def draw_front_hair() -> None:
        crown = curve((1.04, -0.28), (1.02, -1.75), (-1.02, -1.75), (-1.04, -0.28), count=20)
        if style == "fringe":
            edge = curve((-1.02, -0.42), (-0.6, -0.86), (0.6, -0.86), (1.02, -0.42), count=12)
        elif style in ("parted", "long"):
            edge = np.concatenate(
                [
                    curve((-1.03, -0.25), (-0.86, -0.78), (parting, -1.06), count=8),
                    curve((parting, -1.06), (0.86, -0.78), (1.03, -0.25), count=8),
                ]
            )
        elif style == "short":
            temple = (0.98, -0.12)  # the hairline climbs steeply from the temples to a forehead of its own height
            edge = curve((-temple[0], temple[1]), (-0.68, forehead), (0.68, forehead), temple, count=12)
        else:
            return
        canvas.fill(np.concatenate([crown, edge]), hair)
        for strand in strands:
            root, tip = (0.25 * strand + parting, -1.25), (0.95 * strand, -1.02 + 0.25 * strand**2)
            canvas.stroke(curve(root, (0.8 * strand, -1.25), tip, count=6), min(1.15 * hair + 6, 250), 0.03)

    return draw_front_hair


def _draw_head(canvas: Canvas, features: Features, outline: np.ndarray) -> None:
    """Neck, ears and the skin of the face, darker in the sockets, beside the nose and under the cheekbones."""
    skin = features.skin
    canvas.fill(np.array([(-0.45, 0.8), (0.45, 0.8), (0.55, 2.0), (-0.55, 2.0)]), 0.72 * skin, flat=True)
    for side in SIDES:
        canvas.disc((1.0 * side, 0.05), (0.13, 0.25), 0.85 * skin, flat=True)
    canvas.fill(outline, 0.86 * skin, flat=True)
    canvas.fill(outline * (0.93, 0.95), 0.94 * skin, flat=True)
    canvas.fill(outline * (0.85, 0.89), skin, flat=True)
    canvas.soften(1.0)
    for side in SIDES:
        canvas.disc((EYE[0] * side, EYE[1] - 0.04), (0.33, 0.22), 0.9 * skin)
        canvas.disc((0.55 * side, 0.3), (0.2, 0.16), min(1.06 * skin, 250))
        canvas.fill(curve((0.08 * side, -0.2), (0.09 * side, 0.1), (0.24 * side, 0.32), (0.05 * side, 0.3)), 0.9 * skin)
    canvas.disc((0, 0.2), (0.07, 0.1), min(1.08 * skin, 250))


def _draw_beard(canvas: Canvas, outline: np.ndarray, level: float) -> None:
    """Everything below a line from ear to ear that passes under the nose."""
    jaw = outline[outline[:, 1] > 0.15]  # from one ear to the other, by the chin
    cheeks = curve((-0.98, 0.15), (-0.7, 0.62), (0, 0.28), count=8)
    canvas.fill(np.concatenate([jaw * 0.98, cheeks, cheeks[::-1] * (-1, 1)]), level)


def _draw_glasses(canvas: Canvas, generator: np.random.Generator) -> None:
    level = generator.uniform(10, 90)
    for side in SIDES:
        rim = circle((EYE[0] * side, EYE[1] + 0.02), (0.34, 0.27))
        canvas.stroke(np.concatenate([rim, rim[:2]]), level, 0.04)
        canvas.stroke(np.array([(0.76 * side, EYE[1]), (1.0 * side, EYE[1] - 0.03)]), level, 0.04)
    canvas.stroke(curve((-0.09, EYE[1]), (0, EYE[1] - 0.05), (0.09, EYE[1])), level, 0.04)


def _photograph(pixels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Light from one side, exposure and sensor noise: float32 (48, 48) to uint8 (48, 48)."""
    angle, strength = generator.uniform(0, 2 * np.pi), generator.uniform(0, 0.38)
    light = 1 + strength * (np.cos(angle) * _GRID[np.newaxis, :] + np.sin(angle) * _GRID[:, np.newaxis])
    contrast = generator.uniform(0.65, 1.1)
    brightness = generator.normal(0, 14)
    noise = generator.standard_normal(pixels.shape, dtype=np.float32) * generator.uniform(1, 8)
    exposed = 128 + contrast * (pixels * light - 128) + brightness + noise
    return np.asarray(np.clip(np.rint(exposed), 0, 255).astype(np.uint8))
