"""Starts the command line: ``python -m fer_edge --help``."""

import os
import sys
from collections.abc import Callable

INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended, as shells count: 128 + SIGINT."""


def main() -> None:
    """Run the command line. Its imports take a moment, in which Ctrl-C ends in one line as well."""
    _open_closed_streams()
    try:
        _command_line()()
    except SystemExit:
        raise
    except BaseException as error:
        stop = _interrupt_behind(error)
        if stop is None:
            raise
        print("interrupted; nothing was written", file=sys.stderr)
        sys.exit(getattr(stop, "exit_code", INTERRUPTED))


def _command_line() -> Callable[[], None]:
    """What runs the command line. From a checkout any Python may be asked for it: one without its packages ends in a
    line that names a better one."""
    try:
        from fer_edge.cli import main as run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "fer_edge":
            raise
        print(
            f"error: expected the package '{error.name}', found none in {sys.executable}; take the Python that "
            "fer_edge is installed in (.venv/bin/python after 'make demo'), or run: pip install .",
            file=sys.stderr,
        )
        sys.exit(1)
    return run


def _open_closed_streams() -> None:
    """A program may be started with streams closed (``2>&-``, some services): the first files that it opens would take
    their numbers, and what is meant for the stream would go into them. What is said on stderr goes nowhere then."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _interrupt_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """The interrupt that raised ``error``: a library that it meets in its first import may say that as it likes."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error


if __name__ == "__main__":
    main()
