import json
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pytest

from fer_edge.backends import open_model
from fer_edge.errors import ModelError, StorageError, UsageError
from fer_edge.export import checkpoint_graphs, exporter
from fer_edge.export.card.metadata import describe
from fer_edge.export.checkpoint_graphs import load_reference
from fer_edge.export.exporter import export_checkpoint, write_and_open
from fer_edge.export.formats.onnx import onnx_bytes
from fer_edge.export.formats.registry import Source, converting, format_named
from fer_edge.export.parity.comparison import measure_parity
from fer_edge.export.publish import model_path, publish
from fer_edge.export.request import ExportRequest
from fer_edge.metadata import METADATA_KEY, NO_CHECKSUM, ModelMetadata
from fer_edge.own_files import LIST
from fer_edge.runtime.classifier import Classifier


def faces_of(run):
    return run.faces.train.faces[:8]


@pytest.mark.parametrize(
    ("file_format", "precision", "raw", "name"),
    [
        ("onnx", "fp32", False, "tiny-run.onnx"),
        ("onnx", "fp32", True, "tiny-run-raw.onnx"),
        ("onnx", "fp16", False, "tiny-run-fp16.onnx"),
        ("ort", "fp32", False, "tiny-run-mobile.ort"),
        ("ort", "fp16", True, "tiny-run-fp16-raw-mobile.ort"),
        ("torchscript", "fp32", False, "tiny-run-jit.torchscript"),
        ("pt2", "fp32", False, "tiny-run-export.pt2"),
    ],
)
def test_each_format_round_trips_with_parity(tiny_run, tmp_path, file_format, precision, raw, name):
    request = ExportRequest(
        checkpoint=tiny_run.folder, file_format=file_format, precision=precision, raw=raw, folder=tmp_path
    )
    export = export_checkpoint(request)
    assert export.parity, export.parity.failures
    assert {row.batch for row in export.parity.rows} >= {1, 2, 5, 7, 8, 32, 64}
    assert [path.name for path in export.paths] == [
        name,
        f"{name.rsplit('.', 1)[0]}.json",
        f"{name.rsplit('.', 1)[0]}.md",
    ]
    reopened = open_model(tmp_path / name, trust=True)
    assert reopened.metadata.precision == precision
    assert measure_parity(tiny_run.reference, reopened, faces_of(tiny_run))


def test_card_states_the_file_and_the_checkpoint(exported_tiny, tiny_run):
    card = json.loads(exported_tiny.with_suffix(".json").read_text())
    model = onnx.load(exported_tiny)
    assert card["file_sha256"] == sha256(exported_tiny.read_bytes()).hexdigest()
    assert (card["opset"], card["ir_version"]) == (model.opset_import[0].version, model.ir_version) == (18, 8)
    assert card["minimum_onnxruntime"] == "1.15"
    assert card["labels"] == ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
    assert (card["mean"], card["std"]) == (tiny_run.reference.mean, tiny_run.reference.std)
    assert card["training_data"] == {
        "source": "sample:420",
        "fingerprint": tiny_run.faces.fingerprint(),
        "seed": 0,
        "name": "",
        "classes": {},
        "starting_weights": "none",
    }
    assert card["input"]["shape"] == ["batch", "height", "width", "channels"]
    assert card["metrics"]["validation"]["accuracy"] == 0.5
    inside = {entry.key: entry.value for entry in model.metadata_props}[METADATA_KEY]
    assert json.loads(inside)["content_sha256"] == card["content_sha256"]


def test_the_runtime_predicts_what_the_checkpoint_does(exported_tiny, tiny_run):
    face = tiny_run.faces.validation.faces[0]
    prediction = Classifier.load(exported_tiny).predict(face)
    probabilities, _ = tiny_run.reference.answer(face[np.newaxis, :, :, np.newaxis])
    assert list(prediction.probabilities.values()) == pytest.approx(probabilities[0].tolist(), abs=1e-5)


def test_half_precision_halves_the_file_and_keeps_preprocessing_in_float32(tiny_run, tmp_path, exported_tiny):
    export = export_checkpoint(ExportRequest(checkpoint=tiny_run.folder, precision="fp16", folder=tmp_path))
    assert export.paths[0].stat().st_size < 0.6 * exported_tiny.stat().st_size
    model = onnx.load(export.paths[0])
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    half = {name for name, data_type in types.items() if data_type == onnx.TensorProto.FLOAT16}
    assert half
    assert not [name for name in half if name.startswith("preprocessing.")]


def test_parity_fails_when_one_weight_changes(tiny_run, tmp_path, monkeypatch, damage):
    build = checkpoint_graphs.export_network

    def damaged(*args):
        network = build(*args)
        damage(network, by=0.5)
        return network

    monkeypatch.setattr(checkpoint_graphs, "export_network", damaged)
    export = export_checkpoint(ExportRequest(checkpoint=tiny_run.folder, folder=tmp_path / "exported"))
    assert not export.parity
    assert "expected probabilities within 0.0001, found a difference of" in export.failures[0]
    assert export.paths == ()
    assert not (tmp_path / "exported").exists()


def test_an_earlier_model_stays_when_a_check_fails(tiny_run, tmp_path, exported_tiny, monkeypatch):
    for source in exported_tiny.parent.iterdir():
        shutil.copy(source, tmp_path)
    before = (tmp_path / "tiny-run.onnx").read_bytes()
    monkeypatch.setattr(exporter, "measure_parity", lambda *_, **__: _FAILED)
    export = export_checkpoint(ExportRequest(checkpoint=tiny_run.folder, folder=tmp_path))
    assert export.failures == ("it differs",)
    assert (tmp_path / "tiny-run.onnx").read_bytes() == before


class _Failed:
    failures = ("it differs",)

    def __bool__(self) -> bool:
        return False


_FAILED = _Failed()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file_format": "pt2", "precision": "int8"}, "expected --format .*onnx, .* with --precision int8, found pt2"),
        ({"file_format": "torchscript", "raw": True}, "expected --format onnx, .* with --raw, found torchscript"),
    ],
)
def test_combinations_that_no_file_can_hold_are_refused(tmp_path, change, message):
    with pytest.raises(UsageError, match=message):
        replace(ExportRequest(checkpoint=tmp_path), **change)


def test_a_name_must_be_a_plain_file_name(tiny_run, tmp_path):
    with pytest.raises(UsageError, match=r"--name: expected up to 200 letters, digits.*found '\.\./x'"):
        export_checkpoint(ExportRequest(checkpoint=tiny_run.folder, folder=tmp_path, name="../x"))


def test_a_name_that_a_model_of_another_format_has_is_refused(tiny_run, tmp_path, exported_tiny):
    for source in exported_tiny.parent.iterdir():
        shutil.copy(source, tmp_path)
    request = ExportRequest(checkpoint=tiny_run.folder, folder=tmp_path, name="tiny-run", file_format="ort")
    with pytest.raises(ModelError, match=r"found the card of tiny-run\.onnx; choose another --name"):
        export_checkpoint(request)


def test_an_earlier_export_is_replaced_with_a_note(tiny_run, tmp_path, exported_tiny):
    for source in exported_tiny.parent.iterdir():
        shutil.copy(source, tmp_path)
    notes: list[str] = []
    export_checkpoint(ExportRequest(checkpoint=tiny_run.folder, folder=tmp_path), notes.append)
    assert notes[0].startswith(f"{tmp_path / 'tiny-run.onnx'} will be replaced: exported 2")
    assert notes[0].endswith("as onnx fp32")
    assert Classifier.load(tmp_path / "tiny-run.onnx").metadata.name == "tiny-run"
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == ["tiny-run.json", "tiny-run.md", "tiny-run.onnx"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("tiny-run.md", "one without its card tiny-run.json"),
        ("tiny-run.onnx", "one without its card tiny-run.json"),
        ("tiny-run.json", "another file"),
    ],
)
def test_a_file_that_is_no_export_is_left_alone(tiny_run, tmp_path, name, found):
    (tmp_path / name).write_text("written by hand")
    with pytest.raises(ModelError, match=rf"{name}: expected no file, or .* found {found}; move it away or choose"):
        export_checkpoint(ExportRequest(checkpoint=tiny_run.folder, folder=tmp_path))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["written by hand"]


def test_the_names_of_a_published_model_reach_the_disk_last(tiny_run, tmp_path, monkeypatch):
    steps, rename = [], Path.replace

    def note_rename(self, target):
        steps.append(Path(target).name)
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", note_rename)
    monkeypatch.setattr("fer_edge.export.publish.sync_folder", lambda folder: steps.append(f"sync {folder.name}"))
    export_checkpoint(ExportRequest(checkpoint=tiny_run.folder, folder=tmp_path / "out"))
    assert steps[-4:] == ["tiny-run.md", "tiny-run.json", "tiny-run.onnx", "sync out"]


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_a_crash_while_publishing_leaves_no_pair_that_loads_and_does_not_match(
    tiny_run, tmp_path, exported_tiny, monkeypatch, renamed
):
    for source in exported_tiny.parent.iterdir():
        shutil.copy(source, tmp_path)
    before = (tmp_path / "tiny-run.onnx").read_bytes()
    rename, done = Path.replace, []

    def crash(self, target):
        if self.parent != tmp_path and Path(target).parent == tmp_path:  # from the stage to its place
            if len(done) == renamed:
                raise KeyboardInterrupt
            done.append(target)
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", crash)
    backend = open_model(exported_tiny)
    other = replace(backend.metadata, created="2030-01-01")
    data = onnx_bytes(onnx.load(exported_tiny), replace(other, content_sha256=NO_CHECKSUM))
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "tiny-run.onnx").write_bytes(data)
    backend = open_model(tmp_path / "new" / "tiny-run.onnx")
    parity = measure_parity(tiny_run.reference, backend, faces_of(tiny_run)[:1])
    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path / "tiny-run.onnx", {".onnx": data}, backend.metadata, backend.sha256, parity)
    assert (tmp_path / "tiny-run.onnx").read_bytes() == before
    if renamed < 2:  # the cards for programs are still the old model's
        assert Classifier.load(tmp_path / "tiny-run.onnx").metadata.created != "2030-01-01"
    else:
        with pytest.raises(ModelError, match="expected the SHA-256"):
            Classifier.load(tmp_path / "tiny-run.onnx")
    assert [path.name for path in tmp_path.glob(".fer-edge-*")] == [LIST]
    model_path(tmp_path, "tiny-run", format_named("onnx"))  # whose files are still known as exported: no refusal


@pytest.mark.parametrize("edited", ["tiny-run.md", "tiny-run.onnx"])
@pytest.mark.parametrize("is_listed", [False, True])
def test_a_model_that_was_changed_since_its_export_is_kept(tiny_run, tmp_path, exported_tiny, edited, is_listed):
    request = ExportRequest(checkpoint=tiny_run.folder, folder=tmp_path)
    for source in exported_tiny.parent.iterdir():
        if not source.name.startswith("."):
            shutil.copy(source, tmp_path)
    if is_listed:
        export_checkpoint(request)
    mine = tmp_path / edited
    changed = b"my own page" if edited.endswith(".md") else mine.read_bytes() + b"mine"
    mine.write_bytes(changed)
    with pytest.raises(StorageError, match=rf"{edited}: expected no file.* move it away, or choose another --name"):
        export_checkpoint(request)
    assert mine.read_bytes() == changed


@pytest.mark.parametrize("error", [ValueError("Too many bins\nfor data range."), RuntimeError()])
def test_what_a_converter_raises_is_one_line(tiny_run, tmp_path, error) -> None:
    def write(source: Source, metadata: ModelMetadata) -> dict[str, bytes]:
        raise error

    _, info = load_reference(tiny_run.folder)
    model_format = replace(format_named("torchscript"), write=write)
    metadata = describe(info, name="m", model_format=model_format, precision="fp32")
    message = rf"torchscript's converter .* stopped with {type(error).__name__}: (Too many bins for data|no message)"
    with pytest.raises(ModelError, match=message) as raised:
        write_and_open(model_format, Source(tiny_run.reference, lambda: None), metadata, tmp_path)
    assert raised.value.__cause__ is error


def test_a_full_disk_is_no_fault_of_the_converter(tmp_path) -> None:
    with pytest.raises(OSError, match="full"), converting(format_named("onnx")):
        raise OSError("full")
