"""``export --all``: every format that is installed, one table, one exit code."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.errors import MissingExtraError, ModelError
from fer_edge.export import every_format
from fer_edge.export.exporter import export_checkpoint
from fer_edge.export.formats import registry

FEW = ("onnx", "openvino", "torchscript")
"""Formats that stand for all here: one with INT8 of onnxruntime, one of two files, one that runs code."""


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def few(monkeypatch) -> None:
    """Few formats in few precisions: what the others do is tested where they are."""
    formats = {name: one for name, one in registry.all_formats().items() if name in FEW}
    formats["onnx"] = replace(formats["onnx"], precisions=("fp32",))
    formats["openvino"] = replace(formats["openvino"], precisions=("fp32", "int8"))
    monkeypatch.setattr(every_format, "all_formats", lambda: formats)
    monkeypatch.setattr("fer_edge.export.timing.BUDGET_SECONDS", 0.0)


@pytest.fixture(scope="module")
def checkpoint(make_run) -> Path:
    return make_run(1, gain=1.8)


def test_every_format_is_a_row_of_one_table(few, checkpoint, tmp_path):
    pytest.importorskip("openvino")
    given = ("export", "--checkpoint", checkpoint, "--all", "--data", "sample:420", "--folder", tmp_path, "--json")
    done = run(*given, "--max-drop", 100)
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    rows = {(row["format"], row["precision"]): row for row in told["rows"]}
    assert list(rows) == [("onnx", "fp32"), ("openvino", "fp32"), ("openvino", "int8"), ("torchscript", "fp32")]
    assert all(row["state"] == "written" for row in rows.values())
    assert rows["onnx", "fp32"]["relative_time"] == 1
    assert all(row["relative_time"] > 0 for row in rows.values())
    assert rows["openvino", "fp32"]["files"] == ["cli-run-openvino.xml", "cli-run-openvino.bin"]
    sizes = sum((tmp_path / name).stat().st_size for name in rows["openvino", "fp32"]["files"])
    assert rows["openvino", "fp32"]["num_bytes"] == sizes
    assert rows["onnx", "fp32"]["accuracy"] == rows["onnx", "fp32"]["checkpoint_accuracy"]
    assert rows["onnx", "fp32"]["on_device"] == "onnxruntime 1.15 or later"
    assert told["faces"] > 0
    written = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert {Path(path).name for path in told["published"]} == written


def test_a_failed_check_is_a_row_and_exit_3_and_the_others_are_written(few, checkpoint, tmp_path, monkeypatch):
    def export(request, note, *, search):
        done = export_checkpoint(request, note, search=search)
        return replace(done, failures=("it is blue",), paths=()) if request.file_format == "torchscript" else done

    monkeypatch.setattr(every_format, "export_checkpoint", export)
    monkeypatch.setattr(every_format, "every_kind", lambda: iter(_wanted("onnx", "torchscript")))
    done = run("export", "--checkpoint", checkpoint, "--all", "--folder", tmp_path)
    assert done.exit_code == 3
    assert "torchscript fp32: it is blue" in done.stderr
    assert "FAILED" in done.stdout
    assert (tmp_path / "cli-run.onnx").exists()
    line = next(line for line in done.stdout.splitlines() if line.split()[:1] == ["onnx"])
    assert "1.00x" in line
    assert "cli-run.onnx" in line


def test_what_is_not_installed_or_cannot_be_made_is_said(few, checkpoint, tmp_path, monkeypatch):
    def export(request, note, *, search):
        if request.file_format == "openvino":
            raise MissingExtraError("openvino", "openvino")
        if request.file_format == "torchscript":
            raise ModelError("no such\noperator")
        return export_checkpoint(request, note, search=search)

    monkeypatch.setattr(every_format, "export_checkpoint", export)
    monkeypatch.setattr(every_format, "every_kind", lambda: iter(_wanted("onnx", "openvino", "torchscript")))
    done = run("export", "--checkpoint", checkpoint, "--all", "--folder", tmp_path)
    assert done.exit_code == 1
    said = "expected the package 'openvino', found none; run: pip install 'fer-edge[openvino]'"
    assert f"openvino fp32: not installed: {said}" in done.stdout
    assert "torchscript fp32: not made: no such operator" in done.stdout
    assert done.stderr.splitlines()[-1] == "error: not made: torchscript fp32: no such operator"


def _wanted(*names: str):
    return [(registry.all_formats()[name], "fp32") for name in names]


@pytest.mark.parametrize(
    "option",
    [
        ("--format", "onnx"),
        ("--precision", "int8"),
        ("--raw",),
        ("--name", "x"),
        ("--opset", "19"),
        ("--labels", "a,b"),
    ],
)
def test_options_of_one_format_are_usage_errors(checkpoint, option):
    done = run("export", "--checkpoint", checkpoint, "--all", *option)
    assert done.exit_code == 2
    assert f"--all: expected none of the options of one format, found {option[0]}" in done.stderr


def test_int8_is_searched_once(monkeypatch):
    calls = []
    monkeypatch.setattr(every_format, "search_int8", lambda *given, **more: calls.append(given) or "found")
    search = every_format.searched_once()
    assert (search(1, 2), search(1, 2)) == ("found", "found")
    assert calls == [(1, 2)]
