import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.export import checkpoint_graphs
from fer_edge.export.graph.preprocessing import with_preprocessing


@pytest.fixture(scope="module")
def run_folder(make_run) -> Path:
    return make_run(0)


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_export_prints_figures_and_ends_by_naming_its_files(run_folder, tmp_path):
    done = run("export", "--checkpoint", run_folder, "--folder", tmp_path)
    assert done.exit_code == 0, done.output
    assert "parity passed: cli-run (fp32) against its checkpoint" in done.stdout
    last_lines = done.stderr.splitlines()[-3:]
    assert last_lines == [f"wrote {tmp_path / name}" for name in ("cli-run.onnx", "cli-run.json", "cli-run.md")]


def test_json_holds_card_parity_and_files(run_folder, tmp_path):
    done = run("export", "--checkpoint", run_folder, "--folder", tmp_path, "--raw", "--name", "prepared", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["published"][0] == str(tmp_path / "prepared.onnx")
    assert report["card"]["input"]["kind"] == "normalised"
    assert report["parity"]["passed"] is True
    assert report["failures"] == []


def test_torchscript_is_said_to_be_deprecated_with_its_successor(run_folder, tmp_path):
    done = run("export", "--checkpoint", run_folder, "--folder", tmp_path, "--format", "torchscript")
    assert done.exit_code == 0, done.output
    assert "TorchScript is deprecated in PyTorch; its successor is --format pt2" in done.stderr


def test_a_failed_check_exits_3_prints_the_figures_and_publishes_nothing(run_folder, tmp_path, monkeypatch):
    # the mistake of a wrong mean: the file answers otherwise than its checkpoint
    def build(network, reference, **_):
        return with_preprocessing(network, reference.image_size, reference.mean + 0.2, reference.std)

    monkeypatch.setattr(checkpoint_graphs, "assembled", build)
    done = run("export", "--checkpoint", run_folder, "--folder", tmp_path / "exported")
    assert done.exit_code == 3
    assert "parity FAILED" in done.stdout
    assert "largest difference of a probability" in done.stdout
    assert "error: cli-run: not published to" in done.stderr
    assert not (tmp_path / "exported").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "pt2", "--precision", "int8"), " with --precision int8, found pt2"),
        (("--name", "a/b"), "--name: expected up to 200 letters, digits, '.', '_' and '-', found 'a/b'"),
        (("--opset", "99"), "expected --opset "),
        (("--precision", "int8", "--target", "sparc"), "expected portable, x86-vnni, arm, auto, found 'sparc'"),
    ],
)
def test_options_that_cannot_be_are_one_line(run_folder, tmp_path, arguments, message):
    done = run("export", "--checkpoint", run_folder, "--folder", tmp_path, *arguments)
    assert done.exit_code == 2
    assert message in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_missing_checkpoint_is_one_line(tmp_path):
    done = run("export", "--checkpoint", tmp_path / "none")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["export", "verify"])
def test_help_shows_an_example(command):
    text = run(command, "--help").stdout
    assert f"fer-edge {command} " in text


def test_another_makers_resnet18_is_exported_with_labels(tmp_path):
    import torch

    from fer_edge.training.architectures.torchvision_models import models

    torch.manual_seed(0)
    state = models.resnet18(weights=None, num_classes=3).state_dict()
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "theirs.pth")
    options = ("--labels", "angry,happy,sad", "--image-size", 48, "--mean", 0.4, "--std", 0.2)
    done = run("export", "--checkpoint", tmp_path / "theirs.pth", *options, "--folder", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    assert (
        "122 of 122 tensors of resnet18 matched without the prefix 'module.'; a head of 3 classes kept" in done.stderr
    )
    report = json.loads(done.stdout)
    assert report["published"][0] == str(tmp_path / "out" / "theirs.onnx")
    assert report["metadata"]["labels"] == ["angry", "happy", "sad"]
    assert (report["metadata"]["mean"], report["metadata"]["image_size"]) == (0.4, 48)
    assert report["parity"]["passed"] is True


def test_a_state_dict_without_labels_is_told_the_way(tmp_path):
    import torch

    torch.save({"fc.weight": torch.zeros(3, 4)}, tmp_path / "theirs.pth")
    done = run("export", "--checkpoint", tmp_path / "theirs.pth")
    assert done.exit_code == 1
    assert "export --labels A,B,C" in done.stderr
    done = run("export", "--checkpoint", tmp_path / "theirs.pth", "--mean", 0.4)
    assert done.exit_code == 2
    assert "expected --labels with --mean" in done.stderr
