"""What was read of a video, against what the file says of itself: whether it was cut off or damaged."""

from pathlib import Path
from typing import Any

from fer_edge.video import chunks, matroska

MISSING_S = 0.5
"""A file whose pictures and sound end so much before its stated duration is taken as cut off."""

_A_PICTURE_A_PACKET = ("h264", "hevc", "av1")
"""Codecs of which each packet gives a picture. Decoders that work in threads may say nothing of one that gave none."""

_ENOUGH = 0.9
"""Of the pictures of other codecs, some of which hold packets that show nothing."""


class Damage:
    """Counts the packets of an opened container, and tells at its end what is wrong with it."""

    def __init__(self, container: Any, stream: Any) -> None:
        """``stream``: the one of ``container`` whose pictures are shown."""
        self.num_damaged = 0
        """Packets or pictures that the decoder found damaged."""
        self._container = container
        self._stream = stream
        self._end_s = 0.0
        self._num_packets = 0
        self._num_shown = 0
        """Packets whose pictures are to be seen: not those that the file's edit list leaves out, nor those that need
        pictures which were cut away, as at the start of a trimmed file: all that come before its first key picture,
        and before the first that could be decoded."""
        self._num_cut_away = 0
        """The latter."""
        self._first_key_pts: int | None = None
        self._start_pts: int | None = None
        self._waiting: list[int | None] = []
        """Time stamps of the packets before the first picture is decoded."""

    def note(self, packet: Any) -> None:
        """Take in a packet, of any of the container's streams, in the file's order."""
        if packet.pts is not None:
            self._end_s = max(self._end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.stream is not self._stream or not packet.size:
            return
        self._num_packets += 1
        if self._first_key_pts is None and packet.is_keyframe:
            self._first_key_pts = packet.pts
        if packet.is_discard:
            return
        if self._start_pts is None:
            self._waiting.append(packet.pts)
        else:
            self._count(packet.pts)

    def begin(self, first: Any) -> None:
        """Take in the first decoded picture."""
        known = [pts for pts in (first.pts, self._first_key_pts) if pts is not None]
        self._start_pts = max(known, default=0)
        for pts in self._waiting:
            self._count(pts)
        self._waiting.clear()

    def _count(self, pts: int | None) -> None:
        is_shown = pts is None or self._start_pts is None or pts >= self._start_pts
        self._num_shown += is_shown
        self._num_cut_away += not is_shown

    def of_file(self, path: Path, num_frames: int, frames_per_s: float) -> str | None:
        """What is wrong with the file at ``path``, of which all was read, and which gave ``num_frames`` pictures."""
        kind = self._kind()
        if kind not in ("mov", "matroska", "avi"):
            return self._told()
        # Matroska states when it ends, which is not how long it is where its clock begins later than at zero.
        stated_s, found_s = self._lengths_s(from_zero=kind == "matroska")
        if found_s < stated_s - max(MISSING_S, 1 / frames_per_s):
            return f"expected {stated_s:.1f} s as the file states, found {found_s:.1f} s: it is cut off or damaged"
        if kind == "matroska":
            breaks_off = matroska.ends_early(path)
        else:
            if missing := self._missing(num_frames):
                return f"{missing}: it is cut off or damaged"
            is_in_fragments = kind == "mov" and not self._stream.frames
            breaks_off = (
                chunks.avi_ends_early(path) if kind == "avi" else is_in_fragments and chunks.mp4_ends_early(path)
            )
        if breaks_off:
            return f"expected a whole file, found one that breaks off after {found_s:.1f} s: it is cut off"
        lost = 0
        if kind != "avi" and self._stream.codec_context.name in _A_PICTURE_A_PACKET:
            lost = self._num_shown - num_frames
            if self._num_cut_away > num_frames:  # hardly a trimmed file
                lost += self._num_cut_away
        return self._told(lost)

    def of_stream(self, num_frames: int, last_s: float, frames_per_s: float) -> str | None:
        """What is wrong with a stream that has an end and came to one: a server that goes away ends it as one that is
        done does. ``last_s``: the time of the last frame."""
        stated_s, found_s = self._lengths_s()
        found_s = max(found_s, last_s + 1 / frames_per_s)  # by time stamps alone it is less where they begin anew
        broke_off = f"the stream broke off after {num_frames} frames"
        if stated_s and (self.num_damaged or found_s < stated_s - max(MISSING_S, 1 / frames_per_s)):
            return f"{broke_off}: expected {stated_s:.1f} s, found {found_s:.1f} s"
        if missing := self._missing(num_frames):
            return f"{broke_off}: {missing}"
        return broke_off if self.num_damaged else None

    def _missing(self, num_frames: int) -> str | None:
        """What is missing of the pictures that the index has, in kinds of files with one.

        Not of the stated number of frames: that also counts those which an edit list leaves out and, in an AVI, the
        empty ones that stand for "as before".
        """
        kind = self._kind()
        if kind not in ("mov", "avi"):
            return None
        num_indexed = sum(entry.size > 0 for entry in self._stream.index_entries)
        stated = num_indexed - (self._num_packets - self._num_shown)
        if (kind == "mov" and self._num_packets < num_indexed) or num_frames < _ENOUGH * stated:
            return f"expected {stated} frames as the file states, found {num_frames}"
        return None

    def _kind(self) -> str:
        return str(self._container.format.name.split(",")[0])

    def _lengths_s(self, *, from_zero: bool = False) -> tuple[float, float]:
        """Seconds that are stated (0 where none are) and that were found."""
        from av import time_base

        start_s = 0.0 if from_zero else max(0.0, (self._container.start_time or 0) / time_base)
        return (self._container.duration or 0) / time_base, self._end_s - start_s

    def _told(self, lost: int = 0) -> str | None:
        found = max(self.num_damaged, lost)
        return f"expected a whole video, found {found} damaged packets or frames" if found else None
