"""From frames to followed faces: what is found in each frame, how fast, and in short over the whole video."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.runtime.annotation import annotate
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.photos import DETECT, FaceSearch
from fer_edge.video.source import Frame
from fer_edge.video.tracks import Track, Tracker

RATE_FRAMES = 30
"""The frame rate shown is that of the last so many frames."""


@dataclass(frozen=True)
class AnalysedFrame:
    """One frame and the faces in it."""

    frame: Frame
    tracks: tuple[Track, ...]
    frames_per_s: float
    """Frames that were analysed, drawn and written in a second of late; 0 for the first."""

    def picture(self) -> NDArray[np.uint8]:
        """The frame with its faces and the frame rate drawn on it: uint8 RGB (H * k, W * k, 3), see ``annotate``."""
        note = f"{self.frames_per_s:.1f} frames/s" if self.frames_per_s else ""
        texts = [track.text for track in self.tracks]
        return annotate(self.frame.pixels, [track.face for track in self.tracks], note=note, texts=texts)


@dataclass
class VideoSummary:
    """What a video held, counted while it runs."""

    labels: tuple[str, ...]
    """The model's, in its order."""
    num_frames: int = 0
    num_frames_with_face: int = 0
    num_faces: int = 0
    """Different faces, as far as they could be followed: one that leaves and comes back counts again."""
    seconds: float = 0.0
    """Of work, not of video."""
    label_counts: Counter[str] = field(default_factory=Counter)
    """Frames times faces by expression."""
    num_uncertain: int = 0
    """Frames times faces whose answer is not certain, as far as the model is calibrated; their labels count, too."""

    def add(self, analysed: AnalysedFrame) -> None:
        """Count one frame."""
        found = [track for track in analysed.tracks if track.num_missed == 0]
        self.num_frames += 1
        self.num_frames_with_face += bool(found)
        self.num_faces = max([self.num_faces, *(track.number for track in found)])
        self.label_counts.update(track.face.label for track in found)
        self.num_uncertain += sum(track.face.is_certain is False for track in found)

    @property
    def frames_per_s(self) -> float:
        """Frames for each second of work."""
        return self.num_frames / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "num_frames": self.num_frames,
            "num_frames_with_face": self.num_frames_with_face,
            "num_faces": self.num_faces,
            "labels": {label: self.label_counts[label] for label in self.labels},
            "num_uncertain": self.num_uncertain,
            "seconds": round(self.seconds, 3),
            "frames_per_s": round(self.frames_per_s, 2),
        }


def analyse(
    frames: Iterable[Frame],
    classifier: Classifier,
    search: FaceSearch,
    tracker: Tracker,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[AnalysedFrame]:
    """Search each frame for faces and follow them. Every frame is searched, whatever ``search.mode`` says.

    The frame rate counts from one frame to the next, so what the caller does with them (drawing, writing) is in it.
    """
    detect = FaceSearch(DETECT, search.framing, search.detector, looks_sideways=False)
    times_s: deque[float] = deque(maxlen=RATE_FRAMES + 1)
    for frame in frames:
        photo = classifier.predict_faces(frame.pixels, search=detect)
        tracks = tracker.update(photo.faces)
        times_s.append(clock())
        elapsed_s = times_s[-1] - times_s[0]
        yield AnalysedFrame(frame, tracks, (len(times_s) - 1) / elapsed_s if elapsed_s > 0 else 0.0)
