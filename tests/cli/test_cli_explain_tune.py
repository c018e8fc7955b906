"""``explain`` and ``tune`` as a user types them."""

import json
import shlex
import signal

import pytest
from forked_cli import ForkedCli
from PIL import Image
from typer.testing import CliRunner

from fer_edge.cli import app

SEARCH = ["tune", "--data", "sample:42", "--architecture", "tiny", "--weights", "none", "--epochs", "1"]
SEARCH += ["--threads", "1", "--device", "cpu"]


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """Runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_search_ends_in_a_command_that_trains_a_run_that_can_be_explained(cli, tmp_path):
    searched = cli(*SEARCH, "--trials", 1, "--json")
    assert searched.exit_code == 0, searched.stderr
    assert "trial 1 (1/1 finished)  accuracy 0." in searched.stderr
    assert searched.stderr.strip().endswith("wrote runs/tune.db")
    found = json.loads(searched.stdout)
    assert found["best"] == found["trials"][0]

    words = shlex.split(found["train_command"])
    assert words[:2] == ["fer-edge", "train"]
    trained = cli(*words[1:], "--epochs", 1, "--name", "best")
    assert trained.exit_code == 0, trained.stderr

    explained = cli("explain")  # the only run there is: the search is no run
    assert explained.exit_code == 0, explained.stderr
    assert len(explained.stdout.splitlines()) == 7
    assert explained.stdout.startswith("drawn angry  ")
    for name in ("filters.png", "activation_maps.png"):
        assert f"wrote runs/best/{name}" in explained.stderr
        with Image.open(tmp_path / "runs" / "best" / name) as picture:
            assert picture.format == "PNG"

    bad = cli("explain", "missing.jpg", "--out", "elsewhere")
    assert bad.exit_code == 1
    assert len(bad.stderr.splitlines()) == 1
    assert bad.stderr.startswith("error: missing.jpg")
    assert not (tmp_path / "elsewhere").exists()


def test_a_killed_and_an_interrupted_search_go_on_where_they_were(cli, tmp_path):
    for number in (signal.SIGKILL, signal.SIGINT):
        process = ForkedCli([*SEARCH, "--trials", "100000"], cwd=tmp_path)
        while not (line := process.stderr.readline()).startswith("trial "):
            assert line, "the search ended by itself"
        process.send_signal(number)
        _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    stopped = [line for line in rest.splitlines() if line.startswith("stopped; ")]
    assert len(stopped) == 1
    assert "trials are kept in runs/tune.db; the same command with --study tiny goes on" in stopped[0]
    assert "Traceback" not in rest

    table = cli(*SEARCH, "--trials", 1)  # fewer than there are: nothing is trained
    assert table.exit_code == 0, table.stderr
    rows = [line.split() for line in table.stdout.splitlines() if " complete " in line]
    assert len(rows) >= 2
    assert "train with it:" in table.stdout
    assert "trial " not in table.stderr
