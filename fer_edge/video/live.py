"""Cameras and streams read beside the main thread, so that Ctrl-C is heard while one hangs; lost ones are reopened."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from fer_edge.errors import VideoError
from fer_edge.video.source import Frame, VideoSource

RECONNECT_S = 30.0
"""So long a camera or stream that broke off is tried again."""

RETRY_S = 1.0
"""Between two tries."""

POLL_S = 0.2
"""Waits are cut into pieces of this length: on Windows a longer one would not be ended by Ctrl-C."""

MAX_WAITING = 2
"""Frames that wait to be analysed. Where more come the oldest is dropped, so that what is shown is the present."""


class LiveSource:
    """A camera (its number) or a stream (its address), with VideoSource's attributes. Use it in a ``with`` statement.

    One that breaks off is tried again for ``reconnect_s`` seconds (0: never), and ``note`` is called with a line
    that says so; the time of its frames goes on meanwhile. No frame is dropped of a stream that states its duration.
    Raises VideoError, as VideoSource does, when it cannot be opened in the first place.
    """

    def __init__(
        self, source: int | str, *, reconnect_s: float = RECONNECT_S, note: Callable[[str], None] = lambda _line: None
    ) -> None:
        self.problem: str | None = None
        """After the last frame: that it broke off and did not come back."""
        self._source = source
        self._reconnect_s = reconnect_s
        self._note = note
        self._waiting: queue.Queue[Frame | Exception | None] = queue.Queue(MAX_WAITING)
        self._is_closed = threading.Event()
        self._num_read = 0
        self._last_s = 0.0
        # A daemon: a read that hangs does not keep the process from ending.
        self._thread = threading.Thread(target=self._read, name="fer_edge video", daemon=True)
        self._thread.start()
        try:
            self._first = self._next()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "LiveSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        """The frames, once, numbered as they are given."""
        frame, number = self._first, 0
        while frame is not None:
            yield Frame(number, frame.time_s, frame.pixels)
            frame, number = self._next(), number + 1

    def close(self) -> None:
        """Give the camera or stream back; one that hangs is left to the end of the process."""
        self._is_closed.set()
        self._thread.join(POLL_S)

    def _next(self) -> Frame | None:
        while not self._is_closed.is_set():
            try:
                found = self._waiting.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if isinstance(found, Exception):
                raise found
            return found
        return None

    def _read(self) -> None:
        try:
            start = time.perf_counter()
            source: VideoSource | None = VideoSource(self._source)
            while source is not None:
                with source:
                    self.name, self.start_s, self.frames_per_s = source.name, source.start_s, source.frames_per_s
                    self._pass_on(source, time.perf_counter() - start if self._num_read else 0.0)
                if self._is_closed.is_set():
                    return
                if not source.is_lost:
                    self.problem = source.problem
                source = self._reopened(source) if source.is_lost else None
            self._put(None)
        except Exception as error:
            self._put(error)

    def _pass_on(self, source: VideoSource, offset_s: float) -> None:
        for frame in source:
            self._num_read += 1
            self._last_s = max(self._last_s, frame.time_s + offset_s)
            if source.is_live and self._waiting.full():
                with suppress(queue.Empty):  # taken in this moment
                    self._waiting.get_nowait()
            self._put(Frame(frame.number, self._last_s, frame.pixels))
            if self._is_closed.is_set():
                return

    def _reopened(self, source: VideoSource) -> VideoSource | None:
        """The source, opened again; None when it does not come back in time."""
        self.problem = f"the {source.kind} broke off after {self._num_read} frames"
        if not self._reconnect_s:
            return None
        self._note(f"{source.name}: {self.problem}; trying again for {self._reconnect_s:g} s")
        lost = time.perf_counter()
        while not self._is_closed.wait(RETRY_S) and time.perf_counter() - lost < self._reconnect_s + RETRY_S:
            try:
                again = VideoSource(self._source)
            except VideoError:
                continue
            self._note(f"{source.name}: is back after {time.perf_counter() - lost:.1f} s")
            self.problem = None
            return again
        self.problem += f" and did not come back in {self._reconnect_s:g} s"
        return None

    def _put(self, item: Frame | Exception | None) -> None:
        while not self._is_closed.is_set():
            try:
                self._waiting.put(item, timeout=POLL_S)
            except queue.Full:
                continue
            return
