"""Where frames come from: a camera or a video file, opened by OpenCV."""

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.errors import MissingExtraError, VideoError
from fer_edge.runtime.file_kind import CLIP, mistaken
from fer_edge.runtime.images import MAX_PIXELS
from fer_edge.text import printable

DEFAULT_FRAMES_PER_S = 25.0
"""For a file or camera that does not say."""

MAX_FRAMES_PER_S = 240.0
"""A file that claims more is not believed."""


@dataclass(frozen=True)
class Frame:
    """One picture of a video."""

    number: int
    """From 0."""
    time_s: float
    """Seconds since the first frame: by the file's own rate, or by the clock for a camera."""
    pixels: NDArray[np.uint8]
    """(H, W, 3), RGB."""


class VideoSource:
    """A camera (its number) or a video file (its path). Use it in a ``with`` statement, which gives it back.

    Only files of this machine are opened: no address of a stream, and no pattern of file names. Raises VideoError, one
    line that names it, when it cannot be opened or gives no picture, and MissingExtraError without OpenCV.
    """

    def __init__(self, source: int | Path) -> None:
        self.is_camera = isinstance(source, int)
        self.name = f"camera {source}" if isinstance(source, int) else printable(str(source))
        cv2 = load_opencv()
        if isinstance(source, int):
            self._capture = cv2.VideoCapture(source)
        else:
            self._check_file(source)
            # Resolved, so that nothing in a name ("rtsp:...") can be taken for an address.
            self._capture = cv2.VideoCapture(str(source.resolve()), cv2.CAP_FFMPEG)
        self._first = self._read() if self._capture.isOpened() else None
        if self._first is None:
            self.close()
            raise VideoError(f"{self.name}: {self._advice()}")
        self.frames_per_s = _believable(self._capture.get(cv2.CAP_PROP_FPS))
        """What the file or the camera claims; DEFAULT_FRAMES_PER_S where it claims nothing."""

    def __enter__(self) -> "VideoSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        """The frames, once. A file that breaks off ends there; a camera ends when it is unplugged."""
        start = time.perf_counter()
        pixels, self._first = self._first, None
        number = 0
        while pixels is not None:
            time_s = time.perf_counter() - start if self.is_camera else number / self.frames_per_s
            yield Frame(number, time_s, pixels)
            pixels = self._read()
            number += 1

    def close(self) -> None:
        """Give the camera or file back."""
        self._capture.release()

    def _read(self) -> NDArray[np.uint8] | None:
        is_there, pixels = self._capture.read()
        if not is_there or pixels is None or pixels.ndim != 3:
            return None
        if pixels.shape[0] * pixels.shape[1] > MAX_PIXELS:
            raise VideoError(f"{self.name}: expected frames of at most {MAX_PIXELS} pixels, found more")
        return np.ascontiguousarray(pixels[:, :, ::-1])  # BGR to RGB

    def _check_file(self, path: Path) -> None:
        try:
            if path.is_dir():
                found = mistaken(path, CLIP) or "found a folder"
                raise VideoError(f"{self.name}: expected a video file, {found}")
            if path.exists() and not path.is_file():
                raise VideoError(f"{self.name}: expected a video file, found a device, pipe or socket")
            with path.open("rb"):
                told = mistaken(path, CLIP)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise VideoError(f"{self.name}: cannot be opened: {reason}") from error
        if told is not None:
            raise VideoError(f"{self.name}: expected a video file, {told}")

    def _advice(self) -> str:
        if self.is_camera:
            return (
                "expected a camera that gives pictures, found none; plug one in, close other programs that use it, "
                "choose another by --camera, or name a video file"
            )
        return "expected a video that FFmpeg can decode, found other or damaged bytes"


def load_opencv() -> ModuleType:
    """OpenCV, kept from writing to stderr on its own. Raises MissingExtraError where it is not installed."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg's own number for "quiet"
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("opencv-python-headless", "video") from error
    return cv2


def _believable(frames_per_s: Any) -> float:
    number = float(frames_per_s)
    return number if math.isfinite(number) and 0 < number <= MAX_FRAMES_PER_S else DEFAULT_FRAMES_PER_S
