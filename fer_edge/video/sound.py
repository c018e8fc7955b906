"""The sound of a video file, carried over into its annotated copy."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from fer_edge.video.clock import Clock, may_leap
from fer_edge.video.source import CONTAINERS, load_av

CODEC = "aac"
"""What every player knows in an mp4."""

RATE = 48_000
"""Samples in a second."""


class Soundtrack:
    """The first sound stream of a file, encoded into another container as far as the pictures have come."""

    def __init__(self, source: Any, start_s: float, target: Any) -> None:
        self._av = load_av()
        self._source = source
        self._start_s = start_s
        self._target = target
        self._stream = target.add_stream(CODEC, rate=RATE, layout="stereo")
        self._resampler = self._av.AudioResampler(format="fltp", layout="stereo", rate=RATE, frame_size=1024)
        self._frames = self._decode()
        self._next: Any = next(self._frames, None)

    @classmethod
    def of(cls, path: Path, start_s: float, target: Any) -> "Soundtrack | None":
        """The sound of ``path`` from second ``start_s`` of its clock on, for ``target``; None where it has none."""
        av = load_av()
        options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
        source = av.open(f"file:{path.resolve()}", options=options, metadata_errors="replace")
        if not source.streams.audio:
            source.close()
            return None
        return cls(source, start_s, target)

    def copy_until(self, time_s: float) -> None:
        """Encode what is heard until ``time_s`` seconds after the first picture."""
        while self._next is not None and self._next.pts / RATE <= time_s:
            self._encode(self._next)
            self._next = next(self._frames, None)

    def finish(self, time_s: float) -> None:
        """Encode what is heard until ``time_s`` and what the encoder holds back."""
        self.copy_until(time_s)
        self._target.mux(self._stream.encode(None))

    def close(self) -> None:
        """Give the source back."""
        self._source.close()

    def _encode(self, frame: Any) -> None:
        self._target.mux(self._stream.encode(frame))

    def _decode(self) -> Iterator[Any]:
        """Sound after the first picture, resampled, with time stamps that count from that picture."""
        packets = self._source.demux(self._source.streams.best("audio"))
        clock, step_s = Clock(self._start_s, may_leap=may_leap(self._source)), 0.0
        while True:
            try:
                frames = next(packets).decode()
            except (StopIteration, self._av.error.EOFError):
                break
            except self._av.FFmpegError:  # damaged sound leaves a gap; the pictures' damage is told
                continue
            for frame in frames:
                time_s = clock.time_s(frame.time, step_s)
                step_s = frame.samples / frame.sample_rate
                if time_s < 0:
                    continue
                frame.pts, frame.time_base = round(time_s * frame.sample_rate), Fraction(1, frame.sample_rate)
                yield from self._resampler.resample(frame)
        yield from self._resampler.resample(None)
