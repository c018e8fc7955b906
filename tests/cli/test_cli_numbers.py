"""No option takes NaN or infinity, which pass every bound and end long after the work is done."""

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from fer_edge.cli.app import app


def _float_options() -> list[tuple[list[str], Any, Any]]:
    """Every option of every command that takes a number with a fraction: words before it, the command, the option."""
    found = []

    def look_at(words: list[str], command: Any) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            look_at([*words, name], inner)
        for option in command.params:
            if option.type.name == "float" or option.type.name == "float range":
                found.append((words, command, option))

    look_at([], typer.main.get_command(app))
    return found


def _needed(command: Any, option: Any) -> list[str]:
    """A word for everything else that the command cannot do without."""
    words = []
    for one in command.params:
        if one is not option and one.required:
            words += ["x"] if one.param_type_name == "argument" else [one.opts[0], "x"]
    return words


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    ("words", "command", "option"),
    [pytest.param(*one, id=" ".join([*one[0], one[2].opts[0]])) for one in _float_options()],
)
def test_what_is_no_number_is_refused_at_once(words: list[str], command: Any, option: Any, value: str) -> None:
    done = CliRunner().invoke(app, [*words, *_needed(command, option), f"{option.opts[0]}={value}"])
    assert done.exit_code == 2, done.output
    assert option.opts[0] in done.output


def test_there_are_such_options() -> None:
    assert len(_float_options()) > 15
