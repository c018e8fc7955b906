"""Keeps what runtimes and converters say of themselves off stderr."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quietly(level: int = logging.WARNING) -> Iterator[None]:
    """Without warnings, log lines up to ``level`` and what is written to Python's stderr."""
    disabled = logging.root.manager.disable
    logging.disable(level)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
