import json
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from fer_edge.cli import app


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    done = CliRunner().invoke(app, ["data", "sample", "--count", "42", "--out", str(tmp_path / "faces")])
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines()[-1] == f"wrote {tmp_path / 'faces'}"
    return tmp_path / "faces"


def inspect(faces: Path, *options: str) -> tuple[int, str, str]:
    picture = faces.parent / "inspect.png"
    done = CliRunner().invoke(app, ["data", "inspect", "--data", str(faces), "--picture", str(picture), *options])
    return done.exit_code, done.stdout, done.stderr


def test_inspect_prints_the_findings_and_draws_a_picture(faces: Path) -> None:
    code, out, err = inspect(faces)
    assert code == 0, err
    assert f"{faces}: 42 faces\n" in out
    rows = [line.split() for line in out.splitlines()]  # plain columns where there is no terminal
    assert ["class", "train", "validation", "test", "all"] in rows
    assert ["surprise", "4", "1", "1", "6"] in rows
    assert "duplicates inside a split: train 0, validation 0, test 0" in out
    assert err.splitlines()[-1] == f"wrote {faces.parent / 'inspect.png'}"
    with Image.open(faces.parent / "inspect.png") as picture:
        assert picture.format == "PNG"


def test_inspect_finds_leaks_conflicts_and_blanks(faces: Path) -> None:
    copied = next((faces / "train" / "sad").iterdir())
    shutil.copy(copied, faces / "train" / "angry" / "copy.png")
    shutil.copy(copied, faces / "validation" / "sad" / "copy.png")
    Image.new("L", (48, 48), 7).save(faces / "train" / "fear" / "blank.png")
    _, out, _ = inspect(faces)
    assert "leaked from an earlier split (--drop-leaks leaves them out): validation 1, test 0" in out
    assert "duplicates inside a split: train 1, validation 0, test 0" in out
    assert f"blank faces (all pixels equal): 1\n  {faces}/train/fear/blank.png" in out
    assert "groups of equal faces with different labels: 1\n" in out
    assert f"{faces}/train/angry/copy.png (angry) = {copied} (sad) = {faces}/validation/sad/copy.png (sad)" in out


def test_inspect_shows_the_rest_of_a_bad_set_and_exits_with_1_unless_told_to_skip(faces: Path) -> None:
    (faces / "train" / "sad" / "zero.png").touch()
    code, out, err = inspect(faces)
    assert code == 1
    assert f"{faces}: 42 faces" in out
    assert f"1 problem\n  {faces}/train/sad/zero.png: expected a" in out
    assert f"error: {faces}: expected faces without problems, found 1 (listed above)" in err
    code, out, _ = inspect(faces, "--skip-bad")
    assert code == 0
    assert "zero.png" in out


def test_inspect_json_is_one_object_on_stdout(faces: Path) -> None:
    (faces / "train" / "sad" / "zero.png").touch()
    code, out, _ = inspect(faces, "--json")
    found = json.loads(out)
    assert code == 1
    assert found["counts"]["train"]["happy"] == 4
    assert [problem["where"] for problem in found["problems"]] == [f"{faces}/train/sad/zero.png"]


def test_a_missing_path_is_one_line(tmp_path: Path) -> None:
    code, out, err = inspect(tmp_path / "nowhere")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {tmp_path / 'nowhere'}: expected a folder of faces or a CSV file")
    assert err.count("\n") == 1


def test_sample_refuses_too_few_faces_and_filled_folders(faces: Path) -> None:
    done = CliRunner().invoke(app, ["data", "sample", "--count", "3", "--out", str(faces.parent / "b")])
    assert done.exit_code == 2
    assert "N from 42" in done.stderr
    assert not (faces.parent / "b").exists()
    done = CliRunner().invoke(app, ["data", "sample", "--count", "42", "--out", str(faces)])
    assert done.exit_code == 1
    assert "expected a new or empty folder" in done.stderr


def test_sample_prints_json(tmp_path: Path) -> None:
    out = tmp_path / "made"
    done = CliRunner().invoke(app, ["data", "sample", "--count", "42", "--seed", "3", "--out", str(out), "--json"])
    found = json.loads(done.stdout)
    assert found == {"folder": str(out), "faces": 42, "seed": 3, "next": f"fer-edge data inspect --data {out}"}
    assert done.stderr == f"wrote {out}\n"


def test_fetch_without_its_extra_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    done = CliRunner().invoke(app, ["data", "fetch", "--out", str(tmp_path / "fer2013")])
    assert done.exit_code == 1
    assert "pip install 'fer-edge[fetch]'" in done.stderr


@pytest.mark.parametrize("command", ["inspect", "sample", "fetch"])
def test_every_command_shows_an_example(command: str) -> None:
    done = CliRunner().invoke(app, ["data", command, "--help"], terminal_width=200)
    assert f"fer-edge data {command}" in done.output


def test_inspect_names_expressions_that_a_split_lacks(tmp_path: Path) -> None:
    def row(code: int, number: int, usage: str) -> str:
        return f"{code},{' '.join(str((code * 40 + number + at) % 256) for at in range(2304))},{usage}\n"

    usages = ("Training", "PublicTest", "PrivateTest")
    rows = [
        row(code, at, usage) for at, usage in enumerate(usages) for code in range(7) if (code, usage) != (1, usages[1])
    ]
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n" + "".join(rows))
    code, out, err = inspect(tmp_path / "fer2013.csv")
    assert code == 0, err
    assert "classes without a face: validation: disgust\n" in out


def test_inspect_says_where_every_split_has_every_expression(faces: Path) -> None:
    assert "classes without a face: none\n" in inspect(faces)[1]


def test_inspect_of_the_popular_folders_names_says_how_to_get_the_votes_and_joins_them(popular: Path, tmp_path: Path):
    code, out, err = inspect(tmp_path / "faces")
    assert code == 0, err
    assert "votes: none, but the file names are those of the popular folder of FER-2013: 'fer-edge data" in out
    code, out, err = inspect(tmp_path / "faces", "--votes", str(tmp_path / "fer2013new.csv"))
    assert code == 0, err
    assert "votes: 42 faces with 10.0 annotators each; on average 80.0% of them agree" in out
    assert "votes from fer2013new.csv by file name (0 faces without)" in out
