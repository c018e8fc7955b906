"""SIGTERM ends a command as Ctrl-C does: what is half written is swept, and one line says so."""

import signal
from types import FrameType


class Terminated(KeyboardInterrupt):
    """What SIGTERM raises, so that whoever ends well after Ctrl-C does so here too."""

    exit_code = 128 + signal.SIGTERM


def raise_on_sigterm() -> None:
    """From now on SIGTERM raises Terminated in the main thread, where nothing else listens for it."""
    signal.signal(signal.SIGTERM, _terminate)


def signal_behind(stop: KeyboardInterrupt) -> int:
    """The number of the signal that raised ``stop``."""
    return signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
