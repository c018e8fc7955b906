"""Missing and foreign classes: an error of its own with a way out that the command has; --skip-bad is none."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.data.sample import synthetic_faces
from fer_edge.labels import FER2013

MODEL = Path(__file__).parents[1] / "fixtures" / "tiny.onnx"
JUDGING = {
    "evaluate": ["evaluate", "--model", MODEL, "--skip-bad"],
    "calibrate": ["calibrate", MODEL, "--dry-run", "--skip-bad"],
    "verify": ["verify", MODEL, "--against", MODEL, "--skip-bad"],
    "devices": ["verify", MODEL, "--devices", "--targets", "native", "--skip-bad"],
    "benchmark": ["benchmark", MODEL, "--quick", "--skip-bad"],
    "bundle": ["bundle", MODEL, "--skip-bad"],
}
TRAINING = {"train": ["train", "--architecture", "tiny", "--skip-bad"], "inspect": ["data", "inspect", "--skip-bad"]}


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def faces_in(root: Path, names=FER2013.names) -> Path:
    """Three faces of each of the classes ``names``."""
    drawn = synthetic_faces(range(21))
    for at, (face, label) in enumerate(zip(drawn.faces, drawn.labels, strict=True)):
        if (name := FER2013.names[label]) in names:
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(face).save(root / name / f"{at}.png")
    return root


@pytest.mark.parametrize("command", [*JUDGING, *TRAINING])
def test_a_missing_class_is_no_bad_file(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    faces_in(tmp_path / "two", ("happy", "sad"))
    done = run(*{**JUDGING, **TRAINING}[command], "--data", "two")
    assert done.exit_code == 1
    assert "found missing angry, disgust, fear, neutral, surprise" in done.stderr
    assert len(done.stderr.strip().splitlines()[-1:]) == 1
    has_labels = command not in ("verify", "devices", "benchmark")
    advice = "add --labels happy,sad to take" if has_labels else "evaluate --model MODEL --data two --labels happy,sad"
    assert advice in done.stderr


def test_the_way_out_of_a_judge_judges(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    faces_in(tmp_path / "two", ("happy", "sad"))
    done = run("evaluate", "--model", MODEL, "--data", "two", "--labels", "happy,sad", "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)["expressions"]
    assert [name for name in found if found[name]["support"]] == ["happy", "sad"]
    assert "no face to judge these classes by: angry, disgust, fear, neutral, surprise" in done.stderr
    foreign = run("evaluate", "--model", MODEL, "--data", "two", "--labels", "calm,tense")
    assert foreign.exit_code == 1
    assert "found missing calm, tense; extra happy, sad" in foreign.stderr


@pytest.mark.parametrize("command", [*JUDGING, *TRAINING])
def test_a_class_of_unreadable_files_is_missing_and_a_file_is_not(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    root = faces_in(tmp_path / "faces")
    for path in (root / "fear").iterdir():
        path.write_bytes(b"no image")
    (root / "sad" / "torn.png").write_bytes(b"\x89PNG\r\n")
    done = run(*{**JUDGING, **TRAINING}[command], "--data", "faces")
    assert done.exit_code == 1
    told = done.stderr + done.stdout
    assert "no face of class fear from train that can be used" in told
    assert "torn.png" not in done.stderr  # which is left out


@pytest.mark.parametrize("command", ["evaluate", "verify"])
def test_a_file_is_left_out(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (faces_in(tmp_path / "faces") / "sad" / "torn.png").write_bytes(b"\x89PNG\r\n")
    assert run(*JUDGING[command], "--data", "faces").exit_code == 0
    refused = run(*JUDGING[command][:-1], "--data", "faces")
    assert refused.exit_code == 1
    assert "add --skip-bad" in refused.stderr


def test_every_command_that_reads_labelled_faces_has_the_options_that_errors_name():
    group = get_command(app)
    commands = {**group.commands, **group.commands["data"].commands}
    for name, command in commands.items():
        options = {option for one in command.params for option in one.opts}
        if "--data" in options:
            assert {"--skip-bad", "--class-map"} <= options, name
