"""Follows faces from frame to frame, and steadies what is shown of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_edge.errors import UsageError
from fer_edge.runtime.annotation import answer_text
from fer_edge.runtime.detector import Box, Face
from fer_edge.runtime.photos import FacePrediction
from fer_edge.runtime.prediction import Prediction
from fer_edge.runtime.yunet import overlaps

if TYPE_CHECKING:
    from fer_edge.runtime.certainty import Certainty

DEFAULT_SMOOTHING = 0.5

MIN_OVERLAP = 0.3
"""A face in this frame is the one of the last frame whose box it overlaps the most, and by at least this much
(intersection over union)."""

PATIENCE = 5
"""Frames for which a face that is not found is still waited for; it is shown meanwhile where it was."""


@dataclass(frozen=True)
class Track:
    """One face that is followed."""

    number: int
    """From 1, in the order of appearance; never used again."""
    face: FacePrediction
    """Its box, landmarks and probabilities, smoothed."""
    num_missed: int
    """Frames since it was last found: 0 in a frame that shows it."""
    last_certain: str | None = None
    """The label of its last certain answer, which is held while later ones are not; None before the first, and of a
    model that was not calibrated."""

    @property
    def text(self) -> str:
        """What is shown of it: the answer, or the last certain one where it is not."""
        if self.face.is_certain is False and self.last_certain is not None:
            return f"{self.last_certain} (before)"
        return answer_text(self.face)


class Tracker:
    """Gives each face its number and a steady box and answer.

    Box, landmarks and probabilities follow ``smoothing * old + (1 - smoothing) * new`` (exponential smoothing): 0 shows
    each frame as it is, 0.5 halves the tremble and lags about one frame behind, values near 1 hardly move.
    """

    def __init__(self, smoothing: float = DEFAULT_SMOOTHING, certainty: "Certainty | None" = None) -> None:
        """``certainty`` is the classifier's, which judges the smoothed answers."""
        if not 0 <= smoothing < 1:
            raise UsageError(f"expected a smoothing from 0 to below 1, found {smoothing}")
        self._smoothing = smoothing
        self._certainty = certainty
        self._tracks: list[Track] = []
        self._num_seen = 0

    def update(self, faces: Sequence[FacePrediction]) -> tuple[Track, ...]:
        """Take in one frame's faces (each with a place); give all that are followed, by number."""
        matches = self._matches(faces)
        tracks = []
        for index, track in enumerate(self._tracks):
            if index in matches:
                steadied = _blend(track.face, faces[matches[index]], self._smoothing, self._certainty)
                last_certain = steadied.label if steadied.is_certain else track.last_certain
                tracks.append(Track(track.number, steadied, 0, last_certain))
            elif track.num_missed < PATIENCE:
                tracks.append(replace(track, num_missed=track.num_missed + 1))
        known = set(matches.values())
        for index, face in enumerate(faces):
            if index not in known:
                self._num_seen += 1
                tracks.append(Track(self._num_seen, face, 0, face.label if face.is_certain else None))
        self._tracks = tracks
        return tuple(tracks)

    def _matches(self, faces: Sequence[FacePrediction]) -> dict[int, int]:
        """Index of a track to index of its face: the pairs that overlap most come first."""
        boxes = np.array([_numbers(face) for face in faces]).reshape(-1, 4)
        shared = np.array([overlaps(_numbers(track.face), boxes) for track in self._tracks])
        matches: dict[int, int] = {}
        while shared.size and shared.max() >= MIN_OVERLAP:
            track, face = np.unravel_index(shared.argmax(), shared.shape)
            matches[int(track)] = int(face)
            shared[track, :] = shared[:, face] = 0
        return matches


def _place(face: FacePrediction) -> Face:
    if face.face is None:
        raise ValueError("expected a face with a place, found one without; search with FaceSearch('detect')")
    return face.face


def _numbers(face: FacePrediction) -> NDArray[np.float64]:
    """The box (4,): left, top, width, height."""
    box = _place(face).box
    return np.array([box.x, box.y, box.width, box.height], dtype=np.float64)


def _blend(old: FacePrediction, new: FacePrediction, smoothing: float, certainty: "Certainty | None") -> FacePrediction:
    def mix(before: NDArray[np.float64], now: NDArray[np.float64]) -> NDArray[np.float64]:
        return smoothing * before + (1 - smoothing) * now

    box = Box(*mix(_numbers(old), _numbers(new)).tolist())
    landmarks = mix(np.array(_place(old).landmarks), np.array(_place(new).landmarks))
    labels = tuple(new.probabilities)
    row = mix(*(np.array([face.probabilities[label] for label in labels]) for face in (old, new)))
    steadied = Prediction.from_row(row, labels, latency_ms=new.latency_ms, source=new.source, certainty=certainty)
    place = Face(box, tuple((x, y) for x, y in landmarks.tolist()), _place(new).score)
    return FacePrediction(**{**vars(steadied), "quality": new.quality}, face=place)
