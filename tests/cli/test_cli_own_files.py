"""No command writes over a file that it did not write: it says so in one line, before any work."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.own_files import LIST

MODEL = str(Path(__file__).parents[1] / "fixtures" / "tiny.onnx")


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a face in it."""
    monkeypatch.chdir(tmp_path)
    Image.new("L", (48, 48), 90).save("a.png")
    return tmp_path


@pytest.mark.parametrize(
    ("taken", "words"),
    [
        ("drawn/a-faces.jpg", "predict a.png --model missing --out drawn"),
        ("drawn.jpg", "predict a.png --model missing --out drawn.jpg"),
        ("kept/evaluation-test.json", f"evaluate --model {MODEL} --data missing --split test --out kept"),
        ("kept/reliability-test.png", "evaluate --checkpoint missing.pt --data missing --split test --out kept"),
        ("kept/corruptions-validation.md", f"evaluate --model {MODEL} --data missing --corruptions --out kept"),
        ("explanation/filters.png", "explain --checkpoint missing.pt"),
        ("kept/activation_maps.png", "explain --checkpoint missing.pt --out kept"),
        ("benchmark-results/benchmark.csv", f"benchmark {MODEL} --data missing"),
        ("kept/mine-latency.png", f"benchmark {MODEL} --data missing --out kept --name mine"),
        ("mine.json", f"benchmark {MODEL} --data missing --json-file mine.json"),
        ("parity.md", f"verify {MODEL} --checkpoint missing --markdown parity.md"),
        ("parity.png", f"verify {MODEL} --checkpoint missing --picture parity.png"),
        ("devices/tiny-devices.md", f"verify {MODEL} --devices --data missing"),
        ("inspect.png", "data inspect --data missing"),
        ("fer2013new.csv", "data fetch --votes"),
    ],
)
def test_a_file_of_the_users_is_kept_and_named_before_any_work(desk: Path, taken: str, words: str) -> None:
    mine = desk / taken
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    before = sorted(desk.rglob("*"))
    done = run(*words.split())
    assert done.exit_code == 1, done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {taken}: expected no file, or one that was written here before, found another file")
    assert mine.read_text() == "mine"
    assert sorted(desk.rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        "predict a.png --model missing --out a.png/x",
        "predict a.png --model missing --out a.png/x.jpg",
        "predict a.png --model missing --save-crops a.png/x/y",
        f"score . --model {MODEL} --out a.png/x",
        f"evaluate --model {MODEL} --data missing --out a.png/x",
        "explain --checkpoint missing.pt --out a.png/x",
        f"benchmark {MODEL} --data missing --out a.png/x",
        f"benchmark {MODEL} --data missing --json-file a.png/x.json",
        f"benchmark {MODEL} --data missing --scenario offline --out a.png/x",
        f"benchmark {MODEL} --data missing --layers --out a.png/x",
        f"verify {MODEL} --checkpoint missing --markdown a.png/x.md",
        f"verify {MODEL} --against missing.onnx --picture a.png/x.png",
        f"verify {MODEL} --devices --data missing --out a.png/x",
        f"bundle {MODEL} --data missing --checkpoint missing --out a.png/x.zip",
        f"golden {MODEL} --out a.png/x",
        f"web --model {MODEL} --webgpu-model missing.onnx --out a.png/x",
        f"triton {MODEL} --benchmark missing.json --out a.png/x",
        f"triton {MODEL} --benchmark missing.json --kserve s3://b --out a.png",
        "train --data missing --runs a.png/x --architecture tiny --weights none",
        "tune --data missing --storage a.png/x.db --architecture tiny --weights none",
        "export --checkpoint RUN --data missing --folder a.png/x",
        "export --checkpoint RUN --data missing --folder a.png/x --format weights",
        "data inspect --data missing --picture a.png/x.png",
        "data sample --out a.png/x",
        "data fetch --out a.png/x",
        "data fetch --votes --out a.png/x.csv",
    ],
)
def test_a_place_where_nothing_can_be_written_is_named_before_any_work(desk: Path, make_run, words: str) -> None:
    words = words.replace("RUN", str(make_run(3))) if "RUN" in words else words
    before = sorted(desk.rglob("*"))
    done = run(*words.split())
    assert done.exit_code == 1, done.output
    (line,) = done.stderr.splitlines()
    assert re.match(
        r"error: \S*a\.png\S*: (cannot be written: part of the path is a file|expected no file, or a)", line
    )
    assert sorted(desk.rglob("*")) == before


@pytest.mark.parametrize("place", [".", "", "/"])
@pytest.mark.parametrize("command", ["golden", "benchmark", "bundle", "verify tiny.onnx --against"])
def test_a_folder_without_a_name_of_its_own_is_no_model(desk: Path, command: str, place: str) -> None:
    shutil.copy(MODEL, "tiny.onnx")
    done = run(*command.split(), place)
    assert done.exit_code == 1
    assert re.match(r"error: [./]: expected a model file.* found a ", done.stderr.splitlines()[-1])


def test_a_missing_folder_is_made_for_what_is_written(desk: Path) -> None:
    assert run("data", "inspect", "--data", "sample:70", "--picture", "new/er/faces.png").exit_code == 0
    assert (desk / "new" / "er" / "faces.png").is_file()


def test_what_a_command_wrote_it_writes_again_unless_it_was_changed(desk: Path) -> None:
    words = ("evaluate", "--model", MODEL, "--data", "sample:70", "--out", "kept")
    for _ in range(2):
        assert run(*words).exit_code == 0
    figures = desk / "kept" / "evaluation-validation.json"
    figures.write_text(figures.read_text().replace("0.", "1."))
    done = run(*words)
    assert (done.exit_code, "found one that was changed since, which is kept" in done.stderr) == (1, True)


def test_pictures_are_drawn_again_beside_what_else_is_there(desk: Path) -> None:
    words = ("predict", "a.png", "a.png", "--model", MODEL, "--out", "drawn")
    assert run(*words).exit_code == 0
    (desk / "drawn" / "mine.jpg").write_text("mine")
    assert run(*words).exit_code == 0
    assert sorted(path.name for path in (desk / "drawn").iterdir()) == [
        LIST, "a-faces-2.jpg", "a-faces.jpg", "mine.jpg",
    ]  # fmt: skip


def test_pictures_of_equal_names_from_two_runs_are_both_kept(desk: Path) -> None:
    for place in ("x", "y"):
        Path(place).mkdir()
        shutil.copy("a.png", f"{place}/a.png")
    for place, picture, crop in (("x", "a-faces.jpg", "a-face.png"), ("y", "a-faces-2.jpg", "a-face-2.png")) * 2:
        done = run(
            "predict", f"{place}/a.png", "--model", MODEL, "--out", "drawn", "--save-crops", "crops", "--compact"
        )
        assert done.stderr.splitlines()[-2:] == [f"wrote drawn/{picture}", f"wrote crops/{crop}"]


def test_a_name_that_is_too_long_for_its_picture_ends_no_run(desk: Path) -> None:
    for name in ("x" * 251, "x" * 250, "\u65e5" * 83):
        shutil.copy("a.png", f"{name}.png")
    done = run("predict", ".", "--model", MODEL, "--out", "drawn", "--json")
    assert done.exit_code == 0, done.stderr
    assert len(json.loads(done.stdout)["images"]) == 4
    assert len(list((desk / "drawn").glob("*.jpg"))) == 4


def test_a_checkpoint_outside_a_run_is_evaluated_without_a_file(desk: Path, make_run) -> None:
    shutil.copy(make_run(3) / "checkpoints" / "best.pt", "shipped.pt")
    before = sorted(desk.iterdir())
    done = run("evaluate", "--checkpoint", "shipped.pt", "--data", "sample:70")
    assert (done.exit_code, sorted(desk.iterdir())) == (0, before), done.output


def test_a_new_run_takes_no_folder_with_files_of_the_users(desk: Path) -> None:
    (desk / "runs" / "mine").mkdir(parents=True)
    for name in ("config.json", "curves.png"):
        mine = desk / "runs" / "mine" / name
        mine.write_text("mine")
        done = run("train", "--name", "mine", "--data", "sample:70", "--architecture", "tiny", "--weights", "none")
        assert done.exit_code == 1
        assert len(done.stderr.splitlines()) == 1
        assert name in done.stderr
        assert mine.read_text() == "mine"
        mine.unlink()
