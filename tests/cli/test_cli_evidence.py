"""``bundle`` and ``accept``: tables, JSON, files, exit codes and one-line errors."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_edge.cli import app

sys.path.insert(0, str(Path(__file__).parent.parent / "evidence"))
from bundles import FACES, TINY, edited, with_claim


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(TINY.with_suffix(".json"), folder)
    return Path(shutil.copy(TINY, folder))


@pytest.fixture(scope="module")
def bundled(model) -> Path:
    done = run("bundle", model, "--data", FACES)
    assert done.exit_code == 0, done.output
    path = model.with_name("tiny-evidence.zip")
    assert done.stderr.splitlines()[0] == f"model {model}"
    assert done.stderr.splitlines()[-1] == f"wrote {path}"
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["claim", "integrity", "golden", "accuracy"]
    assert lines[4].startswith("31 files, 0.") or lines[4].split()[1] == "files,"
    return path


def test_accept_prints_a_row_for_each_claim(bundled) -> None:
    done = run("accept", bundled, "--data", FACES)
    assert done.exit_code == 0, done.output
    assert [line.split()[:2] for line in done.stdout.splitlines()[:5]] == [
        ["claim", "result"],
        ["signature", "not"],
        ["integrity", "passed"],
        ["golden", "passed"],
        ["accuracy", "passed"],
    ]
    found = json.loads(run("accept", bundled, "--json").stdout)
    assert found["passed"]
    assert {one["id"]: one["outcome"] for one in found["results"]}["accuracy"] == "not checked"
    assert found["measured_on"]["packages"]["onnxruntime"]
    assert "accuracy: not checked: no faces were given" in run("accept", bundled).stdout


def test_a_claim_that_fails_is_exit_code_3_and_named(bundled, tmp_path) -> None:
    changed = with_claim(bundled, tmp_path / "c.zip", "golden", lambda claim: claim["allowed"].update(logits=5.0))
    done = run("accept", changed)
    assert done.exit_code == 3
    assert done.stderr.splitlines()[-1].startswith(f"error: {changed}: golden: expected bounds of at most")
    damaged = edited(bundled, tmp_path / "d.zip", lambda folder: (folder / "kit" / "README.md").unlink(), hashes=False)
    done = run("accept", damaged)
    assert done.exit_code == 3
    assert "integrity: kit/README.md is missing" in done.stderr


def test_a_bundle_is_written_again_and_nothing_else_is_replaced(model, bundled) -> None:
    before = bundled.read_bytes()
    assert run("bundle", model, "--data", FACES, "--json").exit_code == 0
    assert bundled.read_bytes() == before
    other = bundled.with_name("other.zip")
    other.write_text("mine")
    done = run("bundle", model, "--out", other)
    assert done.exit_code == 1
    assert "found another file, which is kept" in done.stderr
    assert other.read_text() == "mine"


def test_mistakes_are_one_line(model, bundled, tmp_path) -> None:
    (tmp_path / "text.zip").write_text("hello")
    for arguments, code, message in (
        (("accept", tmp_path / "none.zip"), 1, "no such bundle; make one with"),
        (("accept", tmp_path / "text.zip"), 1, "expected a whole bundle"),
        (("accept", model), 1, "expected a bundle, found an exported model; name"),
        (("accept", bundled, "--data", tmp_path / "none"), 1, "expected a folder of faces or a CSV file"),
        (("accept", bundled, "--skip-bad"), 2, "--skip-bad: expected --data with it"),
        (("bundle", tmp_path / "none.onnx"), 1, "no such model"),
        (("bundle", model, "--against", tmp_path / "none.onnx", "--out", tmp_path / "y.zip"), 1, "no such model"),
        (
            ("bundle", model, "--devices", tmp_path / "none.json", "--out", tmp_path / "y.zip"),
            1,
            "expected a matrix of",
        ),
        (("bundle", model, "--out", tmp_path / "x.tar"), 2, "--out: expected the name of a .zip file"),
        (("bundle", model, "--data", tmp_path / "none"), 1, "expected a folder of faces or a CSV file"),
    ):
        done = run(*arguments)
        assert done.exit_code == code, done.output
        assert message in done.stderr.splitlines()[-1]
        assert done.stderr.count("error: ") == 1
    assert not list(tmp_path.glob("*.tar"))
    assert not list(model.parent.glob("none-evidence.zip"))
