"""Sessions in processes that were forked from the one that opened them (gunicorn --preload, multiprocessing, Celery).

A forked child has the session's memory, but none of its threads: a run waits for them for ever, and so does the
session's destructor, at the latest when the child exits. So a child never touches or destroys an inherited session; it
opens one of its own when it first needs one.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import onnxruntime

from fer_edge.runtime import providers as _providers  # noqa: F401  # says what to install where files are missing

_sessions: "WeakSet[onnxruntime.InferenceSession]" = WeakSet()
"""Every session that this process opened, for the children that it may fork."""

_own_sessions: "WeakSet[OwnSession]" = WeakSet()


class OwnSession:
    """A session that each process opens for itself: when it is first used, and again in a forked child.

    It may be used from many threads.
    """

    def __init__(
        self,
        open_session: Callable[[], onnxruntime.InferenceSession],
        opened: onnxruntime.InferenceSession | None = None,
    ) -> None:
        """``opened`` is what ``open_session`` gave, where it was called already."""
        self._open = open_session
        self._session = None if opened is None else kept_by_children(opened)
        self._lock = threading.Lock()
        self._pid = os.getpid()
        _own_sessions.add(self)

    def get(self) -> onnxruntime.InferenceSession:
        """This process's session. Raises what opening it raises."""
        if self._pid != os.getpid():  # forked by a library that calls no Python hooks
            _forget_inherited()
        session = self._session
        if session is None:
            with self._lock:
                if self._session is None:
                    self._session = kept_by_children(self._open())
                session = self._session
        return session

    def run(self, names: list[str], feed: dict[str, Any], options: onnxruntime.RunOptions) -> list[Any]:
        """InferenceSession.run of this process's session."""
        return self.get().run(names, feed, options)  # type: ignore[no-any-return]  # onnxruntime has no types

    def forget(self) -> None:
        """In a child: leave what was inherited alone. A lock may have been held by a thread that is not here."""
        self._session = None
        self._lock = threading.Lock()
        self._pid = os.getpid()


def kept_by_children(session: onnxruntime.InferenceSession) -> onnxruntime.InferenceSession:
    """The session itself, noted so that a forked child never destroys it."""
    _sessions.add(session)
    return session


def _forget_inherited() -> None:
    for session in list(_sessions):
        # A reference that nobody gives back: not even the end of the interpreter calls the destructor.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))
    _sessions.clear()
    for one in list(_own_sessions):
        one.forget()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_inherited)
