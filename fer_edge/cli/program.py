"""What this program is called: messages, help and examples name it as the user did.

Everything in this package says ``fer-edge COMMAND``; the command line puts the caller's own words in its place.
"""

import re
import shlex
from pathlib import Path
from typing import Any

from typer.core import TyperGroup

NAME = "fer-edge"
"""Of the installed command."""

_COMMAND = re.compile(rf"(?<![\w./-]){NAME}(?= (?:--?)?[a-zA-Z])")
"""The program before a command or an option, not in a path nor in ``fer-edge[train]``."""

_called = NAME


def remember(first_argument: str) -> None:
    """Take ``sys.argv[0]``: from now on this is the program's name."""
    global _called
    _called = _name_of(first_argument)


def called() -> str:
    """The program as it was called: ``fer-edge``, ``python cli.py`` or ``python -m fer_edge``."""
    return _called


def as_called(text: str) -> str:
    """``text`` with the program in its commands as it was called."""
    return _COMMAND.sub(lambda _: _called, text)


def _name_of(first_argument: str) -> str:
    path = Path(first_argument)
    if path.name == "__main__.py":
        return "python -m fer_edge"
    if path.suffix == ".py":
        return f"python {shlex.quote(first_argument)}"
    return path.name.removesuffix(".exe") or NAME


class AsCalled:
    """Of a command or group: its help names the program as it was called."""

    help: str | None
    params: Any

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """As typer does, of texts with the name in them. Raises StorageError where it cannot be printed."""
        self.help = as_called(self.help) if self.help else self.help
        for parameter in self.params:
            text = getattr(parameter, "help", None)
            if text:
                parameter.help = as_called(text)
        from fer_edge.cli.output import stdout_errors  # which names the program by this module

        with stdout_errors():
            super().format_help(ctx, formatter)  # type: ignore[misc]


class ProgramGroup(AsCalled, TyperGroup):
    """A group of commands whose help names the program as it was called."""
