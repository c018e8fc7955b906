"""A toy format of two files and a toy backend show up everywhere, and nothing but their one file says so."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from forked_cli import run_cli  # after the skip

from fer_edge.backends import backends, open_model
from fer_edge.backends import registry as backend_registry
from fer_edge.benchmark.plots import _colour
from fer_edge.benchmark.results import RowResult
from fer_edge.benchmark.rows import Row
from fer_edge.errors import ModelError
from fer_edge.export import all_formats
from fer_edge.export.exporter import export_checkpoint
from fer_edge.export.formats import registry as format_registry
from fer_edge.export.request import ExportRequest
from fer_edge.metadata import SUFFIXES

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parents[1]}", "COLUMNS": "250", "TERM": "dumb"}


def run(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, in which the toy was imported."""
    return run_cli([str(one) for one in arguments], cwd=folder, env=ENVIRONMENT, timeout=300, modules=("toy",))


@pytest.fixture
def registered(monkeypatch):
    """The toy in this process, for one test."""
    monkeypatch.syspath_prepend(HERE)
    import toy

    backend_registry.register(toy.BACKEND)
    format_registry.register(toy.FORMAT)
    yield
    backend_registry.unregister("toy-runtime")
    format_registry.unregister("toy")
    assert "toy" not in SUFFIXES


@pytest.fixture(scope="module")
def published(make_run, tmp_path_factory) -> tuple[Path, Path]:
    """The run folder and the toy model that the command line exported from it."""
    folder = tmp_path_factory.mktemp("toy")
    checkpoint = make_run(3)
    done = run("export", "--checkpoint", checkpoint, "--format", "toy", "--folder", folder, folder=folder)
    assert done.returncode == 0, done.stderr
    names = [f"cli-run-toy{suffix}" for suffix in (".toy", ".toybin", ".json", ".md")]
    assert done.stderr.splitlines()[-4:] == [f"wrote {folder / name}" for name in names]
    return checkpoint, folder / names[0]


@pytest.mark.parametrize(("command", "name"), [("export", "toy (for tests)"), ("benchmark", "toy-runtime")])
def test_help_names_it(command, name, tmp_path):
    code = "import toy; from fer_edge.cli.app import main; main()"  # in a fresh interpreter
    done = subprocess.run(
        [sys.executable, "-c", code, command, "--help"], env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True
    )
    assert name in " ".join(done.stdout.split())


def test_verify_and_info_take_it(published, tmp_path):
    checkpoint, model = published
    done = run("verify", model, "--checkpoint", checkpoint, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "parity passed: cli-run-toy (fp32)" in done.stdout
    said = run("info", model, folder=tmp_path).stdout
    assert "toy, fp32" in said
    assert "angry, disgust" in said


@pytest.mark.parametrize("suffix", [".toy", ".toybin"])
def test_a_damaged_file_of_the_two_is_refused(published, tmp_path, suffix):
    checkpoint, model = published
    for file in model.parent.glob("cli-run-toy.*"):
        shutil.copy(file, tmp_path)
    damaged = tmp_path / f"cli-run-toy{suffix}"
    damaged.write_bytes(damaged.read_bytes() + b"x")
    done = run("verify", tmp_path / model.name, "--checkpoint", checkpoint, folder=tmp_path)
    assert done.returncode == 1
    assert f"{damaged}: expected the SHA-256" in done.stderr


def test_a_model_without_its_sidecar_is_refused(published, tmp_path):
    checkpoint, model = published
    for suffix in (".toy", ".toybin"):
        shutil.copy(model.with_suffix(suffix), tmp_path)
    done = run("verify", tmp_path / model.name, "--checkpoint", checkpoint, folder=tmp_path)
    assert done.returncode == 1
    assert "expected cli-run-toy.json beside it, which says what it is, found none" in done.stderr


def test_benchmark_measures_it_given_and_made_from_a_checkpoint(published, tmp_path):
    checkpoint, model = published
    short = ("--quick", "--rounds", 2, "--batch-sizes", "1,2", "--runtimes", "toy-runtime", "--data", "sample:70")
    done = run("benchmark", model, *short, "--out", tmp_path, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "benchmark.json").read_text())["rows"]
    assert {(row["runtime"], row["precision"]) for row in rows} == {("toy-runtime", "fp32")}
    assert (tmp_path / "benchmark-latency.png").stat().st_size > 5000
    (tmp_path / "exported").mkdir()
    shutil.copy(HERE.parent / "fixtures" / "tiny.onnx", tmp_path / "exported")
    done = run("benchmark", *short, "--checkpoint", checkpoint, "--out", tmp_path, "--name", "made", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "made.json").read_text())["rows"]
    assert {(row["runtime"], row["precision"]) for row in rows} == {("toy-runtime", "fp32"), ("toy-runtime", "fp16")}


def test_registries_and_plots_know_it(registered):
    assert "toy-runtime" in backends()
    assert "toy" in all_formats()
    assert all_formats()["toy"].opened_by is backends()["toy-runtime"]
    assert _colour(RowResult(Row("m", "net", "toy-runtime", "fp32", "cpu", 1, 1), "0" * 64, 1)) == "#123456"


def test_a_format_that_nothing_opens_or_that_writes_other_files_is_refused(registered, make_run, tmp_path, monkeypatch):
    from dataclasses import replace

    import toy

    format_registry.register(replace(toy.FORMAT, write=lambda source, metadata: {".toy": b"toy 1\n"}))
    with pytest.raises(ModelError, match=r"expected toy to write \.toy, \.toybin, found \.toy"):
        export_checkpoint(ExportRequest(make_run(3), file_format="toy", folder=tmp_path))
    backend_registry.unregister("toy-runtime")
    with pytest.raises(ModelError, match="expected a backend that opens toy files, found none"):
        ExportRequest(tmp_path, file_format="toy")
    (tmp_path / "m.toy").write_bytes(b"toy 1\n")
    with pytest.raises(ModelError, match=r"m\.toy: expected a model file \(.*found '\.toy'"):
        open_model(tmp_path / "m.toy")
