"""Where frames come from: a camera, a live stream or a video file, opened by PyAV (FFmpeg)."""

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fer_edge.errors import MissingExtraError, VideoError
from fer_edge.runtime.file_kind import CLIP, mistaken
from fer_edge.runtime.images import MAX_PIXELS
from fer_edge.text import printable
from fer_edge.video.address import is_address
from fer_edge.video.clock import Clock, may_leap
from fer_edge.video.damage import Damage
from fer_edge.video.display import shown_pixels, shown_size

DEFAULT_FRAMES_PER_S = 25.0
"""For a file or camera that does not say."""

MAX_FRAMES_PER_S = 240.0
"""A file that claims more is not believed."""

CONTAINERS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,gif,h264,hevc,mjpeg,m4v,mpegvideo,mxf,ivf,obu,wtv,dv,nut,rm"
)
"""Kinds of files that are opened. Playlists and patterns of file names are not among them: they name other files."""

STREAM_CONTAINERS = f"rtsp,sdp,rtp,hls,mpjpeg,{CONTAINERS}"
_ENDLESS = ("rtsp", "sdp", "rtp", "hls", "mpjpeg")
"""Kinds of streams whose bytes tell no end: a playlist has its own, and some cameras state any number."""
STREAM_PROTOCOLS = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,rtmp,rtmps,crypto"
"""What a stream may lead to: the network, and no file of this machine."""

TIMEOUT_S = 10.0
"""So long a stream may be silent, when it is opened and between two packets."""


@dataclass(frozen=True)
class Frame:
    """One picture of a video."""

    number: int
    """From 0."""
    time_s: float
    """Seconds since the first frame: by the file's or stream's own time stamps, or by the clock for a camera."""
    pixels: NDArray[np.uint8]
    """(H, W, 3), RGB, as the file says that it is to be shown: turned, mirrored, with square pixels."""


class VideoSource:
    """A camera (its number), a live stream (its address) or a video file (its path). Use it in a ``with`` statement.

    A string that is no address (SCHEMES) is a path. No pattern of file names is followed, and no file on a stream's
    word. Raises VideoError, one line that names it without a password, when it cannot be opened, gives no picture or,
    for a stream, is silent for TIMEOUT_S; MissingExtraError without PyAV.
    """

    def __init__(self, source: int | str | Path) -> None:
        if isinstance(source, str) and not is_address(source):
            source = Path(source)
        self.is_stream = isinstance(source, str)
        self.is_camera = isinstance(source, int)
        self.name = f"camera {source}" if isinstance(source, int) else printable(str(source))
        self._path = source if isinstance(source, Path) else None
        self.problem: str | None = None
        """After the last frame: what is wrong with the file where not all of it could be read."""
        self._av = load_av()
        self._container: Any = None
        self.is_live = self.is_camera
        """It goes on for ever. A stream that states how long it is, in time or bytes, has an end."""
        self.is_lost = False
        """After the last frame: whether a device or stream broke off, rather than came to its end."""
        reason: Exception | None = None
        if isinstance(source, Path):
            self._check_file(source)
        try:
            self._container = self._open(source)
            self.is_live = self.is_camera or (self.is_stream and not self._has_end())
            # The best, not the first: that may be the cover picture of a song, or a thumbnail.
            self._stream = self._container.streams.best("video")
            self._check_streams()
            self._has_dts_only = self._container.format.name == "avi"  # it knows but the order of decoding
            self._stream.thread_type = "AUTO"
            self._damage = Damage(self._container, self._stream)
            self._decoded = self._decode()
            self._first = next(self._decoded, None)
            if self._first is not None:
                self._damage.begin(self._first)
        except (self._av.FFmpegError, IndexError, OSError, ValueError) as error:
            self._first = None
            reason = error
        if self._first is None:
            self.close()
            raise VideoError(f"{self.name}: {self._advice(reason)}")
        self.kind = "stream" if self.is_stream else "camera" if self.is_camera else "file"
        self.start_s: float = self._stamp_s(self._first) or 0.0
        """The time stamp of the first frame, in seconds of the file's own clock."""
        self.frames_per_s = _believable(self._stream.average_rate)
        """What the file or the camera claims; DEFAULT_FRAMES_PER_S where it claims nothing."""

    def __enter__(self) -> "VideoSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        """The frames, once. A damaged or cut file gives what can be read, and ``problem`` says so afterwards."""
        start = time.perf_counter()
        frame, self._first = self._first, None
        number, time_s = 0, 0.0
        # Of a live stream nothing but its clock leaps so far: silence would have ended it.
        clock = Clock(self.start_s, may_leap=self.is_live or may_leap(self._container))
        while frame is not None:
            if self.is_camera:
                time_s = time.perf_counter() - start
            else:
                time_s = clock.time_s(self._stamp_s(frame), 1 / self.frames_per_s)
            yield Frame(number, time_s, self._pixels(frame))
            frame = next(self._decoded, None)
            number += 1
        self.is_lost = self.is_lost or (self.is_stream and self.is_live and self._container is not None)
        if self.is_lost:
            self.problem = f"the {self.kind} broke off after {number} frames"
        elif self.is_stream:
            self.problem = (
                None if self._container is None else self._damage.of_stream(number, time_s, self.frames_per_s)
            )
        elif self._path is not None and self._container is not None:
            self.problem = self._damage.of_file(self._path, number, self.frames_per_s)

    def close(self) -> None:
        """Give the camera or file back."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def _open(self, source: int | str | Path) -> Any:
        if isinstance(source, str):
            options = {"format_whitelist": STREAM_CONTAINERS, "protocol_whitelist": STREAM_PROTOCOLS}
            if source.lower().startswith("rtsp"):
                # Most networks drop or reorder UDP: it is taken from cameras that send nothing else.
                options |= {"rtsp_transport": "tcp+udp", "rtsp_flags": "prefer_tcp"}
            return self._av.open(source, options=options, metadata_errors="replace", timeout=(TIMEOUT_S, TIMEOUT_S))
        if isinstance(source, Path):
            # "file:", so that nothing in a name ("rtsp:...") can be taken for an address.
            options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
            return self._av.open(f"file:{source.resolve()}", options=options, metadata_errors="replace")
        if sys.platform == "linux":
            return self._av.open(f"/dev/video{source}", format="v4l2")
        if sys.platform == "darwin":
            return self._av.open(str(source), format="avfoundation", options={"framerate": "30"})
        from av.device import enumerate_input_devices

        cameras = [device for device in enumerate_input_devices("dshow") if "video" in device.media_types]
        return self._av.open(f"video={cameras[source].name}", format="dshow")

    def _decode(self) -> Iterator[Any]:
        """Decoded frames. A packet that cannot be decoded is left out and counted."""
        packets = self._container.demux()
        while True:
            try:
                packet = next(packets)
                self._damage.note(packet)
                frames = packet.decode() if packet.stream is self._stream else ()
            except (StopIteration, self._av.error.EOFError):
                return
            except self._av.error.InvalidDataError:
                self._damage.num_damaged += 1
                continue
            except self._av.FFmpegError:  # the device is gone
                self._damage.num_damaged += 1
                self.is_lost = self.is_live
                with suppress(self._av.FFmpegError):  # what the decoder still holds
                    for frame in self._stream.decode(None):
                        frame.time_base = self._stream.time_base
                        yield frame
                return
            for frame in frames:
                self._damage.num_damaged += bool(frame.is_corrupt)
                yield frame

    def _stamp_s(self, frame: Any) -> float | None:
        """The time stamp of a decoded frame, in seconds."""
        if self._has_dts_only:
            return None if frame.dts is None else float(frame.dts * frame.time_base)
        return cast("float | None", frame.time)

    def _has_end(self) -> bool:
        """Whether it states how long it is, or how many bytes it has."""
        kind = self._container.format.name
        return bool(self._container.duration) or (kind not in _ENDLESS and self._container.size > 0)

    def _check_streams(self) -> None:
        from av.stream import Disposition

        found = "sound without pictures" if self._stream is None else None
        if self._stream is not None and self._stream.disposition & Disposition.attached_pic:
            found = "sound with a cover picture"
        if self._container.streams.audio and found is not None:
            self.close()
            raise VideoError(f"{self.name}: expected a video, found {found}")
        if self._stream is None:
            raise ValueError

    def _pixels(self, frame: Any) -> NDArray[np.uint8]:
        width, height = shown_size(frame, self._stream.sample_aspect_ratio)
        if max(frame.width * frame.height, width * height) > MAX_PIXELS:
            raise VideoError(f"{self.name}: expected frames of at most {MAX_PIXELS} pixels, found more")
        return shown_pixels(frame, self._stream.sample_aspect_ratio)

    def _check_file(self, path: Path) -> None:
        try:
            if path.is_dir():
                found = mistaken(path, CLIP) or "found a folder"
                raise VideoError(f"{self.name}: expected a video file, {found}")
            if path.exists() and not path.is_file():
                raise VideoError(f"{self.name}: expected a video file, found a device, pipe or socket")
            with path.open("rb") as stream:
                told = mistaken(path, CLIP) if stream.read(1) else "found an empty file"
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            advice = f"; a camera is chosen by --camera {path}" if str(path).isdecimal() else ""
            raise VideoError(f"{self.name}: cannot be opened: {reason}{advice}") from error
        if told is not None:
            raise VideoError(f"{self.name}: expected a video file, {told}")

    def _advice(self, reason: Exception | None) -> str:
        if self.is_stream:
            found = "none"
            if isinstance(reason, self._av.error.ExitError):
                found = f"silence for {TIMEOUT_S:.0f} s"
            elif isinstance(reason, OSError) and reason.strerror:
                found = f"none ({reason.strerror})"  # not the message, which has the whole address
            elif isinstance(reason, self._av.FFmpegError):
                found = f"none ({getattr(reason, 'strerror', 'unknown')})"
            return (
                f"expected a stream that gives pictures, found {found}; "
                "check its address, user and password, and whether another player shows it"
            )
        if self.is_camera:
            return (
                "expected a camera that gives pictures, found none; plug one in, close other programs that use it, "
                "choose another by --camera, or name a video file"
            )
        return "expected a video that FFmpeg can decode, found other or damaged bytes"


def load_av() -> ModuleType:
    """PyAV, kept from writing to stderr on its own. Raises MissingExtraError where it is not installed."""
    try:
        import av
        import av.logging
    except ImportError as error:
        raise MissingExtraError("av", "video") from error
    av.logging.set_level(None)
    return cast(ModuleType, av)


def _believable(frames_per_s: Any) -> float:
    number = float(frames_per_s or 0)
    return number if 0 < number <= MAX_FRAMES_PER_S else DEFAULT_FRAMES_PER_S
