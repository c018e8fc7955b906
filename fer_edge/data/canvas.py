"""Ink for synthetic faces: shapes given in face coordinates, seen from a pose, on a grey canvas.

Face coordinates: x to the viewer's right and y down, (0, 0) between the eyes and the nose; the head reaches about 1 to
each side and 1.25 up and down. Canvas coordinates are pixels of a picture SUPERSAMPLING times as large as the face.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import comb, cos, sin

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from fer_edge.runtime.images import FACE_SIZE

SUPERSAMPLING = 3
"""Drawn this many times too large and averaged down, so that edges are smooth."""

CANVAS_SIZE = FACE_SIZE * SUPERSAMPLING

HEAD_DEPTH = 0.85
"""How far the middle of the face is in front of its outline: what moves when the head turns."""

_ELLIPSOID = np.array([1 / 1.1**2, 1 / 1.4**2])
"""The face bulges over its outline: depth 1 in the middle, 0 from 1.1 to the sides and 1.4 up or down."""

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
        onto_canvas, forward, origin = self._matrices
        projected = points @ onto_canvas + origin
        if not flat:
            depth = np.sqrt(np.maximum(1 - (points * points) @ _ELLIPSOID, 0))
            projected += depth[:, np.newaxis] * forward
        return np.asarray(projected)

    @cached_property
    def _matrices(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What x and y (2, 2), depth (2,) and the origin (2,) become on the canvas."""
        rolled = np.array([[cos(self.roll), sin(self.roll)], [-sin(self.roll), cos(self.roll)]]) * self.scale
        turned = np.diag([cos(self.yaw), cos(self.pitch)])
        forward = HEAD_DEPTH * np.array([sin(self.yaw), sin(self.pitch)])
        return turned @ rolled, forward @ rolled, np.array(self.centre)


class Canvas:
    """A grey picture, levels 0-255, that takes shapes in face coordinates."""

    def __init__(self, pose: Pose, level: float) -> None:
        self.pose = pose
        self._image = Image.new("L", (CANVAS_SIZE, CANVAS_SIZE), _grey(level))
        self._ink = ImageDraw.Draw(self._image)

    def fill(self, points: np.ndarray, level: float, *, flat: bool = False) -> None:
        """Fill the polygon of ``points`` (K, 2)."""
        self._ink.polygon(self.pose.project(points, flat=flat).ravel().tolist(), fill=_grey(level))

    def disc(
        self, centre: Sequence[float], radius: float | tuple[float, float], level: float, *, flat: bool = False
    ) -> None:
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
        """Blur what has been drawn so far by ``radius`` pixels of the finished face: skin has no edges."""
        self._image = self._image.filter(ImageFilter.BoxBlur(radius * SUPERSAMPLING))
        self._ink = ImageDraw.Draw(self._image)

    def pixels(self) -> np.ndarray:
        """The picture averaged down to a face: float32 (FACE_SIZE, FACE_SIZE), 0-255."""
        return np.asarray(self._image.reduce(SUPERSAMPLING), np.float32)


def circle(centre: Sequence[float], radius: float | tuple[float, float]) -> np.ndarray:
    """Points (24, 2) of a circle, or of an ellipse where ``radius`` is a pair."""
    return np.asarray(_CIRCLE * radius + np.asarray(centre))


def curve(*controls: tuple[float, float], count: int = 12) -> np.ndarray:
    """Points (count, 2) of the Bezier curve with three or four ``controls``."""
    return np.asarray(_bernstein(count, len(controls) - 1) @ np.array(controls))


@cache
def _bernstein(count: int, degree: int) -> np.ndarray:
    """Weight of each control point (count, degree + 1) along a Bezier curve."""
    t = np.linspace(0, 1, count)
    return np.stack([comb(degree, k) * t**k * (1 - t) ** (degree - k) for k in range(degree + 1)], axis=1)


def _grey(level: float) -> int:
    return min(max(round(level), 0), 255)
