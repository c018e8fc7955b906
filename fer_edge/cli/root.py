"""Options of the program itself."""

from collections.abc import Sequence
from typing import Annotated

import typer

from fer_edge.cli import output
from fer_edge.cli.program import NAME, called
from fer_edge.errors import UsageError

HELP_NAMES = {"help_option_names": ["-h", "--help"]}
"""Settings of the program that its commands take over."""


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from fer_edge import __version__

        output.result(f"fer-edge {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Facial-expression recognition from a folder of labelled faces to a verified model in other people's apps."""


def refuse_completion(arguments: Sequence[str]) -> None:
    """Shells complete a command of one word, such as ``fer-edge``. Raises UsageError for one of several."""
    for option in ("--show-completion", "--install-completion"):
        if arguments[:1] == [option] and " " in called():
            raise UsageError(f"{option}: expected the installed command, found '{called()}'; run: {NAME} {option}")
