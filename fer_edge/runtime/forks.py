"""Sessions in processes that were forked from the one that opened them (gunicorn --preload, multiprocessing, Celery).

A forked child has the session's memory, but none of its threads: a run waits for them for ever, and so does the
session's destructor, at the latest when the child exits. So a child never touches or destroys an inherited session; it
opens one of its own when it first needs one.

A run in a daemon thread must not meet the end of the interpreter, either: that unwinds the thread in the middle of
onnxruntime's C++, which aborts the process (exit code 134) whatever its own code was. So the end waits for it.
"""

import atexit
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import onnxruntime

from fer_edge.runtime import providers as _providers  # noqa: F401  # says what to install where files are missing

_sessions: "WeakSet[onnxruntime.InferenceSession]" = WeakSet()
"""Every session that this process opened, for the children that it may fork."""

_own_sessions: "WeakSet[OwnSession]" = WeakSet()

LONGEST_RUN_S = 30
"""That the end of the interpreter waits for: a batch of large photos takes seconds."""


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
        session = self.get()
        with _runs.one():
            return session.run(names, feed, options)  # type: ignore[no-any-return]  # onnxruntime has no types

    def forget(self) -> None:
        """In a child: leave what was inherited alone. A lock may have been held by a thread that is not here."""
        self._session = None
        self._lock = threading.Lock()
        self._pid = os.getpid()


class _Runs:
    """Counts the runs that are under way, so that the end of the interpreter can wait for them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._is_closed = False

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count the block. Once the interpreter ends, a daemon thread stops here for good."""
        with self._changed:
            if self._is_closed and threading.current_thread() is not threading.main_thread():
                while True:
                    self._changed.wait()
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._count -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Let no other thread begin a run, and wait for those that did."""
        with self._changed:
            self._is_closed = True
            self._changed.wait_for(lambda: self._count == 0, LONGEST_RUN_S)


_runs = _Runs()
atexit.register(lambda: _runs.close())


def kept_by_children(session: onnxruntime.InferenceSession) -> onnxruntime.InferenceSession:
    """The session itself, noted so that a forked child never destroys it."""
    _sessions.add(session)
    return session


def _forget_inherited() -> None:
    global _runs  # those of the parent's threads
    _runs = _Runs()
    for session in list(_sessions):
        # A reference that nobody gives back: not even the end of the interpreter calls the destructor.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))
    _sessions.clear()
    for one in list(_own_sessions):
        one.forget()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_inherited)
