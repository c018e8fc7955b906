"""Commands on models of other makers: described by options or by a JSON beside them, and said not to be verified."""

import json
from pathlib import Path

import numpy as np
import pytest
from foreign_models import LABELS, write_model
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
