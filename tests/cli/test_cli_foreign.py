"""Commands on models of other makers: described by options or by a JSON beside them, and said not to be verified."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from foreign_models import LABELS, WEIGHTS, write_model
from PIL import Image
from typer.testing import CliRunner

from fer_edge.cli import app

DESCRIBE = ("--describe", "labels=angry,happy,sad", "--describe", "mean=0.5; std=0.25")


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    Image.fromarray(np.full((40, 40, 3), (200, 100, 50), np.uint8)).save(tmp_path / "face.png")
    return write_model(tmp_path / "theirs.onnx")


def test_info_says_how_it_is_fed_and_that_nothing_was_verified(model):
    done = run("info", model, *DESCRIBE)
    assert done.exit_code == 0, done.output
    assert "NOT VERIFIED: another maker's model, fed as it was described" in done.stdout
    assert "described by --describe" in done.stdout
    assert "RGB, NCHW, bilinear to 32x32, (pixel/255 - 0.5) / 0.25, gives logits" in done.stdout
    assert "intact" not in done.stdout
    assert json.loads(run("info", model, *DESCRIBE, "--json").stdout)["verified"] is False


def test_predict_takes_options_and_says_that_nothing_was_verified(model):
    done = run("predict", model.with_name("face.png"), "--model", model, "--faces", "crop", *DESCRIBE, "--json")
    assert done.exit_code == 0, done.output
    assert "not verified: another maker's model, fed as described: RGB, NCHW" in done.stderr
    answer = json.loads(done.stdout)
    assert answer["verified"] is False
    assert answer["results"][0]["label"] in LABELS


def test_a_json_beside_it_does_as_well(model):
    model.with_suffix(".json").write_text(json.dumps({"labels": LABELS}))
    done = run("predict", model.with_name("face.png"), "--model", model, "--faces", "crop")
    assert done.exit_code == 0, done.output
    assert f"described by {model.with_suffix('.json')}" in run("info", model).stdout.replace("  ", " ")


@pytest.mark.parametrize("command", ["predict", "info"])
def test_without_a_description_the_way_out_is_named(model, command):
    arguments = [model.with_name("face.png"), "--model", model] if command == "predict" else [model]
    done = run(command, *arguments)
    assert done.exit_code == 1
    assert "labels and input are unknown; describe it with --describe 'labels=A,B,C'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_wrong_description_is_one_line(model):
    done = run("info", model, "--describe", "labels=a,b")
    assert done.exit_code == 1
    assert "expected as many labels as the output scores has classes, 3, found 2" in done.stderr
    done = run("info", model, "--describe", "labels=a,b,c", "--describe", "order=GBR")
    assert done.exit_code == 2
    assert "order: expected one of RGB, BGR, found GBR" in done.stderr


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Labelled faces, each of one colour, so that the answers are known."""
    for split in ("train", "test"):
        for label, grey in zip(LABELS, (250, 120, 10), strict=True):
            folder = tmp_path / "faces" / split / label
            folder.mkdir(parents=True)
            for number in range(3):
                Image.fromarray(np.full((32, 32), grey + number - 2, np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "faces"


def test_evaluate_measures_it_and_says_so(model, faces):
    arguments = ("--model", model, "--data", faces, "--split", "test", "--labels", ",".join(LABELS))
    done = run("evaluate", *arguments, *DESCRIBE)
    assert done.exit_code == 0, done.output
    assert "another maker's: not verified" in done.stdout
    values = [(grey / 255 - 0.5) / 0.25 for grey in (249, 119, 9)]
    expected = [int((np.full(3, value) @ WEIGHTS).argmax()) for value in values]
    accuracy = sum(index == found for index, found in enumerate(expected)) / 3
    report = json.loads(run("evaluate", *arguments, *DESCRIBE, "--json").stdout)
    assert report["accuracy"] == pytest.approx(accuracy)
    assert report["verified"] is False


@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_a_golden_kit_is_written_and_holds(tmp_path, outputs):
    path = write_model(tmp_path / "theirs.onnx", shape=("n", 24, 24, 3), softmax=outputs == "probabilities")
    done = run("golden", path, *DESCRIBE, "--describe", f"outputs={outputs}")
    assert done.exit_code == 0, done.output
    assert "not verified: another maker's model" in done.stderr
    checked = subprocess.run(
        [sys.executable, tmp_path / "theirs-golden" / "check.py", path], capture_output=True, text=True
    )
    assert checked.stdout.startswith("ok: "), checked.stderr
    write_model(tmp_path / "other.onnx", shape=("n", 24, 24, 3), softmax=outputs == "probabilities", gain=1.5)
    checked = subprocess.run(
        [sys.executable, tmp_path / "theirs-golden" / "check.py", tmp_path / "other.onnx"],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 1
    assert "logits differ by" in checked.stderr


def test_benchmark_measures_it_and_marks_its_rows(model, tmp_path):
    quick = ("--quick", "--batch-sizes", "1", "--rounds", "1", "--runtimes", "onnxruntime", "--out", tmp_path / "out")
    done = run("benchmark", model, *DESCRIBE, *quick, "--json-file", tmp_path / "rows.json")
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert row["form"] == "not verified"
    assert "not verified" in done.stdout
