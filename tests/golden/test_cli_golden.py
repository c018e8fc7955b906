import json
import shutil

from languages import FIXTURES
from typer.testing import CliRunner

from fer_edge.cli import app


def run(*arguments: object):
    return CliRunner().invoke(app, ["golden", *(str(argument) for argument in arguments)])


def test_golden_sums_up_and_ends_by_naming_the_folder(tmp_path):
    model = shutil.copy(FIXTURES / "tiny.onnx", tmp_path)
    done = run(model)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("14 vectors, 26 images, ")
    assert done.stdout.endswith("allowed elsewhere: logits 0.001, probabilities 0.0001\n")
    assert done.stderr == f"model {model}\nwrote {tmp_path / 'tiny-golden'}\n"


def test_json_is_the_manifest(tmp_path):
    done = run(FIXTURES / "tiny_raw.onnx", "--out", tmp_path / "kit", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == json.loads((tmp_path / "kit" / "manifest.json").read_text())


def test_mistakes_are_one_line(tmp_path):
    (tmp_path / "mine.txt").touch()
    for arguments, message in (
        ((tmp_path / "none.onnx",), "no such model"),
        ((tmp_path / "mine.txt",), "expected a model, found an empty file"),
        ((FIXTURES / "tiny.onnx", "--out", tmp_path), "expected a new or empty folder, or an older kit"),
    ):
        done = run(*arguments)
        assert done.exit_code == 1
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_help_shows_an_example():
    assert "fer-edge golden" in run("--help").stdout
