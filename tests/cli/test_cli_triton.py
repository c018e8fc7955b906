import json

import pytest
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.runtime.model_file import read_any


def run(*arguments: object):
    return CliRunner().invoke(app, ["triton", *(str(argument) for argument in arguments)])


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_shipped_model_by_name_and_what_is_not_measured_is_said(tmp_path):
    done = run("fer-tiny", "--out", "repo")
    assert done.exit_code == 0, done.output
    assert done.stdout == (tmp_path / "repo" / "fer-tiny-int8" / "config.pbtxt").read_text()
    assert "max_batch_size: 1\n" in done.stdout
    assert "measure them: --measure, or --benchmark FILE" in done.stderr
    assert "--shape H,W,C has one for all" in done.stderr
    assert done.stderr.splitlines()[-1] == "wrote repo/fer-tiny-int8"


def test_measured_settings_and_the_service_from_one_command(repository, monkeypatch, tmp_path):
    from fer_edge.serving import triton_settings

    seen = []
    real = triton_settings.measure_settings

    def quick(path, sha256, pixels, **options):
        seen.append(pixels.shape)
        return real(path, sha256, pixels, **options, seconds=0.005)

    monkeypatch.setattr(triton_settings, "measure_settings", quick)
    model = repository / "tests" / "fixtures" / "tiny.onnx"
    done = run(model, "--shape", "40,36,3", "--measure", "--kserve", "s3://bucket/repo", "--json")
    assert done.exit_code == 0, done.output
    assert seen == [(32, 40, 36, 3)]
    found = json.loads(done.stdout)
    assert (found["name"], found["version"], found["new_version"]) == ("tiny", 1, True)
    settings = found["settings"]
    assert settings["sha256"] == read_any(model).sha256
    config = (tmp_path / "repo" / "tiny" / "config.pbtxt").read_text()
    assert f"count: {settings['instances']}\n" in config
    assert "dims: [ 40, 36, 3 ]" in config
    assert f'cpu: "{settings["instances"] * settings["threads"]}"' in (tmp_path / "repo-kserve.yaml").read_text()
    assert "share a batch" not in done.stderr
    again = run(model, "--shape", "40,36,3")
    assert "version 1 is this very model" in again.stderr
    assert (tmp_path / "repo" / "tiny" / "config.pbtxt").read_text() == config


def test_settings_come_from_a_benchmark_of_this_file_only(repository, tmp_path):
    done = run("fer-tiny", "--benchmark", repository / "benchmarks" / "results" / "benchmark-imagenet-stem.json")
    assert done.exit_code == 1
    assert "found those of resnet18-imagenet" in done.stderr
    assert not (tmp_path / "repo").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("none.onnx",), 1, "no such model"),
        (("fer-tiny", "--measure", "--benchmark", "b.json"), 2, "expected --measure or --benchmark, found both"),
        (("fer-tiny", "--cpu", "2"), 2, "expected --kserve URI with --cpu and --memory"),
        (("fer-tiny", "--kserve", "bucket"), 2, "--kserve: expected the URI"),
        (("fer-tiny", "--kserve", "s3://b", "--memory", "2 GB"), 2, "--memory: expected a quantity"),
        (("fer-tiny", "--shape", "48x48"), 2, "--shape: expected HEIGHT,WIDTH,CHANNELS, found '48x48'"),
        (("fer-tiny", "--shape", "48,48,2"), 2, "with 1 or 3 or 4 channels"),
        (("fer-tiny", "--name", "a/b"), 2, "--name: expected"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(tmp_path, arguments, code, message):
    done = run(*arguments)
    assert done.exit_code == code
    assert message in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_another_file_in_place_of_the_service_is_kept(tmp_path):
    (tmp_path / "repo-kserve.yaml").write_text("theirs")
    done = run("fer-tiny", "--kserve", "s3://bucket/repo")
    assert done.exit_code == 1
    assert "repo-kserve.yaml: expected no file" in done.stderr
    assert (tmp_path / "repo-kserve.yaml").read_text() == "theirs"
    assert not (tmp_path / "repo").exists()


def test_help_shows_an_example():
    assert "fer-edge triton" in run("--help").stdout
