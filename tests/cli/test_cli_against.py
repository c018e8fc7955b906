"""``verify A --against B``: any two model files, of any format or maker, without a checkpoint and without torch."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.export.exporter import export_checkpoint
from fer_edge.export.formats.onnx import onnx_bytes
from fer_edge.export.request import ExportRequest
from fer_edge.metadata import METADATA_KEY, ModelMetadata


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def exported(checkpoint: Path, folder: Path, **more: object) -> Path:
    return export_checkpoint(ExportRequest(checkpoint, folder=folder, **more)).paths[0]


@pytest.fixture(scope="module")
def checkpoint(make_run) -> Path:
    return make_run(1, gain=1.8)  # an untrained net says the same to every face; make it answer


@pytest.fixture(scope="module")
def model(checkpoint, tmp_path_factory) -> Path:
    return exported(checkpoint, tmp_path_factory.mktemp("pixels"))


@pytest.fixture(scope="module")
def raw(checkpoint, tmp_path_factory) -> Path:
    return exported(checkpoint, tmp_path_factory.mktemp("raw"), raw=True)


@pytest.fixture(scope="module")
def changed(model, tmp_path_factory) -> Path:
    """The model with one weight changed, and a checksum that is right."""
    graph = onnx.load(model)
    node = [node for node in graph.graph.node if node.op_type == "Conv"][1]
    weights = next(tensor for tensor in graph.graph.initializer if tensor.name == node.input[1])
    values = onnx.numpy_helper.to_array(weights).copy()
    values.flat[4] += 5
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    metadata = ModelMetadata.from_json({entry.key: entry.value for entry in graph.metadata_props}[METADATA_KEY])
    path = tmp_path_factory.mktemp("changed") / "today.onnx"
    path.write_bytes(onnx_bytes(graph, metadata))
    return path


def test_the_same_network_in_another_form_passes(model, raw):
    done = run("verify", raw, "--against", model, "--json")
    assert done.exit_code == 0, done.output
    parity = json.loads(done.stdout)["parity"]
    assert parity["passed"] is True
    assert parity["reference"] == model.name
    assert len(parity["rows"]) > 0
    assert parity["max_probability_difference"] < 1e-5
    assert run("verify", model, "--against", raw).exit_code == 0  # the other way round, too


def test_another_network_is_exit_3_and_the_reports_name_both(model, changed, tmp_path):
    files = ("--markdown", tmp_path / "report.md", "--picture", tmp_path / "plot.png")
    done = run("verify", changed, "--against", model, "--data", "sample:140", *files)
    assert done.exit_code == 3
    assert f"against {model.name}" in done.stdout
    assert f"faces: {model.name} " in done.stdout
    assert f"{changed}: differs from {model}: " in done.stderr
    assert f"to {model.name}, each by its own loader" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "plot.png").stat().st_size > 5000


@pytest.mark.parametrize(("file_format", "is_given_first"), [("onnx", True), ("onnx", False), ("ncnn", False)])
def test_another_makers_model_is_compared_class_by_class(checkpoint, raw, tmp_path, file_format, is_given_first):
    """The same network without its metadata, its classes in another order and under other names."""
    pytest.importorskip("pnnx" if file_format == "ncnn" else "onnx")
    ours = exported(checkpoint, tmp_path / "ours", file_format=file_format)
    graph = onnx.load(raw)
    metadata = ModelMetadata.from_json({entry.key: entry.value for entry in graph.metadata_props}[METADATA_KEY])
    del graph.metadata_props[:]
    order = [6, 0, 5, 1, 4, 2, 3]
    last = next(node for node in graph.graph.node if "logits" in node.output)
    for name in last.input[1:]:
        tensor = next(one for one in graph.graph.initializer if one.name == name)
        values = onnx.numpy_helper.to_array(tensor)
        assert 7 in values.shape
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.take(values, order, axis=values.shape.index(7)), name))
    theirs = tmp_path / "theirs.onnx"
    onnx.save(graph, theirs)
    aliases = {"angry": "anger", "happy": "happiness", "sad": "sadness"}
    labels = ",".join(aliases.get(metadata.labels[place], metadata.labels[place]) for place in order)
    described = ("--describe", f"labels={labels}; channels=1; size=48; mean={metadata.mean}; std={metadata.std}")
    pair = (theirs, "--against", ours) if is_given_first else (ours, "--against", theirs)
    done = run("verify", *pair, "--data", "sample:140", *described, "--json")
    assert done.stdout, done.stderr
    parity = json.loads(done.stdout)["parity"]
    grey = [row for row in parity["rows"] if row["probe"].startswith("faces 48x48, grey PNG")]
    assert grey
    assert max(row["max_probability_difference"] for row in grey) < 1e-4  # other sizes it resizes otherwise
    assert parity["accuracy"]["disagreement"] == 0
    assert done.exit_code == (0 if parity["passed"] else 3)


def test_other_classes_are_refused_with_both_lists(model):
    done = run("verify", "ferplus-resnet18", "--against", model)
    assert done.exit_code == 1
    assert "expected the classes neutral, happiness" in done.stderr
    assert "found angry, disgust" in done.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--checkpoint", "run"), "--against: expected none of the options with --checkpoint, found --checkpoint"),
        (("--divergence", "--skew"), "found --divergence, --skew"),
        (("--devices",), "--devices: expected none of the options with --checkpoint, found --against"),
        (("--describe", "labels=a,b"), "expected no --describe"),
        (("--max-drop", "1"), "expected --data with --max-drop"),
    ],
)
def test_options_that_do_not_go_with_it_are_usage_errors(model, more, said):
    done = run("verify", model, "--against", model, *more)
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_description_without_another_model_is_a_usage_error(model):
    done = run("verify", model, "--describe", "labels=a,b")
    assert done.exit_code == 2
    assert "--describe: expected --against with it" in done.stderr


def test_a_report_that_would_overwrite_either_model_is_refused(model, changed):
    done = run("verify", model, "--against", changed, "--markdown", changed)
    assert done.exit_code == 1 or done.exit_code == 2
    assert onnx.load(changed).graph.node


def test_neither_torch_nor_onnx_is_needed(model, tmp_path):
    code = (
        "import sys; sys.modules['torch'] = sys.modules['onnx'] = None; "
        "from fer_edge.cli.app import app; app(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, "verify", str(model), "--against", str(model)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "largest difference of a probability  0 " in done.stdout
