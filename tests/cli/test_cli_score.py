"""``score`` on the command line: results, messages, exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

for package in ("pyarrow", "fsspec"):
    pytest.importorskip(package, reason="fer-edge[score] is not installed")


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    (tmp_path / "faces").mkdir()
    for number in range(5):
        Image.effect_noise((48, 48), 40 + number).save(tmp_path / "faces" / f"{number}.png")
    return tmp_path / "faces"


def score(repository: Path, *words: object) -> "subprocess.CompletedProcess[str]":
    tiny = repository / "tests" / "fixtures" / "tiny.onnx"
    command = [sys.executable, "cli.py", "score", *map(str, words), "--model", str(tiny), "--workers", "1"]
    return subprocess.run(command, capture_output=True, text=True, cwd=repository, timeout=120)


def test_json_and_errors_told_at_the_end(faces: Path, repository: Path, tmp_path: Path) -> None:
    (faces / "bad.jpg").write_bytes(b"hello")
    done = score(repository, faces, "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["rows"], told["errors"], told["rows_before"]) == (6, 1, 0)
    assert "1 of 6 images could not be scored: see the column error" in done.stderr
    assert done.stderr.splitlines()[-1] == f"wrote 6 rows in 1 Parquet file to {tmp_path / 'out'}"


def test_exit_code_1_where_nothing_could_be_scored(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"hello")
    done = score(repository, tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: none of the images could be scored: see the column error"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["missing"], 1, "expected a folder of images or a Parquet file, found none"),
        (["s3://bucket/faces"], 1, "expected the package 's3fs', found none; run: pip install s3fs"),
        (["gs://bucket/faces"], 1, "expected the package 'gcsfs', found none; run: pip install gcsfs"),
        (["http://127.0.0.1:9/faces"], 2, "expected a path or an address of"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    words: list[str], code: int, told: str, repository: Path, tmp_path: Path
) -> None:
    for package in ("s3fs", "gcsfs"):
        if package in told:
            with pytest.raises(ModuleNotFoundError):  # else this test would ask the network
                __import__(package)
    done = score(repository, *words, "--out", tmp_path / "out")
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert told in line
    assert not (tmp_path / "out").exists()
