import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.runtime import shipped
from fer_edge.runtime.shipped import DEFAULT_MODEL, shipped_by_name

NAMES = ("fer-resnet18", "fer-tiny", "ferplus-resnet18")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """The commands run in an empty folder."""
    monkeypatch.chdir(tmp_path)


def run(*arguments: object):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_models_lists_name_size_accuracy_classes_and_place():
    done = run("models")
    assert done.exit_code == 0, done.output
    row = next(line.split() for line in done.stdout.splitlines() if line.strip().startswith("fer-tiny "))
    assert row[:5] == ["fer-tiny", "resnet10_half", "1.3", "70.1%", "7:"]
    assert f"fer-tiny: {shipped_by_name()['fer-tiny'].path}" in done.stdout
    assert "validation split of fer2013" in done.stderr


def test_json_of_models_holds_what_the_table_has():
    found = json.loads(run("models", "--json").stdout)
    assert found["default"] == "fer-resnet18"
    assert [one["name"] for one in found["models"]] == list(NAMES)
    for one in found["models"]:
        assert Path(one["path"]).stat().st_size == one["size_bytes"]
        assert Path(one["checkpoint"]).is_file()
        assert 0.5 < one["accuracy"] < 1
    assert len(found["models"][2]["labels"]) == 8


def test_an_installation_without_models_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "FOLDERS", (tmp_path,))
    done = run("models")
    assert done.exit_code == 1
    assert done.stderr == "error: expected models with this installation of fer_edge, found none; install it again\n"


@pytest.mark.parametrize("name", NAMES)
def test_info_takes_a_name(name):
    assert json.loads(run("info", name, "--json").stdout)["card"]["name"] == f"{name}-int8"


def test_commands_without_a_model_take_the_default():
    assert Path(json.loads(run("info", "--json").stdout)["path"]).name == DEFAULT_MODEL
    done = run("golden")
    assert done.exit_code == 0, done.output
    assert Path("fer-resnet18-int8-golden", "check.py").is_file()


def test_predict_and_golden_take_a_name(repository):
    photo = repository / "fer_edge" / "web" / "page" / "example.jpg"
    found = json.loads(run("predict", photo, "--model", "fer-tiny", "--json").stdout)
    assert Path(found["model"]).name == "fer-tiny-int8.onnx"
    run("golden", "fer-tiny")
    assert Path("fer-tiny-int8-golden", "check.py").is_file()


def test_a_file_that_hides_a_shipped_model_is_said(repository):
    shutil.copy(repository / "tests" / "fixtures" / "tiny.onnx", "fer-tiny")
    done = run("info", "fer-tiny")
    assert done.exit_code == 0
    assert "fer-tiny: the one in this folder, not the shipped model of that name" in done.stderr
    assert "file         fer-tiny (" in done.stdout


def test_a_benchmark_without_models_measures_those_that_are_shipped():
    done = run("benchmark", "--quick", "--batch-sizes", "1", "--rounds", "1", "--runtimes", "onnxruntime")
    assert done.exit_code == 0, done.output
    assert "no exported models in exported/: those that come with fer_edge are measured" in done.stderr
    rows = json.loads(Path("benchmark-results/benchmark.json").read_text())["rows"]
    assert {row["model"] for row in rows} == {f"{name}-int8" for name in NAMES}


def test_a_benchmark_takes_names():
    done = run("benchmark", "fer-tiny", "--quick", "--batch-sizes", "1", "--rounds", "1", "--runtimes", "onnxruntime")
    assert done.exit_code == 0, done.output
    rows = json.loads(Path("benchmark-results/benchmark.json").read_text())["rows"]
    assert {row["model"] for row in rows} == {"fer-tiny-int8"}


@pytest.mark.slow
def test_a_shipped_model_is_verified_with_its_own_checkpoint():
    done = run("verify", "fer-tiny", "--other-writer")  # the oldest torch that is allowed writes another graph
    assert done.exit_code == 0, done.output
    assert "parity passed: fer-tiny-int8 (int8) against its checkpoint" in done.stdout
    assert f"its checkpoint: {shipped_by_name()['fer-tiny'].checkpoint}" in done.stderr
