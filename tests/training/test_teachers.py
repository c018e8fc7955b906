import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from fer_edge.errors import CheckpointError, TrainingError
from fer_edge.evaluation.metrics import softmax
from fer_edge.training.checkpoint import load_classifier
from fer_edge.training.classifier import FacialExpressionClassifier
from fer_edge.training.distributed import Processes
from fer_edge.training.heads import LABELS_ALONE
from fer_edge.training.inference import predict_logits
from fer_edge.training.losses import Batch, Distillation, HardLabels, HeadLoss, TrainingLoss
from fer_edge.training.preparation import DataRequest
from fer_edge.training.progress import Reporter
from fer_edge.training.run_folder import RunFolder
from fer_edge.training.runs import resume, train
from fer_edge.training.teachers import ask_teachers

QUIET = Reporter(quiet=True)


@pytest.fixture(scope="module")
def teachers(tmp_path_factory, tiny_config):
    """Two finished runs of different seeds."""
    runs = tmp_path_factory.mktemp("teachers")
    for seed in (0, 1):
        train(replace(tiny_config, seed=seed), DataRequest("sample:210"), runs / str(seed), quiet=True)
    return [runs / "0", runs / "1"]


def ask(drawn, config, kept=None, resumes=False, digest=""):
    return ask_teachers(
        drawn.train, config, LABELS_ALONE, Processes(), QUIET, kept=kept, resumes=resumes, digest=digest
    )[0]


def test_targets_are_the_mean_of_the_teachers_at_the_temperature(drawn, tiny_config, teachers):
    config = replace(tiny_config, teacher=",".join(map(str, teachers)), temperature=3.0)
    expected = np.zeros((len(drawn.train), 7))
    for path in teachers:
        classifier, info = load_classifier(path)
        given = {"mean": info.mean, "std": info.std, "augmentation": "flip"}
        expected += softmax(predict_logits(classifier, drawn.train.faces, **given) / 3.0) / 2
    np.testing.assert_allclose(ask(drawn, config).numpy(), expected, atol=1e-6)


def test_without_a_teacher_there_are_no_targets(drawn, tiny_config):
    assert ask(drawn, tiny_config) is None


def test_a_resumed_run_reads_the_answers_instead_of_asking_again(drawn, tiny_config, teachers, tmp_path):
    kept = tmp_path / "soft_targets.npy"
    config = replace(tiny_config, teacher=str(teachers[0]))
    first = ask(drawn, config, kept)
    gone = replace(config, teacher=str(tmp_path / "gone"))
    assert torch.equal(ask(drawn, gone, kept, resumes=True), first)
    with pytest.raises(CheckpointError, match="gone: expected a checkpoint"):
        ask(drawn, gone, kept)  # a new run asks
    kept.write_bytes(b"damaged")
    with pytest.raises(
        CheckpointError, match=r"soft_targets.npy: expected the teachers' answers, found a damaged file"
    ):
        ask(drawn, config, kept, resumes=True)
    np.save(kept, np.zeros((3, 7), np.float32))
    with pytest.raises(CheckpointError, match=r"float32 \(\d+, 7\), found float32 \(3, 7\); delete it"):
        ask(drawn, config, kept, resumes=True)


def test_a_resumed_run_takes_no_other_answers_than_those_it_began_with(tiny_config, teachers, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(teachers[0], runs / "teacher")
    config = replace(tiny_config, teacher=str(runs / "teacher"))
    begun = train(config, DataRequest("sample:210"), runs / "student", quiet=True)
    kept = runs / "student" / "checkpoints" / "soft_targets.npy"
    damaged = bytearray(kept.read_bytes())
    damaged[200] ^= 1
    kept.write_bytes(damaged)
    with pytest.raises(
        CheckpointError, match=r"soft_targets.npy: expected the answers .*, found a damaged file; delete it"
    ):
        resume(runs / "student", quiet=True)
    kept.unlink()  # as it says: the same teacher is asked again
    assert resume(runs / "student", quiet=True).record.teacher_digest == begun.record.teacher_digest
    kept.unlink()
    shutil.rmtree(runs / "teacher")
    shutil.copytree(teachers[1], runs / "teacher")
    with pytest.raises(CheckpointError, match="teacher: expected the answers with which the run began, found others"):
        resume(runs / "student", quiet=True)


def test_a_teacher_of_another_image_size_is_refused(drawn, tiny_config, teachers):
    config = replace(tiny_config, teacher=str(teachers[0]), image_size=32)
    with pytest.raises(TrainingError, match="expected a classifier of 32-pixel faces, found one of 48"):
        ask(drawn, config)


def test_the_loss_weighs_teachers_against_labels():
    classifier = FacialExpressionClassifier(torch.nn.Flatten())
    logits = torch.tensor([[2.0, 0, 0, 0, 0, 0, 0]]).reshape(1, 1, 1, 7)
    labels = torch.tensor([3])
    plain, _ = classifier.training_step(Batch(logits, labels))
    teacher_loss = TrainingLoss((HeadLoss(HardLabels(), distillation=Distillation(0.25, 2.0)),))
    agreeing = (logits.reshape(1, 7) / 2.0).softmax(dim=1)
    loss, _ = classifier.training_step(Batch(logits, labels, soft_targets=agreeing), teacher_loss)
    torch.testing.assert_close(loss, 0.75 * plain)  # nothing to learn from a teacher that says the same
    uniform = torch.full((1, 7), 1 / 7)
    other, _ = classifier.training_step(Batch(logits, labels, soft_targets=uniform), teacher_loss)
    divergence = (uniform * (uniform.log() - agreeing.log())).sum()
    torch.testing.assert_close(other, 0.75 * plain + 0.25 * 4.0 * divergence)


def test_a_taught_run_is_resumed_bit_for_bit(tiny_config, teachers, tmp_path, monkeypatch):
    config = replace(tiny_config, epochs=3, teacher=str(teachers[0]), progression="32:1")
    whole = train(config, DataRequest("sample:210"), tmp_path / "whole", quiet=True)

    class Stopped(Exception):
        pass

    def stop(self, rows):
        write_history(self, rows)
        if len(rows) == 2:
            raise Stopped

    write_history = RunFolder.write_history
    monkeypatch.setattr(RunFolder, "write_history", stop)
    with pytest.raises(Stopped):
        train(config, DataRequest("sample:210"), tmp_path / "part", quiet=True)
    monkeypatch.undo()
    part = resume(tmp_path / "part", quiet=True)
    assert [row["train_loss"] for row in part.history.rows] == [row["train_loss"] for row in whole.history.rows]
    first, second = (load_classifier(run.folder)[0].state_dict() for run in (whole, part))
    assert all(torch.equal(first[name], second[name]) for name in first)
