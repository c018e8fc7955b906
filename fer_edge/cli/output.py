"""Where the command line prints: results to stdout, everything else to stderr."""

import codecs
import errno
import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import typer

from fer_edge.cli.program import as_called
from fer_edge.errors import StorageError, UsageError
from fer_edge.files import file_identity, storage_error
from fer_edge.text import printable, shown_name, without_surrogates

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PLAIN = "fer_edge.plain"
"""Name of the error handler for streams that lack letters, as those of Windows do when they are piped."""

_IN_ASCII = {"–": "-", "→": "->", "…": "...", "×": "x", "·": "-"}


def register_plain() -> None:
    """Make ``errors=PLAIN`` known: typographic characters become their like in ASCII, other letters are escaped."""
    codecs.register_error(PLAIN, _in_ascii)


def _in_ascii(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    error.end = error.start + 1  # letter by letter
    letter = error.object[error.start]
    return (_IN_ASCII[letter], error.end) if letter in _IN_ASCII else codecs.backslashreplace_errors(error)


def is_main_process() -> bool:
    """Whether this is the process that speaks: the only one, or torchrun's first."""
    return os.environ.get("RANK", "0") == "0"


READER_GONE = 141
"""Exit code of a command whose reader, such as head, closed the pipe, as shells count: 128 + SIGPIPE."""

_is_reader_gone = False


def expect_reader() -> None:
    """A command begins, for whose results somebody waits."""
    global _is_reader_gone
    _is_reader_gone = False


def reader_is_gone() -> bool:
    """Whether nobody reads the results any more: a command that writes no files has nothing left to do."""
    return _is_reader_gone


@contextmanager
def stdout_errors() -> Iterator[None]:
    """Turn what goes wrong with stdout inside the block, e.g. a full disk behind it, into a StorageError.

    A closed pipe is no error: its reader has had enough. What is printed from then on goes nowhere, and the command
    goes on to write its files; it ends with READER_GONE.
    """
    global _is_reader_gone
    if sys.stdout is None:
        raise StorageError("standard output: cannot be written: it is closed")
    try:
        yield
    except OSError as error:
        is_gone = isinstance(error, BrokenPipeError)
        is_gone |= error.errno == errno.EINVAL and os.name == "nt"  # so Windows says it
        discard(sys.stdout)
        if not is_gone:
            raise storage_error(Path("standard output"), error) from error
        _is_reader_gone = True


def discard(stream: TextIO) -> None:
    """From now on ``stream`` leads nowhere; keeps Python from flushing at its exit into what cannot be written."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def result_rich(console: "Console", what: "RenderableType") -> None:
    """Print a result on stdout by rich. Raises StorageError."""
    console.on_broken_pipe = _raise_again  # type: ignore[method-assign]  # rich's own would end the program
    with stdout_errors():
        console.print(what)


def _raise_again() -> NoReturn:
    raise BrokenPipeError


def _shown(text: str) -> str:
    """Whatever text is printed, wherever it came from: it may have lines and tabs, but no terminal codes."""
    return printable(text, keep="\n\t")


def result(text: str) -> None:
    """Print a result for people or programs on stdout. Raises StorageError."""
    with stdout_errors():
        typer.echo(_shown(text), file=sys.stdout)  # named for the same reason as in ``_say``


def result_json(value: Any) -> None:
    """Print a result as JSON on stdout: one object, keys in the order given, no NaN, names as ``without_surrogates``
    gives them. Raises StorageError."""
    result(json.dumps(without_surrogates(value), indent=2, allow_nan=False))


def refuse_overwriting(options: str, outputs: Iterable[Path], kept: Iterable[Path]) -> None:
    """Raise UsageError where writing one of ``outputs``, which ``options`` name, would replace one of ``kept``.

    For before anything is measured, not after.
    """
    for path, one in product(outputs, kept):
        if file_identity(path) == file_identity(one):
            raise UsageError(
                f"{options}: expected a file of its own, found {one}, which this would replace; name another"
            )


def files_of_model(path: Path) -> tuple[Path, ...]:
    """A model, its further files, and the cards beside it, for programs and for people, also where there are none."""
    from fer_edge.runtime.model_file import further_files

    if not path.name:  # the root, or "." where a model was asked for: whoever reads it refuses it
        return (path,)
    return path, *further_files(path), path.with_suffix(".json"), path.with_suffix(".md")


def note(text: str) -> None:
    """Say something about the work on stderr; commands in it name the program as it was called."""
    _say(_shown(as_called(text)))


class _Notes(logging.Handler):
    """Says on stderr what the package's loggers are told, each line once: several steps may read the same faces."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Say one line, where this is the process that speaks."""
        text = record.getMessage()
        if text not in self._told and is_main_process():
            self._told.add(text)
            note(text)


@contextmanager
def loggers_heard() -> Iterator[None]:
    """Say on stderr what the package's loggers are told inside the block."""
    logger, notes = logging.getLogger("fer_edge"), _Notes()
    level = logger.level
    logger.addHandler(notes)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(notes)
        logger.setLevel(level)


def _say(text: str) -> None:
    # Named, because click would write UTF-8 to a stream that takes ASCII only, past its error handler.
    try:
        typer.echo(text, file=sys.stderr)
    except BrokenPipeError:  # nobody reads it, which keeps no command from its work
        discard(sys.stderr)


def wrote(*paths: Path) -> None:
    """Name the files a command wrote, its last words (on stderr, so that ``--json`` on stdout stays JSON)."""
    for path in paths:
        _say(f"wrote {shown_name(path)}")
