"""Keeps what libraries have to say off stderr: a command says what a user can do something about, in its own words."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "FER_EDGE_LIBRARY_MESSAGES"
"""Environment variable: set to anything, libraries are heard again."""


@contextmanager
def libraries_silenced() -> Iterator[None]:
    """Let the commands write to stderr, and nothing else.

    Pillow and torch warn through Python; libtiff, OpenCV, onnxruntime and torch's C++ write to file descriptor 2 by
    themselves, so Python's stderr moves to a copy. Processes that the block starts have none unless they are given it.
    """
    if os.environ.get(VARIABLE):
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = sys.__stderr__
        if own is None or sys.stderr is not own:  # closed, or captured by a test: not descriptor 2
            yield
            return
        own.flush()
        descriptor = os.dup(2)
        silence = os.open(os.devnull, os.O_WRONLY)
        try:
            with os.fdopen(os.dup(2), "w", encoding=own.encoding, errors=own.errors) as sys.stderr:
                os.dup2(silence, 2)
                yield
        finally:
            sys.stderr = own
            os.dup2(descriptor, 2)
            os.close(descriptor)
            os.close(silence)
