import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.export.exporter import export_checkpoint
from fer_edge.export.formats.onnx import onnx_bytes
from fer_edge.export.request import ExportRequest
from fer_edge.metadata import METADATA_KEY, SUFFIXES, ModelMetadata, TrainingData


@pytest.fixture(scope="module")
def run_folder(make_run) -> Path:
    return make_run(1, gain=1.8)  # an untrained net says the same to every face; make it answer


@pytest.fixture(scope="module")
def model(run_folder, tmp_path_factory) -> Path:
    return export_checkpoint(ExportRequest(run_folder, folder=tmp_path_factory.mktemp("exported"))).paths[0]


@pytest.fixture(scope="module")
def damaged(model, tmp_path_factory) -> tuple[Path, str]:
    """A sealed model with one weight of its second convolution changed, and that layer's name."""
    graph = onnx.load(model)
    node = [node for node in graph.graph.node if node.op_type == "Conv"][1]
    weights = next(tensor for tensor in graph.graph.initializer if tensor.name == node.input[1])
    values = onnx.numpy_helper.to_array(weights).copy()
    values.flat[4] += 5
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    card = ModelMetadata.from_json({entry.key: entry.value for entry in graph.metadata_props}[METADATA_KEY])
    path = tmp_path_factory.mktemp("damaged") / "model.onnx"
    path.write_bytes(onnx_bytes(graph, card))
    return path, node.name


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_sound_model_passes_with_report_and_picture(model, run_folder, tmp_path):
    report, picture = tmp_path / "new" / "parity.md", tmp_path / "parity.png"
    done = run("verify", model, "--checkpoint", run_folder, "--markdown", report, "--picture", picture)
    assert done.exit_code == 0, done.output
    assert "parity passed: cli-run" in done.stdout
    assert done.stderr.splitlines()[-2:] == [f"wrote {report}", f"wrote {picture}"]
    assert report.read_text().startswith("# Parity of cli-run")
    assert picture.stat().st_size > 10_000


def test_a_checkpoint_of_other_classes_is_one_line(model, run_folder):
    """Neither side's answers fit the other's; with as many classes of other names it is a failed check."""
    other = run("verify", "ferplus-resnet18", "--checkpoint", run_folder, "--json")
    assert (other.exit_code, other.stdout) == (1, "")
    assert "expected the 7 classes of its checkpoint" in other.stderr
    assert "found 8 (neutral, happiness" in other.stderr
    assert len(other.stderr.strip().splitlines()) == 1


def test_outputs_that_contradict_the_metadata_are_one_line(model, run_folder, tmp_path):
    """A file that says seven classes and answers two."""
    graph = onnx.load(model)
    metadata = ModelMetadata.from_json({entry.key: entry.value for entry in graph.metadata_props}[METADATA_KEY])
    last = next(node for node in graph.graph.node if "logits" in node.output)
    for name in last.input[1:]:
        tensor = next(one for one in graph.graph.initializer if one.name == name)
        values = onnx.numpy_helper.to_array(tensor)
        fewer = np.take(values, [0, 1], axis=values.shape.index(7))
        tensor.CopyFrom(onnx.numpy_helper.from_array(fewer, name))
    for output in graph.graph.output:
        output.type.tensor_type.shape.dim[1].dim_value = 2
    del graph.graph.value_info[:]
    path = tmp_path / "two.onnx"
    path.write_bytes(onnx_bytes(graph, metadata))
    done = run("verify", path, "--checkpoint", run_folder)
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit)
    assert len(done.stderr.strip().splitlines()[-1:]) == 1
    assert f"{path}: expected" in done.stderr


@pytest.mark.parametrize("swapped", [False, True])
def test_the_shipped_int8_model_passes_and_with_red_and_blue_swapped_it_fails(tmp_path, swapped):
    exported = Path(__file__).parents[2] / "exported"
    graph = onnx.load(exported / "fer-resnet18-int8.onnx")
    luma = next(tensor for tensor in graph.graph.initializer if tensor.name == "preprocessing.luma_scaled")
    if swapped:
        luma.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(luma)[::-1].copy(), luma.name))
    card = ModelMetadata.from_json({entry.key: entry.value for entry in graph.metadata_props}[METADATA_KEY])
    path = tmp_path / "resealed.onnx"
    path.write_bytes(onnx_bytes(graph, card))
    done = run("verify", path, "--other-writer", "--checkpoint", exported / "fer-resnet18.pt")
    assert done.exit_code == (3 if swapped else 0), done.output


@pytest.mark.parametrize(("raw", "name"), [(True, "mean"), (False, "std")])
def test_a_card_of_another_normalisation_fails(run_folder, tmp_path, raw, name):
    graph = onnx.load(export_checkpoint(ExportRequest(run_folder, folder=tmp_path, raw=raw)).paths[0])
    card = ModelMetadata.from_json({entry.key: entry.value for entry in graph.metadata_props}[METADATA_KEY])
    path = tmp_path / "resealed.onnx"
    path.write_bytes(onnx_bytes(graph, replace(card, **{name: 0.25})))
    done = run("verify", path, "--checkpoint", run_folder)
    assert done.exit_code == 3
    assert f"expected {name} {getattr(card, name)} in the metadata, as the checkpoint has it, found 0.25" in done.stderr


@pytest.mark.parametrize("option", ["--markdown", "--picture"])
def test_the_report_never_replaces_the_model(model, run_folder, option):
    before = model.read_bytes()
    done = run("verify", model, "--checkpoint", run_folder, option, model.parent / "." / model.name)
    assert done.exit_code == 2
    assert f"error: {option}: expected a file of its own, found {model}" in done.stderr
    assert model.read_bytes() == before


def test_folders_for_the_report_are_made_or_refused_before_measuring(model, run_folder, tmp_path):
    (tmp_path / "file").touch()
    done = run("verify", model, "--checkpoint", run_folder, "--markdown", tmp_path / "file" / "parity.md")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: {tmp_path / 'file'}: cannot be written: ")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_a_changed_weight_exits_3(damaged, run_folder):
    done = run("verify", damaged[0], "--checkpoint", run_folder)
    assert done.exit_code == 3
    assert "parity FAILED" in done.stdout
    assert "differs from its checkpoint" in done.stderr
    assert "add --divergence to find the layer" in done.stderr


def test_other_logits_beside_right_probabilities_exit_3(model, run_folder, tmp_path):
    graph = onnx.load(model)
    name = next(output.name for output in graph.graph.output if output.name == "logits")
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(-3), "factor"))
    for node in graph.graph.node:
        node.input[:] = ["own_logits" if value == name else value for value in node.input]
        node.output[:] = ["own_logits" if value == name else value for value in node.output]
    graph.graph.node.append(onnx.helper.make_node("Mul", ["own_logits", "factor"], [name]))
    card = ModelMetadata.from_json({entry.key: entry.value for entry in graph.metadata_props}[METADATA_KEY])
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_bytes(graph, card))
    done = run("verify", path, "--checkpoint", run_folder, "--json")
    assert done.exit_code == 3
    parity = json.loads(done.stdout)["parity"]
    assert parity["max_probability_difference"] < 1e-4
    expected = "expected logits at least 80 dB above their difference from the reference's, found -12.0 dB"
    assert any(expected in line for line in parity["failures"])
    assert "found Mul (logits) where it has" in done.stderr


def test_locate_names_the_layer(damaged, run_folder):
    path, layer = damaged
    done = run("verify", path, "--checkpoint", run_folder, "--divergence")
    assert done.exit_code == 3
    assert f"Checkpoint and model diverge at {layer} (" in done.stdout
    assert "add --divergence" not in done.stderr


def test_locate_of_a_sound_model_finds_nothing(model, run_folder):
    done = run("verify", model, "--checkpoint", run_folder, "--locate", "--json")
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert report["first_divergence"] is None
    assert [layer["name"] for layer in report["layers"]][-1] == "logits"


def test_a_fault_at_one_batch_size_that_no_probe_has_fails(model, run_folder, tmp_path):
    graph = onnx.load(model)
    last = next(node for node in graph.graph.node if "logits" in node.output)
    last.output[0] = "right"
    for name, value in (("at", 0), ("batch", 21)):
        graph.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, np.int64), name))
    make = onnx.helper.make_node
    graph.graph.node.extend(
        [
            make("Shape", ["image"], ["shape"]),
            make("Gather", ["shape", "at"], ["size"]),
            make("Equal", ["size", "batch"], ["is_wrong"]),
            make("Neg", ["right"], ["wrong"]),
            make("Where", ["is_wrong", "wrong", "right"], ["logits"]),
        ]
    )
    card = ModelMetadata.from_json({entry.key: entry.value for entry in graph.metadata_props}[METADATA_KEY])
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_bytes(graph, card))
    done = run("verify", path, "--checkpoint", run_folder)
    assert done.exit_code == 3
    assert "found Where (logits) where it has" in done.stderr


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"metrics": {"validation": {"accuracy": 0.99}}}, "found {'validation': {'accuracy': 0.99}}"),
        ({"training_data": TrainingData("faces of my own", "0" * 64)}, "expected training_data TrainingData(source="),
        ({"minimum_onnxruntime": "1.10"}, "expected minimum_onnxruntime 1.15 in the metadata"),
    ],
)
def test_claims_that_can_be_worked_out_again_are(model, run_folder, tmp_path, claims, message):
    graph = onnx.load(model)
    card = ModelMetadata.from_json({entry.key: entry.value for entry in graph.metadata_props}[METADATA_KEY])
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_bytes(graph, replace(card, **claims)))
    done = run("verify", path, "--checkpoint", run_folder)
    assert done.exit_code == 3, done.output
    assert message in done.stdout


def test_a_finding_of_the_layers_alone_exits_3(model, run_folder, monkeypatch):
    monkeypatch.setattr("fer_edge.export.parity.divergence.DIVERGENCE_DB", {"fp32": 199.0})
    done = run("verify", model, "--checkpoint", run_folder, "--locate")
    assert done.exit_code == 3
    assert "parity FAILED" in done.stdout
    assert "Checkpoint and model diverge at " in done.stderr


def test_another_checkpoint_than_the_models_fails(model, run_folder, tmp_path):
    content = torch.load(run_folder / "checkpoints" / "best.pt", weights_only=True)
    content["model"] = {
        name: value * 1.01 if value.is_floating_point() else value for name, value in content["model"].items()
    }
    torch.save(content, tmp_path / "other.pt")
    assert run("verify", model, "--checkpoint", tmp_path / "other.pt").exit_code == 3


def test_accuracy_and_skew_on_given_data(model, run_folder):
    done = run("verify", model, "--checkpoint", run_folder, "--data", "sample:70", "--drift", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["parity"]["accuracy"]["drop_points"] == 0
    assert report["skew"]["rows"][0]["preparation"] == "rightly"
    assert report["drift"] == report["skew"]  # the key of earlier versions


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("model.onnx", ("--skew",), "expected --data with --skew"),
        ("model.pte", ("--locate",), "file with --divergence, because other formats lose the layers' names; export"),
        ("model.onnx", ("--max-drop", "1"), "expected --data with --max-drop"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(run_folder, tmp_path, name, arguments, message):
    done = run("verify", tmp_path / name, "--checkpoint", run_folder, *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("model.pt2", (), "expected --trust with a pt2 file, because loading one runs the code in it"),
        ("model.h5", (), f"expected a model file ({', '.join(SUFFIXES.values())}), found '.h5'"),
        ("model.onnx", (), "no such model"),
        ("fer-tinyy", (), "no such model; make one with"),
    ],
)
def test_mistakes_are_one_line(run_folder, tmp_path, name, arguments, message):
    done = run("verify", tmp_path / name, "--checkpoint", run_folder, *arguments)
    assert done.exit_code == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["verify", "export"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nan", "--max-drop: expected a number, found nan"),
        ("inf", "--max-drop: expected a number, found inf"),
        ("-1", "--max-drop: expected percentage points from 0 to 100, found -1"),
        ("1e9", "--max-drop: expected percentage points from 0 to 100, found 1e+09"),
        ("0.5", "expected --data with --max-drop: accuracy is measured on labelled faces; add --data PATH"),
    ],
)
def test_a_loss_that_cannot_be_judged_is_refused(command, value, message, model, run_folder):
    arguments = ("verify", model) if command == "verify" else ("export",)
    done = run(*arguments, "--checkpoint", run_folder, "--max-drop", value)
    assert done.exit_code == 2
    assert done.stderr == f"error: {message}\n"
