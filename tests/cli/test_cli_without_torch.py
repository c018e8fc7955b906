import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_edge.cli import app

MODEL = Path(__file__).parent.parent / "fixtures" / "tiny.onnx"
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from fer_edge.cli.app import app; app(sys.argv[1:])"


@pytest.mark.parametrize("command", [("train", "--data", "sample"), ("evaluate", "--checkpoint", "x")])
def test_a_command_that_needs_torch_names_the_extra_in_one_line(command, tmp_path):
    run = [sys.executable, "-c", WITHOUT_TORCH, *command]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == [
        "error: expected the package 'torch', found none; run: pip install 'fer-edge[train]'"
    ]


def test_a_model_that_is_given_for_a_checkpoint_is_no_question_of_torch():
    for command in ("evaluate", "explain", "export", "verify fer-tiny", "bundle fer-tiny", "benchmark fer-tiny"):
        done = CliRunner().invoke(app, [*command.split(), "--checkpoint", str(MODEL)])
        assert done.exit_code == 1
        assert done.stderr.startswith(f"error: {MODEL}: expected a checkpoint, found an exported model; name the run")
        assert len(done.stderr.splitlines()) == 1  # not even which model


def test_weights_are_left_to_the_command_that_reads_them(tmp_path):
    weights = tmp_path / "theirs.safetensors"
    weights.write_bytes((2).to_bytes(8, "little") + b"{}")
    done = CliRunner().invoke(app, ["export", "--checkpoint", str(weights), "--labels", "a,b"])
    assert done.exit_code == 1
    assert "another library" not in done.stderr


def test_pictures_without_matplotlib_are_refused_before_anything_is_judged_or_written(tmp_path):
    code = WITHOUT_TORCH.replace("torch", "matplotlib")
    given = ("evaluate", "--model", str(MODEL), "--data", "sample:140", "--out", "figures")
    done = subprocess.run(
        [sys.executable, "-c", code, *given], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip().splitlines() == [
        "error: expected the package 'matplotlib', found none; run: pip install 'fer-edge[plots]'"
    ]
    assert not list(tmp_path.iterdir())
