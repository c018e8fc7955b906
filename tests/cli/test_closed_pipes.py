"""``COMMAND | head -1``: a command whose reader is gone writes its files, says nothing of pipes, and ends with 141."""

import shutil
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from forked_cli import ForkedCli, run_cli
from PIL import Image

from fer_edge.cli.output import READER_GONE
from fer_edge.data.sample import synthetic_faces

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"

COMMANDS = [
    ("--help", None),
    ("--version", None),
    ("train --help", None),
    ("models", None),
    ("models --json", None),
    ("info tiny.onnx", None),
    ("info tiny.onnx --json", None),
    ("data inspect --data sample:70", "inspect.png"),
    ("data sample --count 70 --out new-faces", "new-faces"),
    ("predict photos --csv", None),
    ("predict photos --json", None),
    ("predict photos --out marked", "marked/a-faces.jpg"),
    ("predict photos --save-crops crops", "crops/b-face.png"),
    ("score photos --out scored --model tiny.onnx --workers 1", "scored"),
    ("evaluate --model tiny.onnx --data sample:70 --out report", "report/confusion-validation.png"),
    ("calibrate own.onnx --sidecar --data sample:2100", "own.json"),
    ("verify tiny.onnx --against tiny.onnx --markdown parity.md", "parity.md"),
    ("golden tiny.onnx --out kit", "kit/manifest.json"),
    ("bundle tiny.onnx --data sample:70 --out evidence.zip", "evidence.zip"),
    ("accept told.zip", None),
    ("triton tiny.onnx --out repo", "repo/tiny/config.pbtxt"),
    ("export --checkpoint cli-run --folder made", "made/cli-run.onnx"),
    ("explain --checkpoint cli-run photos/a.png --faces crop", "cli-run/activation_maps.png"),
    ("tune --data sample:70 --architecture tiny --epochs 1 --trials 1 --storage tune.db", "tune.db"),
    ("benchmark tiny.onnx --quick --scenario single-stream --runtimes onnxruntime --out timed", "timed/scenarios.json"),
]
"""Each with a file or folder that it writes beside what it prints."""


@pytest.fixture(scope="module")
def full_desk(tmp_path_factory: pytest.TempPathFactory, make_run: Callable[..., Path]) -> Path:
    """A folder with what the commands name."""
    folder = tmp_path_factory.mktemp("desk")
    for suffix in (".onnx", ".json"):
        shutil.copy(FIXTURES / f"tiny{suffix}", folder)
    shutil.copy(FIXTURES / "tiny.onnx", folder / "own.onnx")
    shutil.copytree(make_run(0), folder / "cli-run")
    (folder / "photos").mkdir()
    for name, face in zip(("a.png", "b.png"), synthetic_faces(range(2), seed=0).faces, strict=True):
        Image.fromarray(np.stack([face] * 3, axis=-1)).save(folder / "photos" / name)
    assert run_cli(["bundle", "tiny.onnx", "--out", "told.zip"], cwd=folder).returncode == 0
    return folder


@pytest.fixture
def desk(full_desk: Path, tmp_path: Path) -> Path:
    """The same, of one's own."""
    return Path(shutil.copytree(full_desk, tmp_path / "desk"))


@pytest.mark.parametrize(("words", "written"), COMMANDS, ids=[words for words, _ in COMMANDS])
def test_a_command_whose_reader_is_gone_ends_quietly(words: str, written: str | None, desk: Path) -> None:
    command = words.split()
    if command[0] == "predict":
        command += ["--model", "tiny.onnx"]
    process = ForkedCli(command, cwd=desk)
    process.stdout.close()
    _, errors = process.communicate(timeout=100)
    assert process.returncode == READER_GONE, errors
    for word in ("Traceback", "roken pipe", "Exception", "error"):
        assert word not in errors, errors
    assert written is None or (desk / written).exists(), sorted(desk.rglob("*"))


def test_webcam_writes_its_table_and_serve_goes_on(desk: Path, clip: Path) -> None:
    pytest.importorskip("av", reason="PyAV is in the extra video")
    words = ["webcam", str(clip), "--model", "tiny.onnx", "--no-window", "--csv", "faces.csv"]
    process = ForkedCli(words, cwd=desk)
    process.stdout.close()
    _, errors = process.communicate(timeout=100)
    assert process.returncode == READER_GONE, errors
    assert errors.splitlines()[-1] == "wrote faces.csv"
    assert len((desk / "faces.csv").read_text().splitlines()) == 13

    pytest.importorskip("uvicorn", reason="fer-edge[serve] is not installed")
    process = ForkedCli(["serve", "--model", "tiny.onnx", "--port", "0", "--json"], cwd=desk)
    process.stdout.close()
    while "serving" not in (line := process.stderr.readline()):
        assert line, "ended before it served"
    address = line.split()[1].partition("/v2")[0]
    with urllib.request.urlopen(f"{address}/v2/health/ready", timeout=20) as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGTERM)
    assert "Traceback" not in process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("words", ["models", "data inspect --data sample:70", "predict photos --model tiny.onnx"])
def test_nor_does_it_matter_that_nobody_reads_errors(words: str, desk: Path) -> None:
    process = ForkedCli(words.split(), cwd=desk)
    process.stdout.close()
    process.stderr.close()
    process.communicate(timeout=100)
    assert process.returncode == READER_GONE


def test_an_error_keeps_its_code_when_nobody_reads_it(desk: Path) -> None:
    process = ForkedCli(["info", "nothing.onnx"], cwd=desk)
    process.stderr.close()
    process.communicate(timeout=100)
    assert process.returncode == 1
    assert run_cli(["models"], cwd=desk).returncode == 0  # with a reader


def test_predict_stops_when_its_reader_is_gone(desk: Path) -> None:
    for number in range(200):
        shutil.copy(desk / "photos" / "a.png", desk / "photos" / f"{number}.png")
    process = ForkedCli(["predict", "photos", "--model", "tiny.onnx", "--compact", "--batch-size", "1"], cwd=desk)
    process.stdout.readline()
    process.stdout.close()
    _, errors = process.communicate(timeout=100)
    assert process.returncode == READER_GONE
    assert "images taken" not in errors  # what is said at the end
