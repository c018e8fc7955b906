"""What ``predict`` prints: the same images whatever the format, a line a face, labels, a bar."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from fer_edge.cli import app

MODEL = str(Path(__file__).parents[1] / "fixtures" / "tiny.onnx")
CLI = str(Path(__file__).parents[2] / "cli.py")


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: two crops, a photo of nobody, a file that is no image."""
    monkeypatch.chdir(tmp_path)
    for name, grey in (("a.png", 90), ("b.png", 200)):
        Image.new("L", (48, 48), grey).save(name)
    Image.new("RGB", (400, 300), (90, 120, 150)).save("sky.jpg")
    Path("bad.png").write_bytes(b"no image")
    return tmp_path


WORDS = ("predict", "a.png", "bad.png", "sky.jpg", "missing.png", "b.png", "none*", "--model", MODEL)


def test_csv_and_json_report_the_same_images_and_errors() -> None:
    rows = list(csv.DictReader(io.StringIO(CliRunner().invoke(app, [*WORDS, "--csv"]).stdout)))
    found = json.loads(CliRunner().invoke(app, [*WORDS, "--json"]).stdout)
    assert {row["source"]: row["error"] for row in rows if row["error"]} == {
        one["source"]: one["error"] for one in found["errors"]
    }
    assert {one["source"] for one in found["errors"]} == {"bad.png", "missing.png", "none*"}
    assert [row["source"] for row in rows if not row["error"]] == [one["source"] for one in found["images"]]
    assert {row["source"]: row["label"] for row in rows if row["label"]} == {
        one["source"]: one["label"] for one in found["results"]
    }
    assert sum(found["labels"].values()) == len(found["results"]) == 2


def test_compact_is_a_line_for_each_face_and_each_image_without_one() -> None:
    done = CliRunner().invoke(app, [*WORDS, "--compact"])
    a, sky, b = done.stdout.splitlines()
    assert (a[:7], sky, b[:7], a[-1]) == ("a.png: ", "sky.jpg: no face found", "b.png: ", "%")
    whole = CliRunner().invoke(app, list(WORDS)).stdout.splitlines()
    assert [line for line in whole if not line.startswith(" ")] == [a, sky, b]


def test_the_labels_of_all_faces_are_counted_in_a_line() -> None:
    labels = json.loads(CliRunner().invoke(app, [*WORDS, "--json"]).stdout)["labels"]
    counts = ", ".join(f"{label} {count}" for label, count in labels.items())
    assert f"2 faces: {counts}; 1 image without a face" in CliRunner().invoke(app, list(WORDS)).stderr.splitlines()
    one = CliRunner().invoke(app, ["predict", "a.png", "--model", MODEL])
    assert "1 face" not in one.stderr.splitlines()[1]


@pytest.mark.parametrize("name", ["=cmd|calc.png", "+1.png", "-2.png", "@sum.png", "\uff1dnow.png", "=no image.png"])
def test_no_name_in_a_csv_begins_a_formula_and_each_is_a_way_to_its_file(name: str, desk: Path) -> None:
    (desk / name).write_bytes((desk / ("bad.png" if "no image" in name else "a.png")).read_bytes())
    printed = CliRunner().invoke(app, ["predict", "--csv", "--model", MODEL, "--", name]).stdout
    (row,) = csv.DictReader(io.StringIO(printed))
    assert row["source"] == f"./{name}"
    assert not row["error"] or row["error"].startswith(f"./{name}: expected")
    assert Path(row["source"]).samefile(desk / name)


@pytest.mark.parametrize("given", [["--json", "--csv"], ["--csv", "--compact"], ["--json", "--csv", "--compact"]])
def test_one_format_at_a_time(given: list[str]) -> None:
    done = CliRunner().invoke(app, [*WORDS, *given])
    assert (done.exit_code, f"expected one of {' and '.join(given)}, found" in done.stderr) == (2, True)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminal to make")
@pytest.mark.parametrize("is_watched", [True, False])
def test_a_terminal_shows_how_far_it_is_while_the_result_goes_to_a_file(desk: Path, is_watched: bool) -> None:
    ours, theirs = os.openpty()
    with (desk / "out.csv").open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, CLI, *WORDS, "--csv"],
            stdout=file if is_watched else theirs,
            stderr=theirs if is_watched else file,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        process.wait()
    os.close(ours)
    text = shown.decode()
    assert ("/6" in text and "images" in text and "\x1b[?25l" in text) == is_watched
    assert (desk / "out.csv").read_text().startswith("source,label" if is_watched else "model ")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminal to make")
@pytest.mark.parametrize("columns", [40, 200])
def test_tables_and_bars_lose_no_name_or_number_in_a_narrow_terminal(desk: Path, columns: int) -> None:
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": str(columns)}
    for words in (["models"], ["predict", "a.png", "--model", MODEL]):
        subprocess.run([sys.executable, CLI, *words], stdout=theirs, stderr=subprocess.DEVNULL, env=environment)
    os.close(theirs)
    text = re.sub("\x1b\\[[0-9;]*m", "", os.read(ours, 65536).decode())
    os.close(ours)
    assert "\u2026" not in text
    assert text.count(" ferplus-resnet18 ") == 1
    assert ("\u2502" in text) == (columns == 200)  # a box, where there is room for one
    bars = [line for line in text.splitlines() if line.endswith("%") and "\u2588" in line]
    assert max(map(len, bars)) <= columns


@pytest.mark.parametrize("words", [["--csv"], [], ["--compact"]])
def test_a_reader_that_has_had_enough_ends_it_quietly(desk: Path, words: list[str]) -> None:
    for number in range(1500):
        (desk / f"face-{number}.png").symlink_to(desk / "a.png")
    process = subprocess.Popen(
        [sys.executable, CLI, "predict", ".", "--model", MODEL, *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read().splitlines()
    process.wait()
    assert [line for line in said if not line.startswith(("model ", "bad.png: "))] == []


def test_what_a_folder_has_beside_images_is_counted_once_in_every_format(desk: Path) -> None:
    (desk / "clip.mp4").write_bytes(b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41")
    (desk / "notes.txt").write_text("hello")
    line = "left out 2 files: 1 video (fer-edge webcam FILE), 1 other"
    for words in ((), ("--compact",), ("--csv",), ("--json",), ("--save-crops", str(desk / "crops"))):
        done = CliRunner().invoke(app, ["predict", str(desk), "--model", MODEL, *words])
        assert done.stderr.splitlines().count(line) == 1, (words, done.stderr)
        if words == ("--json",):
            assert json.loads(done.stdout)["left_out"] == {"video": 1, "other": 1}
    done = CliRunner().invoke(app, [*WORDS, "--json"])
    assert json.loads(done.stdout)["left_out"] == {}
    assert "left out" not in done.stderr
