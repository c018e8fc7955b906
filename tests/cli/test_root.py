"""Options that every command has, or the program itself: --version, -h, completion, and one meaning of --json."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from fer_edge import __version__
from fer_edge.cli import app, program


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group with the words that lead to it."""
    command = typer.main.get_command(app) if command is None else command
    yield path, command
    for name in command.list_commands(None) if hasattr(command, "list_commands") else ():
        yield from commands(command.get_command(None, name), (*path, name))


COMMANDS = dict(commands())


def test_version_is_that_of_the_package():
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"fer-edge {__version__}\n")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_h_is_help_everywhere(words):
    short, long = (CliRunner().invoke(app, [*words, option]) for option in ("-h", "--help"))
    assert (short.exit_code, long.exit_code) == (0, 0)
    assert short.stdout == long.stdout
    assert "Usage:" in short.stdout


@pytest.mark.parametrize(
    "words", [words for words, one in COMMANDS.items() if not hasattr(one, "commands")], ids=" ".join
)
def test_json_is_a_flag_that_prints_in_every_command(words):
    (option,) = [one for one in COMMANDS[words].params if "--json" in one.opts]
    assert option.is_flag
    assert option.help.startswith("Print ")


def completed(line: str, repository: Path, tmp_path: Path) -> str:
    """What bash is told to complete the last word of ``line`` by."""
    script = tmp_path / "fer-edge"
    script.write_text("import sys\nfrom fer_edge.__main__ import main\nsys.exit(main())\n")
    environment = {
        **os.environ,
        "PYTHONPATH": str(repository),
        "_FER_EDGE_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    options = {"capture_output": True, "text": True, "cwd": tmp_path, "env": environment}
    return subprocess.run([sys.executable, script], **options).stdout


@pytest.mark.parametrize(
    ("line", "found"),
    [("fer-edge pre", "predict"), ("fer-edge data in", "inspect"), ("fer-edge predict --prov", "--provider")],
)
def test_shells_complete_commands_and_options(line, found, repository, tmp_path):
    assert completed(line, repository, tmp_path).split() == [found]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("fer-edge predict --model fer-t", ["fer-tiny", "fer-told.onnx"]),
        ("fer-edge info fer-t", ["fer-tiny", "fer-told.onnx"]),
        ("fer-edge info mod", ["models/"]),
        ("fer-edge info models/", ["models/a.onnx"]),
        ("fer-edge verify x.onnx --checkpoint fer-t", ["fer-tiny", "fer-told.onnx"]),
        ("fer-edge train --weights no", ["none", "notes/"]),
        ("fer-edge train --weights none,fer-t", ["none,fer-tiny", "none,fer-told.onnx"]),
        ("fer-edge train --architecture resnet18", ["resnet18"]),
    ],
)
def test_shells_complete_names_of_models_and_files(line, found, repository, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "notes").mkdir()
    for name in ("fer-told.onnx", "models/a.onnx", "models/.hidden"):
        (tmp_path / name).touch()
    assert completed(line, repository, tmp_path).split() == found


def test_every_option_that_takes_a_model_completes_its_names():

    taking = {"--model", "--weights", "--checkpoint", "--against", "--webgpu-model"}
    for words, command in COMMANDS.items():
        for one in command.params:
            if taking & {*one.opts} or one.human_readable_name in ("MODEL", "[MODEL]"):
                offered = [item.value for item in one.shell_complete(None, "fer-t")]
                assert "fer-tiny" in offered, (words, one.opts)


def test_completion_is_shown_for_the_installed_command_alone(repository, tmp_path):
    options = {"capture_output": True, "text": True, "cwd": repository}
    refused = subprocess.run([sys.executable, "cli.py", "--show-completion"], **options)
    assert refused.returncode == 2
    assert refused.stderr == (
        "error: --show-completion: expected the installed command, found 'python cli.py'; "
        f"run: {program.NAME} --show-completion\n"
    )
