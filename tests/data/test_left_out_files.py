"""Files that training and evaluation pass over are counted by kind, in one line and in JSON."""

import json
from pathlib import Path

import pytest
from made_faces import write_face, write_table
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.data.left_out import left_out_in_words
from fer_edge.data.load import load_faces
from fer_edge.errors import DataError
from fer_edge.labels import FER2013
from fer_edge.runtime.known_formats import AVIF, can_open

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
MODEL = Path(__file__).parents[1] / "fixtures" / "tiny.onnx"
WANTED = {"HEIC photo": 2, "JPEG XL image": 1, "damaged image": 1, "hidden file": 1, "other": 1}
LINE = "left out: 6 files or rows that cannot be used (2 HEIC photos, 1 JPEG XL image, 1 damaged image, 1 hidden file, "


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Four faces of each class among which a phone's and a browser's photos lie, notes and a torn file."""
    root = tmp_path / "mixed"
    for name in FER2013.names:
        for number in range(4):
            write_face(root / name / f"{number}.png", name, number)
    for place, content in (
        ("happy/a.heic", HEIC),
        ("IMG_0001.heic", HEIC),  # beside the class folders
        ("sad/c.jxl", b"\xff\x0a"),
        ("fear/torn.png", b"\x89PNG\r\n\x1a\n"),
        ("sad/notes.txt", b"mine"),
        ("sad/.hidden", b""),
        ("sad/Thumbs.db", b"x"),  # nobody's mistake
        ("README.md", b"of these faces"),
    ):
        (root / place).write_bytes(content)
    return root


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_they_are_counted_by_kind(mixed: Path) -> None:
    data = load_faces(mixed, skip_bad=True)
    assert data.left_out == WANTED
    assert list(data.left_out)[-1] == "other"
    assert left_out_in_words(data.left_out) == f"{LINE}1 other)"
    assert left_out_in_words({}) == ""
    with pytest.raises(DataError, match=r"IMG_0001\.heic: an image outside the class folders"):
        load_faces(mixed)


def test_an_image_whose_format_needs_a_plugin_is_named(mixed: Path) -> None:
    (mixed / "happy" / "b.avif").write_bytes(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf")
    kind = "AVIF image"
    assert load_faces(mixed, skip_bad=True).left_out[kind] == 1
    with pytest.raises(DataError) as failure:
        load_faces(mixed)
    assert "a.heic: expected a JPEG, PNG," in str(failure.value)
    assert "found a HEIC photo; pip install pillow-heif" in str(failure.value)
    assert ("(an AVIF image)" if can_open(AVIF) else "found an AVIF image") in str(failure.value)


def test_rows_are_counted(tmp_path: Path) -> None:
    table = write_table(tmp_path / "fer2013.csv")
    with table.open("a") as stream:
        stream.write("9,1 2 3,Training\n0,1,Training\n")
    assert load_faces(table, skip_bad=True).left_out == {"row": 2}


def test_commands_say_it_in_one_line_and_in_json(mixed: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    picture = ("--picture", tmp_path / "faces.png")
    for words in (
        ("data", "inspect", "--data", mixed, *picture),
        ("evaluate", "--model", MODEL, "--data", mixed, "--split", "validation"),
    ):
        done = run(*words, "--skip-bad", "--json")
        assert done.exit_code == 0, done.stderr
        assert json.loads(done.stdout)["left_out_files"] == WANTED
        assert done.stderr.count(LINE) == 1
    quick = ("--architecture", "tiny", "--weights", "none", "--epochs", "1", "--device", "cpu", "--name", "run")
    trained = run("train", "--data", mixed, "--skip-bad", "--json", *quick)
    assert trained.exit_code == 0, trained.stderr
    assert json.loads(trained.stdout)["left_out_files"] == WANTED
    assert trained.stderr.count(LINE) == 1
    verified = run("export", "--checkpoint", "runs/run", "--data", mixed, "--skip-bad", "--json")
    assert verified.stderr.count(LINE) == 1, verified.stderr
    assert json.loads(verified.stdout)["left_out_files"] == WANTED
    assert run("export", "--checkpoint", "runs/run", "--data", mixed).exit_code == 1


def test_every_command_that_takes_skip_bad_says_it_once(mixed: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = {
        "verify": ("verify", MODEL, "--against", MODEL),
        "verify --devices": ("verify", MODEL, "--devices", "--targets", "native", "--faces", 7),
        "benchmark": ("benchmark", MODEL, "--quick", "--runtimes", "onnxruntime", "--rounds", 1, "--batch-sizes", 1),
        "bundle": ("bundle", MODEL, "--out", "evidence.zip"),
        "accept": ("accept", "evidence.zip"),
        "tune": ("tune", "--architecture", "tiny", "--weights", "none", "--epochs", 1, "--trials", 1),
    }
    for name, words in commands.items():
        done = run(*words, "--data", mixed, "--skip-bad", "--json")
        assert done.stderr.count(LINE) == 1, (name, done.stderr)
        told = json.loads(done.stdout)
        if name == "accept":
            (told,) = (one["figures"] for one in told["results"] if one["id"] == "accuracy")
        assert told["left_out_files"] == WANTED, name
        without = run(*words, "--data", mixed)
        assert without.exit_code == 1, name
        assert LINE not in without.stderr
