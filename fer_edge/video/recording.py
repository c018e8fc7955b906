"""Files that grow frame by frame, an annotated video and a table, and that are whole even after Ctrl-C."""

import csv
import io
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.errors import UsageError, VideoError
from fer_edge.files import make_folder, storage_error, storage_errors, sweep_once
from fer_edge.leftovers import owned
from fer_edge.own_files import OwnFiles
from fer_edge.runtime.prediction import probability_columns
from fer_edge.video.sound import Soundtrack
from fer_edge.video.source import Frame, load_av
from fer_edge.video.tracks import Track

VIDEO_SUFFIX = ".mp4"

CODEC = "libx264"
"""H.264: every browser and phone plays it."""
PIXEL_FORMAT = "yuv420p"

BT709 = 1
"""The colours of HD: number of their primaries, transfer and matrix (ISO/IEC 23091-2). Of a copy that did not name its
colours, players would guess them by its size."""
LIMITED_RANGE = 1
"""Black is 16 and white 235, as every player expects it (FFmpeg's number)."""

TICKS_PER_S = 90_000
"""Resolution of the time stamps written: MPEG's own."""

FIXED_COLUMNS = (
    *("frame", "time_s", "face", "x", "y", "width", "height", "detection_score"),
    *("label", "confidence"),
)
"""The probability of each label follows. A row for each face in each frame; a frame without a face has a row in which
only the first two are filled."""
LAST_COLUMNS = ("is_certain", "last_certain")
"""Behind the probabilities; empty for a model that was not calibrated."""


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
    """An ``.mp4`` (H.264, as browsers play it) in which each picture stands as long as in what it shows.

    ``sound``: a file whose sound goes along, and the second of its clock at which the first picture stands. Raises
    UsageError for another suffix, and StorageError or VideoError when it cannot be written.
    """

    def __init__(self, path: Path, frames_per_s: float, *, sound: tuple[Path, float] | None = None) -> None:
        if path.suffix.lower() != VIDEO_SUFFIX:
            raise UsageError(f"{path}: expected a video that ends in {VIDEO_SUFFIX}, found {path.suffix!r}")
        self._av = load_av()
        self._staged = _Staged(path)
        self._frames_per_s = frames_per_s
        self._sound_of = sound
        self._sound: Soundtrack | None = None
        self._container: Any = None
        self._stream: Any = None
        self._last_tick = -1

    @property
    def path(self) -> Path:
        """Where the video is when it is finished."""
        return self._staged.path

    def write(self, picture: NDArray[np.uint8], time_s: float) -> None:
        """Add a picture uint8 RGB (H, W, 3), shown from ``time_s`` on; all get the first one's size."""
        height, width = (side // 2 * 2 for side in picture.shape[:2])  # the format knows even sides only
        try:
            if self._container is None:
                self._open(width, height)
            pixels = np.ascontiguousarray(picture[:height, :width])
            frame = self._av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(  # to the first one's size, where a stream came back with another
                *(self._stream.width, self._stream.height, PIXEL_FORMAT),
                dst_colorspace="ITU709",
                dst_color_range=LIMITED_RANGE,
            )
            # Two pictures cannot begin at one time: the later one comes a tick after.
            self._last_tick = max(round(time_s * TICKS_PER_S), self._last_tick + 1)
            frame.pts, frame.time_base = self._last_tick, Fraction(1, TICKS_PER_S)
            self._container.mux(self._stream.encode(frame))
            if self._sound is not None:
                self._sound.copy_until(time_s)
        except (self._av.FFmpegError, ValueError) as error:
            raise VideoError(f"{self.path}: cannot write {width}x{height} pixels as H.264: {error}") from error

    def finish(self) -> None:
        """Put the file in its place. Raises VideoError when nothing was written or the disk is full."""
        try:
            if self._container is not None:
                self._container.mux(self._stream.encode(None))
                if self._sound is not None:
                    self._sound.finish(self._last_tick / TICKS_PER_S + 1 / self._frames_per_s)
            self._close()
            is_written = self._last_tick >= 0 and self._staged.temporary.stat().st_size > 0
        except self._av.FFmpegError:
            is_written = False
        if not is_written:
            self.discard()
            raise VideoError(
                f"{self.path}: expected frames to write, found none that could be written; is the disk full?"
            )
        self._staged.finish()

    def discard(self) -> None:
        """Leave nothing behind."""
        with suppress(self._av.FFmpegError):
            self._close()
        self._staged.discard()

    def _open(self, width: int, height: int) -> None:
        # faststart: a browser can begin before it has all of the file.
        self._container = self._av.open(
            str(self._staged.temporary), "w", format="mp4", options={"movflags": "+faststart"}
        )
        # By the rate the last picture gets its time; the others last until the next one's stamp.
        rate = max(Fraction(self._frames_per_s).limit_denominator(TICKS_PER_S), Fraction(1, TICKS_PER_S))
        self._stream = self._container.add_stream(CODEC, rate=rate)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, PIXEL_FORMAT
        context = self._stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED_RANGE
        context.time_base = Fraction(1, TICKS_PER_S)
        self._stream.options = {"preset": "veryfast", "crf": "20"}
        if self._sound_of is not None:
            self._sound = Soundtrack.of(*self._sound_of, self._container)

    def _close(self) -> None:
        sound, container, self._sound, self._container = self._sound, self._container, None, None
        if sound is not None:
            sound.close()
        if container is not None:
            container.close()


class TableFile:
    """A CSV file of every face in every frame (FIXED_COLUMNS, one for each of ``labels``, LAST_COLUMNS). Raises
    StorageError."""

    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        probabilities = probability_columns(labels, (*FIXED_COLUMNS, *LAST_COLUMNS))
        self._columns = (*FIXED_COLUMNS, *probabilities, *LAST_COLUMNS)
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
            certain = {None: "", True: "true", False: "false"}[track.face.is_certain]
            answer = (track.face.label, *shares, certain, track.last_certain or "")
            self._write_row((*start, str(track.number), *sides, f"{place.score:.4f}", *answer))
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
