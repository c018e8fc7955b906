from dataclasses import replace

import numpy as np
import pytest

from fer_edge.data.faces import FaceSet
from fer_edge.errors import CheckpointError, DataError, TrainingError
from fer_edge.training import evaluate as module
from fer_edge.training.checkpoint import load_classifier
from fer_edge.training.evaluate import evaluate_checkpoint
from fer_edge.training.inference import predict_logits
from fer_edge.training.preparation import DataRequest
from fer_edge.training.runs import train


@pytest.fixture(scope="module")
def run(tiny_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(replace(tiny_config, epochs=3), DataRequest("sample:210"), folder, quiet=True)
    return folder


def test_validation_accuracy_is_the_one_that_training_recorded(run):
    done = evaluate_checkpoint(run, device="cpu")
    assert done.metrics.accuracy == load_classifier(run)[1].metrics["accuracy"]
    assert done.is_training_data_set
    assert done.num_leaked == 0
    assert done.metrics_without_leaks.accuracy == done.metrics.accuracy


def test_test_is_another_split(run, drawn):
    done = evaluate_checkpoint(run, split="test", device="cpu")
    assert done.metrics.num_faces == len(drawn.test)


def plant_leaks(data, number):
    """The same data with its first training faces also in validation, half of them under another label."""
    copies = data.train.take(range(number))
    labels = copies.labels.copy()
    labels[: number // 2] = (labels[: number // 2] + 1) % 7
    validation = FaceSet(
        np.concatenate([data.validation.faces, copies.faces]),
        np.concatenate([data.validation.labels, labels]),
        data.validation.sources + copies.sources,
    )
    return replace(data, validation=validation)


def test_leaked_faces_are_counted_and_left_out_of_the_second_accuracy(run, drawn, monkeypatch):
    planted = plant_leaks(drawn, 8)
    monkeypatch.setattr(module, "load_faces", lambda *_, **__: planted)
    done = evaluate_checkpoint(run, device="cpu")
    assert done.num_leaked == 8
    assert done.metrics.num_faces == len(drawn.validation) + 8
    hits = round(done.metrics.accuracy * done.metrics.num_faces)
    clean_hits = round(done.metrics_without_leaks.accuracy * len(drawn.validation))
    labels = planted.validation.labels[-8:]
    assert hits - clean_hits == int((done.probabilities[-8:].argmax(axis=1) == labels).sum())
    assert done.is_training_data_set  # but for what was planted

    dropped = evaluate_checkpoint(run, device="cpu", drop_leaks=True)
    assert dropped.metrics.accuracy == done.metrics_without_leaks.accuracy
    assert dropped.num_leaked == 0


def test_a_split_of_nothing_but_leaks_is_not_judged(run, drawn, monkeypatch):
    monkeypatch.setattr(module, "load_faces", lambda *_, **__: replace(drawn, validation=drawn.train))
    assert evaluate_checkpoint(run, device="cpu").metrics_without_leaks is None
    with pytest.raises(DataError, match="every face of validation is in an earlier split too; leave out --drop-leaks"):
        evaluate_checkpoint(run, device="cpu", drop_leaks=True)


def test_figures_and_pictures_are_written(run, tmp_path):
    import json

    done = evaluate_checkpoint(run, device="cpu")
    paths = done.write(tmp_path / "out")
    assert [path.name for path in paths] == [
        "evaluation-validation.json",
        "confusion-validation.png",
        "mistakes-validation.png",
        "reliability-validation.png",
    ]
    assert json.loads(paths[0].read_text())["accuracy"] == done.metrics.accuracy


@pytest.mark.parametrize(("views", "number"), [("flip", 2), ("ten-crop", 10)])
def test_views_are_averaged(run, drawn, views, number):
    classifier, info = load_classifier(run)
    shapes = []
    classifier.register_forward_hook(lambda _module, inputs, _output: shapes.append(tuple(inputs[0].shape)))
    options = {"mean": info.mean, "std": info.std, "augmentation": views}
    logits = predict_logits(classifier, drawn.test.faces[:5], **options)
    assert shapes == [(5, 1, 48, 48)] * number
    np.testing.assert_allclose(np.exp(logits).sum(axis=1), 1, atol=1e-5)
    mirrored = predict_logits(classifier, np.ascontiguousarray(drawn.test.faces[:5, :, ::-1]), **options)
    np.testing.assert_allclose(mirrored, logits, atol=2e-3)  # a face and its mirror image are seen alike


def test_unknown_views_are_refused(run, drawn):
    classifier, info = load_classifier(run)
    with pytest.raises(TrainingError, match="expected one of none, flip, ten-crop, found 'five'"):
        predict_logits(classifier, drawn.test.faces, mean=info.mean, std=info.std, augmentation="five")


def test_no_faces_give_no_logits(run):
    classifier, info = load_classifier(run)
    empty = np.zeros((0, 48, 48), np.uint8)
    assert predict_logits(classifier, empty, mean=info.mean, std=info.std).shape == (0, 7)


def test_an_empty_split_is_an_error_that_names_the_others(run, drawn, monkeypatch):
    monkeypatch.setattr(module, "load_faces", lambda *_, **__: replace(drawn, test=drawn.test.take([])))
    with pytest.raises(DataError, match="'test', found none; splits with faces: train, validation"):
        evaluate_checkpoint(run, split="test", device="cpu")


def test_data_that_has_moved_is_asked_for(run, monkeypatch, tmp_path):
    classifier, info = load_classifier(run)
    moved = replace(info, data_source=str(tmp_path / "gone"))
    monkeypatch.setattr(module, "load_classifier", lambda _: (classifier, moved))
    with pytest.raises(
        CheckpointError, match=r"expected its training data at .*gone, found nothing; name it with --data"
    ):
        evaluate_checkpoint(run, device="cpu")


def test_cuda_that_is_not_there_is_an_error(run):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(TrainingError, match="--device cuda: expected a CUDA GPU, found none"):
        evaluate_checkpoint(run, device="cuda")
