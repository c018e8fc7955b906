"""LiteRT's .tflite: the checkpoint's answers, in float and in 8 bits of its own quantiser; every damage is found."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from damaged_files import changed_copy
from typer.testing import CliRunner

from fer_edge.backends import litert as backend_module
from fer_edge.backends.registry import backend_named, open_model
from fer_edge.benchmark.client import WorkerClient
from fer_edge.benchmark.timed_run import WorkerSpec
from fer_edge.cli import app
from fer_edge.errors import MissingExtraError, ModelError, UsageError
from fer_edge.export.exporter import export_checkpoint
from fer_edge.export.formats import litert as format_module
from fer_edge.export.formats import registry
from fer_edge.export.graph.reference import FacesToProbabilities, PixelsToProbabilities
from fer_edge.export.parity.verification import VerifyRequest, verify_model
from fer_edge.export.request import ExportRequest

pytest.importorskip("ai_edge_litert", reason="needs pip install 'fer-edge[litert]'")
pytest.importorskip("litert_torch", reason="needs pip install 'fer-edge[litert-export]', 1.1 GB")

TFLITE = ".tflite"


def export(tiny_run, folder, precision, **more):
    data = "sample:420" if precision == "int8" else None
    return export_checkpoint(
        ExportRequest(tiny_run.folder, file_format="litert", precision=precision, folder=folder, data=data, **more)
    )


@pytest.fixture
def exported(exported_litert):
    return exported_litert


def verify(model: Path, tiny_run, **more):
    return verify_model(VerifyRequest(model, tiny_run.folder, **more))


def faces(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 48, 48, 1), dtype=np.uint8)


def test_files_are_written_and_verified(exported, tiny_run):
    stem = f"tiny-run{'-int8' if exported.metadata.precision == 'int8' else ''}-litert"
    assert [path.name for path in exported.paths] == [f"{stem}{end}" for end in (TFLITE, ".json", ".md")]
    found = verify(exported.paths[0], tiny_run)
    assert found.parity, found.parity.failures
    assert "layers and the weights of" in found.graph
    assert exported.metadata.input.kind == "faces"
    assert exported.metadata.input.fixed_batch == 1


def test_an_app_needs_litert_alone(exported, tiny_run):
    """As one calls it: by the signature's names, and labels from the zip at the end of the file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(exported.paths[0]))
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["image"], "outputs": ["logits", "probabilities"]}
    }
    answer = interpreter.get_signature_runner()(image=faces(1))
    expected, _ = tiny_run.reference.answer(faces(1))
    assert answer["probabilities"].dtype == np.float32
    assert np.abs(answer["probabilities"] - expected).max() < (1e-4 if exported.metadata.precision == "fp32" else 0.25)
    with zipfile.ZipFile(exported.paths[0]) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode().splitlines() == list(exported.metadata.labels)
        stated = json.loads(archive.read("metadata.json"))
    assert stated["metrics"] == json.loads(exported.paths[1].read_text())["metrics"]


def test_photos_of_any_size_and_batches_are_prepared(exported, tiny_run):
    backend = open_model(exported.paths[0], threads=2)
    pixels = np.random.default_rng(1).integers(0, 256, (3, 121, 97, 3), dtype=np.uint8)
    prepared = backend.prepare(pixels)
    assert prepared.shape == (3, 48, 48, 1)
    expected, _ = tiny_run.reference.answer(prepared)
    found = backend.run(pixels).probabilities
    assert np.abs(found - expected).max() < (1e-4 if exported.metadata.precision == "fp32" else 0.25)


def test_layers_are_compared_by_name(exported, tiny_run):
    layers = verify(exported.paths[0], tiny_run, divergence=True).layers
    assert layers is not None
    assert layers[0].name == "faces"
    assert layers[-1].name == "logits"
    assert {"network.2", "network.6", "network.9", "network.12"} <= {layer.name for layer in layers}
    assert sum(layer.weight_error > 0 for layer in layers) >= 4
    assert not any(layer.diverges for layer in layers)
    if exported.metadata.precision == "int8":
        assert layers[0].sqnr_db > 100  # a step is a grey value
        assert min(layer.sqnr_db for layer in layers) < 60


def test_int8_says_how_it_was_made(exported):
    if exported.metadata.precision != "int8":
        return
    stated = exported.metadata.quantisation
    assert (stated["activations"], stated["weights"], stated["calibration_faces"]) == ("int8", "int8", 93)
    assert stated["float_parts"] == ["normalisation", "logits", "probabilities"]
    assert {trial["method"] for trial in stated["trials"]} == {"MinMax", "Percentile 99.999"}
    assert not exported.metadata.may_saturate
    assert exported.metadata.metrics["validation"]["measured_on"].startswith("this model, validation split of")
    assert exported.quantisation.metrics() == exported.metadata.metrics
    assert exported.quantisation.bytes_int8 < exported.quantisation.bytes_fp32 / 3
    assert "adds 8-bit products in 32 bits" in exported.paths[2].read_text()


def stored(exported) -> tuple[str, bytes, np.dtype]:
    """The largest weights: their name, and their bytes as the file has them."""
    backend = open_model(exported.paths[0])
    name = max(backend.weights(), key=lambda one: backend.weights()[one].values.size)
    interpreter = backend_module.interpreter_of(exported.paths[0].read_bytes(), keep_values=True)
    (one,) = [one for one in interpreter.get_tensor_details() if one["name"] == name]
    value = interpreter.get_tensor(one["index"])
    return name, value.tobytes(), value.dtype


def test_one_changed_weight_is_found_and_located(exported, tiny_run, tmp_path):
    name, data, dtype = stored(exported)
    values = np.frombuffer(data, dtype).copy()
    place = int(np.abs(values.astype(np.float32)).argmax())
    values[place] += 0.01 if dtype == np.float32 else -3 * np.sign(values[place])  # three steps of 127
    damaged = changed_copy(exported.paths[0], tmp_path, {TFLITE: lambda file: file.replace(data, values.tobytes())})
    found = verify(damaged, tiny_run)
    assert not found.parity
    assert any("a weight is not the checkpoint's" in failure for failure in found.parity.failures), name


def test_other_preprocessing_is_found_before_any_layer(exported, tiny_run, tmp_path):
    """A mean that is a tenth of a standard deviation off."""
    reference = tiny_run.reference
    shift = np.float32(reference.mean / reference.std)
    damaged = changed_copy(
        exported.paths[0],
        tmp_path,
        {TFLITE: lambda file: file.replace(shift.tobytes(), np.float32(shift + 0.1).tobytes())},
    )
    found = verify(damaged, tiny_run)
    assert not found.parity
    assert any("diverge at faces (preprocessing)" in failure for failure in found.parity.failures)


def with_other_entry(name: str, change):
    """A change of the zip at the end of a file."""

    def changed(file: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(file)) as archive:
            entries = {one.filename: archive.read(one) for one in archive.infolist()}
            start = min(one.header_offset for one in archive.infolist())
        stream = io.BytesIO(file[:start])
        with zipfile.ZipFile(stream, "a") as archive:
            for entry, data in entries.items():
                archive.writestr(entry, change(data) if entry == name else data)
        return stream.getvalue()

    return changed


def test_other_labels_are_refused_in_the_file_and_found_in_the_sidecar(exported, tiny_run, tmp_path):
    swap = with_other_entry("labels.txt", lambda data: b"\n".join(reversed(data.split())) + b"\n")
    with pytest.raises(ModelError, match=r"expected the labels .* in its labels\.txt"):
        verify(changed_copy(exported.paths[0], tmp_path / "file", {TFLITE: swap}), tiny_run)
    others = list(reversed(exported.metadata.labels))
    stated = with_other_entry("metadata.json", lambda data: json.dumps({**json.loads(data), "labels": others}).encode())
    with pytest.raises(ModelError, match="expected the labels"):
        open_model(changed_copy(exported.paths[0], tmp_path / "one", {TFLITE: stated}, metadata={"labels": others}))
    both = changed_copy(
        exported.paths[0], tmp_path / "both", {TFLITE: lambda file: stated(swap(file))}, metadata={"labels": others}
    )
    assert any("expected labels" in failure for failure in verify(both, tiny_run).parity.failures)


def test_metadata_that_differ_from_the_sidecars_are_refused(exported, tmp_path):
    change = with_other_entry("metadata.json", lambda data: data.replace(b'"std"', b'"std" '))
    open_model(changed_copy(exported.paths[0], tmp_path / "blank", {TFLITE: change}))  # it says the same
    other = changed_copy(exported.paths[0], tmp_path / "other", {TFLITE: change}, metadata={"std": 0.3})
    with pytest.raises(ModelError, match="expected the metadata in it to be those of"):
        open_model(other)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda file: file[:6] + b"XX" + file[8:], "expected a .tflite file, which has TFL3"),
        (lambda file: file[: len(file) // 2], "in a zip at its end, found none"),
        (
            lambda file: file[:16] + b"\xff" * 64 + file[80:],
            "litert cannot run it: The model is not a valid Flatbuffer",
        ),
    ],
)
def test_what_is_no_model_is_one_line(exported, tmp_path, change, told):
    model = changed_copy(exported.paths[0], tmp_path, {TFLITE: change})
    with pytest.raises(ModelError) as failure:
        open_model(model).run(faces(1))
    assert told in str(failure.value)
    assert "\n" not in str(failure.value)


def test_damage_is_refused_before_litert_reads_it(exported, tmp_path):
    model = changed_copy(exported.paths[0], tmp_path, {})
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="expected the SHA-256"):
        open_model(model)
    model.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match="which says what it is"):
        open_model(model)


def test_the_same_model_gives_the_same_bytes(exported):
    data = exported.paths[0].read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        start = min(one.header_offset for one in archive.infolist())
    stated = exported.metadata.with_checksum("0" * 64)
    assert format_module.with_archive(data[:start], stated) == data


def test_what_it_cannot_hold_is_refused(tiny_run, monkeypatch):
    with pytest.raises(UsageError, match="with --raw, found litert"):
        ExportRequest(tiny_run.folder, file_format="litert", raw=True)
    answer = CliRunner().invoke(app, ["export", "--checkpoint", "x", "--format", "litert", "--target", "arm"])
    assert "--format litert makes one file for every processor" in answer.stderr
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"run: pip install 'fer-edge\[litert-export\]'"):
        ExportRequest(tiny_run.folder, file_format="litert")
    assert backend_named("litert").extra == "litert"


def test_commands_take_the_file(exported, tmp_path):
    """info, evaluate and a row of the benchmark, in a process of its own."""
    model = str(exported.paths[0])
    told = CliRunner().invoke(app, ["info", model])
    assert told.exit_code == 0, told.output
    assert "image uint8 [1, 48, 48, 1]" in told.output
    judged = CliRunner().invoke(app, ["evaluate", "--model", model, "--data", "sample:105", "--json"])
    assert judged.exit_code == 0, judged.output
    refused = CliRunner().invoke(app, ["predict", "x.jpg", "--model", model])
    assert "found a .tflite file, which another runtime runs" in refused.stderr
    precision = exported.metadata.precision
    spec = WorkerSpec("litert", "fer_edge.backends.litert", precision, "cpu", 1, 1, model, 48)
    np.save(tmp_path / "faces.npy", faces(2)[..., 0])
    with WorkerClient(spec, tmp_path / "faces.npy", tmp_path) as worker:
        length = {"warm_up_runs": 1, "warm_up_s": 0.0, "budget_s": 0.0, "min_runs": 2, "max_runs": 2}
        timed = worker.ask("timed_run", length=length)
        assert min(timed["latency_ms"]) > 0
        answer = worker.ask("answer", faces=str(tmp_path / "faces.npy"), start=0, count=2)["probabilities"]
    np.testing.assert_allclose(answer, open_model(model).run(faces(2)).probabilities, atol=1e-6)


def test_faces_of_another_size_and_a_matrix_product_with_its_activation():
    """The converter fuses the two, and its value is then the activation's, whose name it did not keep."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, stride=2),
        torch.nn.Flatten(),
        torch.nn.Linear(4 * 15 * 15, 6),
        torch.nn.ReLU(),
        torch.nn.Linear(6, 3),
    )
    reference = PixelsToProbabilities(network, 32, 0.4, 0.3).eval()
    from fer_edge.export.formats._litert_conversion import converted

    data = converted(FacesToProbabilities(reference).eval(), 32)
    interpreter = backend_module.interpreter_of(data, keep_values=True)
    names = {one["name"] for one in interpreter.get_tensor_details()}
    assert {"image", "faces", "0", "3", "logits", "0.weight", "2.weight", "4.weight", "4.bias"} <= names
    assert "2" not in names
    (place,) = [one["index"] for one in interpreter.get_tensor_details() if one["name"] == "3"]
    face = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 1), dtype=np.uint8)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], face)
    interpreter.invoke()
    with torch.inference_mode():
        expected = network[:4](reference.faces(torch.from_numpy(face)))
    np.testing.assert_allclose(interpreter.get_tensor(place), expected.numpy(), atol=1e-5)


def test_layers_that_quantisation_harms_most_stay_float(tiny_run, tmp_path, monkeypatch):
    """A loss that no model comes below, so that as many do as may."""
    from fer_edge.export.formats import _litert_quantiser as quantiser

    monkeypatch.setattr(quantiser, "MAX_LAYERS_IN_FLOAT", 2)
    monkeypatch.setattr("fer_edge.export.checkpoint_graphs.acceptable_drop", lambda _: -100.0)
    done = export(tiny_run, tmp_path, "int8")
    assert done.failures == ()
    kept = done.metadata.quantisation["kept_in_float"]
    assert len(kept) == 2
    weights = open_model(done.paths[0]).weights()
    floats = [name for name, one in weights.items() if one.steps is None]
    convolutions = {"network.2", "network.6", "network.9", "network.12"}
    assert len(floats) == 2 + len(convolutions & set(kept))  # with those of the logits
    assert verify(done.paths[0], tiny_run).parity


def test_an_int8_model_that_loses_accuracy_is_not_published(tiny_run, tmp_path, monkeypatch):
    from fer_edge.export.formats import _litert_quantiser as quantiser

    calibrate = quantiser.calibrate

    def too_wide(*arguments):
        return {
            method: {
                name: {**ends, "max": ends["max"] + 1000} if name.startswith("network") else ends
                for name, ends in ranges.items()
            }
            for method, ranges in calibrate(*arguments).items()
        }

    monkeypatch.setattr(quantiser, "calibrate", too_wide)
    monkeypatch.setattr(quantiser, "MAX_LAYERS_IN_FLOAT", 0)
    done = export(tiny_run, tmp_path, "int8")
    assert any("points of accuracy" in failure for failure in done.failures)
    assert done.paths == ()
