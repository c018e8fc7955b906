"""Files that grow frame by frame, an annotated video and a table, and that are whole even after Ctrl-C."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.errors import UsageError, VideoError
from fer_edge.files import make_folder, storage_error, storage_errors, sweep_once
from fer_edge.leftovers import owned
from fer_edge.own_files import OwnFiles
from fer_edge.runtime.prediction import probability_columns
from fer_edge.video.source import Frame, load_opencv
from fer_edge.video.tracks import Track

VIDEO_SUFFIX = ".mp4"

CODEC = "mp4v"
"""MPEG-4 Part 2: the one that OpenCV's packages can write everywhere. Browsers want H.264; ffmpeg turns one into the
other (ffmpeg -i result.mp4 -c:v libx264 web.mp4)."""

FIXED_COLUMNS = (
    *("frame", "time_s", "face", "x", "y", "width", "height", "detection_score"),
    *("label", "confidence"),
)
"""The probability of each label follows. A row for each face in each frame; a frame without a face has a row in which
only the first two are filled."""


class _Staged:
    """A file that is written under another name beside its place, and takes its place when it is finished."""

    def __init__(self, path: Path) -> None:
        self._own_files = OwnFiles("choose another name")
        self._own_files.refuse_foreign([path])
        sweep_once(make_folder(path.parent))
        self.path = path
        self.temporary = path.with_name(f"{owned()}{path.name}")
        with storage_errors(path):  # now, rather than after a long video
            self.temporary.touch()

    def finish(self) -> None:
        with self._own_files.writing(self.path), storage_errors(self.path):
            self.temporary.replace(self.path)

    def discard(self) -> None:
        self.temporary.unlink(missing_ok=True)


class VideoFile:
    """An ``.mp4`` that plays as fast as what it shows: a frame is repeated where a slow computer left others out.

    Raises UsageError for another suffix, and StorageError or VideoError when it cannot be written.
    """

    def __init__(self, path: Path, frames_per_s: float) -> None:
        if path.suffix.lower() != VIDEO_SUFFIX:
            raise UsageError(f"{path}: expected a video that ends in {VIDEO_SUFFIX}, found {path.suffix!r}")
        self._cv2 = load_opencv()
        self._staged = _Staged(path)
        self._frames_per_s = frames_per_s
        self._writer: Any = None
        self._num_written = 0

    @property
    def path(self) -> Path:
        """Where the video is when it is finished."""
        return self._staged.path

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:
        """Add a picture uint8 RGB (H, W, 3), shown from ``time_s`` on; all have one size."""
        height, width = (side // 2 * 2 for side in picture.shape[:2])  # the format knows even sides only
        if self._writer is None:
            code = self._cv2.VideoWriter_fourcc(*CODEC)
            self._writer = self._cv2.VideoWriter(
                str(self._staged.temporary), self._cv2.CAP_FFMPEG, code, self._frames_per_s, (width, height)
            )
            if not self._writer.isOpened():
                raise VideoError(f"{self.path}: OpenCV cannot write a video of {width}x{height} pixels here")
        frame = np.ascontiguousarray(picture[:height, :width, ::-1])
        num_due = round(time_s * self._frames_per_s) + 1
        for _ in range(num_due - self._num_written):
            self._writer.write(frame)
        self._num_written = max(self._num_written, num_due)

    def finish(self) -> None:
        """Put the file in its place. Raises VideoError when nothing was written or the disk is full."""
        if self._writer is not None:
            self._writer.release()
        if not self._num_written or not self._staged.temporary.stat().st_size:
            self.discard()
            raise VideoError(
                f"{self.path}: expected frames to write, found none that could be written; is the disk full?"
            )
        self._staged.finish()

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._writer is not None:
            self._writer.release()
        self._staged.discard()


class TableFile:
    """A CSV file of every face in every frame (FIXED_COLUMNS, then one for each of ``labels``). Raises StorageError."""

    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        self._columns = (*FIXED_COLUMNS, *probability_columns(labels, FIXED_COLUMNS))
        self._staged = _Staged(path)
        with storage_errors(path):
            self._stream = self._staged.temporary.open("w", encoding="utf-8", newline="")
        self._write_row(self._columns)

    @property
    def path(self) -> Path:
        """Where the table is when it is finished."""
        return self._staged.path

    def write(self, frame: Frame, tracks: tuple[Track, ...]) -> None:
        """Add the faces that were found in one frame; those only waited for are left out."""
        start = (str(frame.number), f"{frame.time_s:.3f}")
        found = [track for track in tracks if track.num_missed == 0]
        for track in found:
            place = track.face.face
            assert place is not None  # a tracker takes faces with a place only
            box = place.box
            sides = [f"{value:.2f}" for value in (box.x, box.y, box.width, box.height)]
            shares = [f"{value:.6f}" for value in (track.face.confidence, *track.face.probabilities.values())]
            self._write_row((*start, str(track.number), *sides, f"{place.score:.4f}", track.face.label, *shares))
        if not found:
            self._write_row((*start, *[""] * (len(self._columns) - len(start))))

    def finish(self) -> None:
        """Put the file in its place."""
        try:
            self._stream.close()
        except OSError as error:
            raise storage_error(self.path, error) from error
        self._staged.finish()

    def discard(self) -> None:
        """Leave nothing behind."""
        self._stream.close()
        self._staged.discard()

    def _write_row(self, cells: tuple[str, ...]) -> None:
        row = io.StringIO()
        csv.writer(row, lineterminator="\n").writerow(cells)
        with storage_errors(self.path):
            self._stream.write(row.getvalue())
