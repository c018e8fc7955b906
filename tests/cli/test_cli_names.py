"""What the commands print of names that files have: one line each, told apart, and nothing from libraries beside it."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from fer_edge.cli import app

MODEL = str(Path(__file__).parents[1] / "fixtures" / "tiny.onnx")
CLI = str(Path(__file__).parents[2] / "cli.py")
RAW = (b"line\nbreak.png", b"esc\x1b[2J.png", rb"esc\x1b[2J.png", b"bad\xff.png", rb"bad\udcff.png")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder of faces under RAW names."""
    if os.name == "nt" or sys.platform == "darwin":
        pytest.skip("such names are a Linux matter")
    for name in RAW:
        Image.new("L", (48, 48), 90).save(tmp_path / "face.png")
        os.rename(tmp_path / "face.png", os.fsencode(tmp_path) + b"/" + name)  # noqa: PTH104  # bytes
    return tmp_path


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, CLI, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_every_name_is_a_line_of_its_own_and_told_from_others(odd: Path) -> None:
    done = run("predict", odd, "--model", MODEL, "--csv", "--out", odd / "drawn")
    assert done.returncode == 0, done.stderr
    wrote = [line for line in done.stderr.splitlines() if line.startswith("wrote ")]
    sources = [row["source"] for row in csv.DictReader(io.StringIO(done.stdout))]
    for lines in (wrote, sources):
        assert len(set(lines)) == len(lines) == len(RAW)
        assert all(line.isprintable() for line in lines)


def test_json_is_valid_unicode_and_tells_the_names_apart(odd: Path) -> None:
    os.rename(os.fsencode(odd) + b"/bad\xff.png", os.fsencode(odd) + b"/bad\xfe.png")  # noqa: PTH104
    done = run("predict", odd, "--model", MODEL, "--json")
    images = json.loads(done.stdout)["images"]
    sources = {one["source"].encode() for one in images}  # a lone surrogate could not be encoded
    assert len(sources) == len(RAW)
    assert f"{odd}/bad\\udcfe.png".encode() in sources


@pytest.mark.parametrize(
    "words",
    [
        ["info"],
        ["golden"],
        ["predict", "a.png", "--model"],
        ["export", "--checkpoint"],
        ["evaluate", "--model"],
        ["evaluate", "--data", "sample:70", "--checkpoint"],
        ["data", "inspect", "--data"],
        ["explain", "--checkpoint"],
    ],
)
def test_an_error_is_one_line_whatever_the_name(words: list[str], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*words, "no\nsuch\x1b[2J.onnx"])
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert "no\\nsuch\\x1b[2J.onnx" in line


def test_libraries_are_not_heard_unless_asked_for(tmp_path: Path) -> None:
    code = (
        "import os, sys, warnings\nfrom fer_edge.cli import app, main\n"
        "def noisy():\n"
        "    warnings.warn('a warning'); os.write(2, b'native noise\\n')\n"
        "    from fer_edge.cli.output import note\n"
        "    note('our own words')\n"
        "app.command()(noisy)\n"
        "sys.argv = ['fer-edge', 'noisy']\n"
        "main()\n"
    )

    def told(**environment: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            cwd=Path(CLI).parent,
            env={**os.environ, **environment},
        )
        assert done.returncode == 0, done.stderr
        return done.stderr.splitlines()

    assert told() == ["our own words"]
    heard = told(FER_EDGE_LIBRARY_MESSAGES="1")
    assert "native noise" in heard
    assert any("a warning" in line for line in heard)
