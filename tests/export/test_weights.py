import pytest
import torch

from fer_edge.errors import ModelError, UsageError
from fer_edge.export.exporter import export_checkpoint
from fer_edge.export.formats import weights as half_weights
from fer_edge.export.formats.weights import export_half_weights
from fer_edge.export.request import ExportRequest
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
    monkeypatch.setattr("fer_edge.training.checkpoint.load_classifier", lambda _: (classifier, info))
    with pytest.raises(ModelError, match="expected weights within float16's range, found 1e\\+06"):
        export_half_weights(request_of())


def test_a_runs_checkpoint_and_the_source_are_never_replaced(request_of, tiny_run, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    best = (tiny_run.folder / "checkpoints" / "best.pt").read_bytes()
    (folder / "mine.pt").write_bytes(best)
    for source in (tiny_run.folder, folder / "mine.pt"):
        with pytest.raises(ModelError, match=r"mine.pt: expected no file, or weights exported before"):
            export_half_weights(request_of(checkpoint=source, folder=folder, name="mine"))
    assert (folder / "mine.pt").read_bytes() == best
    half = export_half_weights(request_of(name="half")).path
    assert export_half_weights(request_of(name="half")).path == half  # made before: replaced
    with pytest.raises(ModelError, match=r"half.pt: expected no file"):
        export_half_weights(request_of(checkpoint=half, name="half"))


def test_half_weights_do_not_tell_the_folders_of_this_machine(request_of, tiny_run):
    record = read_checkpoint(tiny_run.folder / "checkpoints" / "best.pt")["record"]
    config = record["config"] | {"weights": "/home/me/runs/a", "teacher": "/home/me/runs/a, runs/b"}
    begun = {**record, "config": config, "starting_weights": "from /home/me/runs/a (tiny)"}
    told = half_weights._travelling(begun)
    assert told["config"]["weights"] == "a"
    assert told["config"]["teacher"] == "a,b"
    assert told["starting_weights"] == "from a (tiny)"


def test_an_accuracy_that_may_not_be_lost_is_a_gate(request_of, monkeypatch):
    monkeypatch.setattr(half_weights, "_halved", lambda name, value: value + 0.1 if "weight" in name else value)
    done = export_half_weights(request_of(data="sample:140", max_drop_points=0))
    assert "expected to lose at most 0 points of accuracy, found" in done.failures[-1]


@pytest.mark.parametrize("name", ["../evil", "a/b"])
def test_a_name_that_leaves_the_folder_is_refused(request_of, name):
    with pytest.raises(UsageError, match="--name: expected up to 200 letters, digits"):
        export_half_weights(request_of(name=name))


def test_another_file_is_never_replaced(request_of, tiny_run, tmp_path):
    (tmp_path / "exported").mkdir()
    (tmp_path / "exported" / "mine.pt").write_bytes(b"precious")
    with pytest.raises(ModelError, match=r"mine.pt: expected no file, or weights exported before, found another file"):
        export_half_weights(request_of(name="mine"))
    assert (tmp_path / "exported" / "mine.pt").read_bytes() == b"precious"
