"""Ink for drawn faces: shapes given in face coordinates, seen from a pose, on a grey canvas.

Face coordinates: x to the viewer's right and y down, (0, 0) between the eyes and the nose; the head reaches about 1 to
each side and 1.25 up and down. Canvas coordinates are pixels of a picture SUPERSAMPLING times as large as the face.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, sin

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from fer_edge.runtime.images import FACE_SIZE

SUPERSAMPLING = 4
"""Drawn this many times too large and averaged down, so that edges are smooth."""

CANVAS_SIZE = FACE_SIZE * SUPERSAMPLING

HEAD_DEPTH = 0.85
"""How far the middle of the face is in front of its outline: what moves when the head turns."""

_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 24, False)), np.sin(np.linspace(0, 2 * np.pi, 24, False))], axis=1)


@dataclass(frozen=True)
class Pose:
    """Where the head is and where it looks; angles in radians."""

    scale: float
    """Canvas pixels of one unit of the face."""

    centre: tuple[float, float]
    """Canvas pixels at which the middle of the head is."""

    roll: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0

    def project(self, points: np.ndarray, *, flat: bool = False) -> np.ndarray:
        """Face coordinates (K, 2) to canvas pixels (K, 2); ``flat`` leaves them in the plane of the head's outline."""
        x, y = points[:, 0], points[:, 1]
        depth = np.zeros_like(x) if flat else HEAD_DEPTH * np.sqrt(np.clip(1 - (x / 1.1) ** 2 - (y / 1.4) ** 2, 0, 1))
        turned_x = x * cos(self.yaw) + depth * sin(self.yaw)
        turned_y = y * cos(self.pitch) + depth * sin(self.pitch)
        canvas_x = turned_x * cos(self.roll) - turned_y * sin(self.roll)
        canvas_y = turned_x * sin(self.roll) + turned_y * cos(self.roll)
        return np.stack([canvas_x, canvas_y], axis=1) * self.scale + self.centre


class Canvas:
    """A grey picture, levels 0-255, that takes shapes in face coordinates."""

    def __init__(self, pose: Pose, level: float) -> None:
        self.pose = pose
        self._image = Image.new("L", (CANVAS_SIZE, CANVAS_SIZE), _grey(level))
        self._ink = ImageDraw.Draw(self._image)

    def fill(self, points: np.ndarray, level: float, *, flat: bool = False) -> None:
        """Fill the polygon of ``points`` (K, 2)."""
        self._ink.polygon(self.pose.project(points, flat=flat).ravel().tolist(), fill=_grey(level))

    def disc(self, centre: Sequence[float], radius: float | tuple[float, float], level: float, *, flat: bool = False) -> None:
        """Fill a circle, or an ellipse where ``radius`` is a pair."""
        self.fill(circle(centre, radius), level, flat=flat)

    def stroke(self, points: np.ndarray, level: float, width: float) -> None:
        """Draw a line of one width (in units of the face) with round ends through ``points`` (K, 2)."""
        pixels = self.pose.project(points)
        thickness = max(width * self.pose.scale, 1.0)
        self._ink.line(pixels.ravel().tolist(), fill=_grey(level), width=round(thickness), joint="curve")
        for x, y in (pixels[0], pixels[-1]):
            half = thickness / 2
            self._ink.ellipse((x - half, y - half, x + half, y + half), fill=_grey(level))

    def ribbon(self, points: np.ndarray, level: float, widths: np.ndarray) -> None:
        """Draw a line through ``points`` (K, 2) whose width (K,) changes along it."""
        along = np.gradient(points, axis=0)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)
        across *= (widths / 2 / np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6))[:, np.newaxis]
        self.fill(np.concatenate([points + across, (points - across)[::-1]]), level)

    def soften(self, radius: float) -> None:
        """Blur what has been drawn so far by ``radius`` canvas pixels: skin has no edges."""
        self._image = self._image.filter(ImageFilter.BoxBlur(radius))
        self._ink = ImageDraw.Draw(self._image)

    def pixels(self) -> np.ndarray:
        """The picture averaged down to a face: float32 (FACE_SIZE, FACE_SIZE), 0-255."""
        return np.asarray(self._image.reduce(SUPERSAMPLING), np.float32)


def circle(centre: Sequence[float], radius: float | tuple[float, float]) -> np.ndarray:
    """Points (24, 2) of a circle, or of an ellipse where ``radius`` is a pair."""
    return _CIRCLE * radius + np.asarray(centre)


def curve(*controls: tuple[float, float], count: int = 12) -> np.ndarray:
    """Points (count, 2) of the Bezier curve with three or four ``controls``."""
    t = np.linspace(0, 1, count)[:, np.newaxis]
    corners = [np.asarray(control) for control in controls]
    while len(corners) > 1:  # de Casteljau
        corners = [a * (1 - t) + b * t for a, b in zip(corners, corners[1:], strict=False)]
    return np.asarray(corners[0])


def _grey(level: float) -> int:
    return min(max(round(level), 0), 255)
