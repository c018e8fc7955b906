"""Messages and help name the program as it was called."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_edge.cli import app, program

ADVICE = "make one with '{} export --checkpoint runs/NAME'"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A script as pip writes it into ``bin/``."""
    script = tmp_path / "fer-edge"
    script.write_text("import sys\nfrom fer_edge.__main__ import main\nsys.exit(main())\n")
    return script


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["cli.py"], "python cli.py"),
        (["-m", "fer_edge"], "python -m fer_edge"),
        (["{script}"], "fer-edge"),
    ],
)
def test_errors_usage_and_examples_say_what_was_typed(words, name, installed, repository):
    command = [sys.executable, *(word.format(script=installed) for word in words)]
    options = {"capture_output": True, "text": True, "cwd": repository, "env": {"PYTHONPATH": str(repository)}}
    refused = subprocess.run([*command, "info", "none.onnx"], **options)
    assert refused.returncode == 1
    assert ADVICE.format(name) in refused.stderr
    wrong = subprocess.run([*command, "predict"], **options)
    assert wrong.returncode == 2
    assert f"Usage: {name} predict" in wrong.stderr
    shown = " ".join(subprocess.run([*command, "data", "--help"], **options).stdout.split())
    assert f"Usage: {name} data" in shown
    assert f"Example: {name} data inspect --data fer2013" in shown


@pytest.mark.parametrize(
    ("first", "name"),
    [
        ("/usr/bin/fer-edge", "fer-edge"),
        ("C:/Scripts/fer-edge.exe", "fer-edge"),
        ("../cli.py", "python ../cli.py"),
        ("my faces/cli.py", "python 'my faces/cli.py'"),
        ("/site-packages/fer_edge/__main__.py", "python -m fer_edge"),
        ("", "fer-edge"),
    ],
)
def test_the_name_follows_from_the_first_argument(first, name, monkeypatch):
    monkeypatch.setattr(program, "_called", program.NAME)
    program.remember(first)
    assert program.called() == name
    assert program.as_called("see 'fer-edge train --help'") == f"see '{name} train --help'"


@pytest.mark.parametrize(
    "text", ["pip install 'fer-edge[train]'", "/opt/fer-edge data", "my-fer-edge data", "fer-edge"]
)
def test_only_commands_are_named(text, monkeypatch):
    monkeypatch.setattr(program, "_called", "python cli.py")
    assert program.as_called(text) == text


def test_every_example_in_help_is_of_the_program(monkeypatch):
    """Each command's help has an example, and it says how the program was called."""
    import typer

    monkeypatch.setattr(program, "_called", "python elsewhere.py")
    whole = typer.main.get_command(app)
    for name in whole.list_commands(None):
        shown = " ".join(CliRunner().invoke(app, [name, "--help"]).stdout.split())
        assert f"python elsewhere.py {name}" in shown
        assert not re.search(r"\bfer-edge (?!\[)[a-z]", shown)


def test_no_text_of_the_package_names_the_checkouts_script(repository):
    found = [
        f"{path.name}:{number}"
        for path in (repository / "fer_edge").rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if "cli.py" in line and path.name not in ("program.py", "app.py")
    ]
    assert found == []
