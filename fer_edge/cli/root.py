"""Options of the program itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fer_edge.cli import output
from fer_edge.cli.program import NAME, called
from fer_edge.errors import UsageError
from fer_edge.files import storage_error

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


COMPLETION_OPTIONS = ("--show-completion", "--install-completion")
POWERSHELLS = ("powershell", "pwsh")
SHELLS = ("bash", "zsh", "fish", *POWERSHELLS)
_DEFINES = "compdef %(complete_func)s %(prog_name)s"
_COMPLETES_AT_ONCE = f"""\
if [[ $funcstack[1] == _%(prog_name)s ]]; then
  %(complete_func)s "$@"
else
  {_DEFINES}
fi"""
"""Zsh takes the file for the function that it calls at each Tab; typer's defines another: the first Tab offers none."""


def complete_for(arguments: Sequence[str]) -> bool:
    """Do what ``--show-completion [SHELL]`` or ``--install-completion [SHELL]`` asks for; False where nothing does.

    Without a SHELL it is the one that this was called from. Raises UsageError for an unknown one, and for PowerShell's
    profile, which typer would write after it lifted the user's execution policy; StorageError for a file that cannot
    be written.
    """
    if not 1 <= len(arguments) <= 2 or arguments[0] not in COMPLETION_OPTIONS:
        return False
    from typer import _completion_shared as shared

    option, shell = arguments[0], arguments[1] if len(arguments) == 2 else shared._get_shell_name()
    if shell not in SHELLS:
        raise UsageError(f"{option}: expected a shell ({', '.join(SHELLS)}), found {shell or 'none'}; name it after it")
    scripts = shared._completion_scripts
    scripts["zsh"] = scripts["zsh"].replace(f"\n{_DEFINES}", f"\n{_COMPLETES_AT_ONCE}")
    variable = f"_{called().replace('-', '_').upper()}_COMPLETE"
    if option == COMPLETION_OPTIONS[0]:
        output.result(shared.get_completion_script(prog_name=called(), complete_var=variable, shell=shell))
    elif shell in POWERSHELLS:
        raise UsageError(
            f"{option}: expected bash, zsh or fish, found {shell}, whose profile is yours to change; in it, run: "
            f"{NAME} {COMPLETION_OPTIONS[0]} {shell} >> $PROFILE"
        )
    else:
        try:
            _, path = shared.install(shell=shell, prog_name=called(), complete_var=variable)
        except OSError as error:
            raise storage_error(Path(error.filename or Path.home()), error) from error
        output.result(f"{shell} completion installed in {path}; it takes effect in a new terminal")
    return True


def refuse_completion(arguments: Sequence[str]) -> None:
    """Shells complete a command of one word, such as ``fer-edge``. Raises UsageError for one of several."""
    for option in COMPLETION_OPTIONS:
        if arguments[:1] == [option] and " " in called():
            raise UsageError(f"{option}: expected the installed command, found '{called()}'; run: {NAME} {option}")
