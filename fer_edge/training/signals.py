"""Signals that ask a run to stop: noted at once, obeyed between two steps."""

import signal
import threading
import time
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

IMPATIENT_AFTER_S = 1.0
"""Seconds after the first signal from which on a second SIGINT is a person who will not wait."""


class StopSignals:
    """While open, SIGINT and SIGTERM are only noted; a second SIGINT, a while later, interrupts at once.

    Not sooner: torchrun passes on a Ctrl-C that its processes had from the terminal already.

    Outside the main thread Python cannot install handlers; there nothing is noted and signals act as before.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._received_at = 0.0
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself gave back

    def _note(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._received_at = number, now
        elif number == signal.SIGINT and now - self._received_at > IMPATIENT_AFTER_S:
            raise KeyboardInterrupt
