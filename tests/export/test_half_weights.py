import pytest
import torch

from fer_edge.errors import ModelError
from fer_edge.export import half_weights
from fer_edge.export.exporter import ExportRequest, export_checkpoint
from fer_edge.export.half_weights import export_half_weights
from fer_edge.training.checkpoint import load_classifier, read_checkpoint


@pytest.fixture
def request_of(tiny_run, tmp_path):
    def make(**changes):
        return ExportRequest(**{"checkpoint": tiny_run.folder, "folder": tmp_path / "exported", **changes})

    return make


def test_half_weights_are_a_small_checkpoint_that_every_format_is_made_from(request_of, tiny_run, tmp_path):
    done = export_half_weights(request_of(name="kept", data="sample:140"))
    assert done.failures == ()
    assert done.path == tmp_path / "exported" / "kept.pt"
    assert done.path.stat().st_size < 0.6 * (tiny_run.folder / "checkpoints" / "best.pt").stat().st_size
    assert done.accuracy_half == pytest.approx(done.accuracy_full, abs=0.05)
    assert 0 < done.max_probability_difference < 0.01
    content = read_checkpoint(done.path)
    assert all(v.dtype == torch.float16 for v in content["model"].values() if v.is_floating_point())
    assert "/" not in content["record"]["data_source"]
    classifier, _ = load_classifier(done.path)
    assert next(classifier.parameters()).dtype == torch.float32
    export = export_checkpoint(ExportRequest(checkpoint=done.path, folder=tmp_path / "again"))
    assert export.failures == ()
    assert export.paths[0].name == "kept.onnx"


def test_weights_that_answer_otherwise_are_not_kept(request_of, monkeypatch, tmp_path):
    monkeypatch.setattr(half_weights, "_halved", lambda name, value: value + 1 if "weight" in name else value)
    done = export_half_weights(request_of())
    assert "expected probabilities within 0.01 of the checkpoint's" in done.failures[0]
    assert done.path is None
    assert not (tmp_path / "exported").exists()


def test_a_weight_beyond_float16_is_named(request_of, tiny_run, monkeypatch):
    classifier, info = load_classifier(tiny_run.folder)
    with torch.no_grad():
        next(classifier.parameters()).fill_(1e6)
    monkeypatch.setattr(half_weights, "load_classifier", lambda _: (classifier, info))
    with pytest.raises(ModelError, match="expected weights within float16's range, found 1e\\+06"):
        export_half_weights(request_of())


def test_another_file_is_never_replaced(request_of, tiny_run, tmp_path):
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "mine.pt").write_bytes(b"precious")
    with pytest.raises(ModelError, match=r"mine.pt: expected no file, or weights exported before, found another file"):
        export_half_weights(request_of(name="mine"))
    assert (tmp_path / "exported" / "mine.pt").read_bytes() == b"precious"
