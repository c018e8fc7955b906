from dataclasses import replace

import pytest
import torch
from torch import nn

from fer_edge.data.load import load_faces
from fer_edge.errors import DataError, TrainingError
from fer_edge.training.batches import validation_batches
from fer_edge.training.checkpoint import load_classifier, read_checkpoint
from fer_edge.training.classifier import Batch, FacialExpressionClassifier
from fer_edge.training.config import AugmentConfig
from fer_edge.training.distributed import Processes
from fer_edge.training.preparation import build_for_training
from fer_edge.training.run_folder import RunFolder
from fer_edge.training.trainer import Trainer

STILL = AugmentConfig().scaled(0)


def trainer_of(config, data, **options):
    return Trainer(*build_for_training(config, data)[:1], data, build_for_training(config, data)[1], **options)


def weights_of(trainer):
    return {name: value.clone() for name, value in trainer.classifier.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_one_batch_can_be_learned_by_heart(drawn, still_config):
    few = replace(drawn, train=drawn.train.take(range(28)), validation=drawn.train.take(range(28)))
    config = replace(still_config, epochs=120, batch_size=28, max_lr=0.1, weight_decay=0.0)
    history = trainer_of(config, few).fit_one_cycle()
    assert history.rows[-1]["train_loss"] < 0.05
    assert history.best_accuracy == 1.0


def test_a_short_run_separates_the_expressions_of_held_out_drawings(tiny_config):
    config = replace(tiny_config, epochs=10, max_lr=0.2, augment=AugmentConfig().scaled(0.25), batch_size=32)
    history = trainer_of(config, load_faces("sample:1000")).fit_one_cycle()
    assert history.best_accuracy > 0.5  # chance is 0.14


def test_the_same_seed_gives_the_same_run_and_another_seed_another(drawn, tiny_config):
    runs = []
    for seed in (0, 0, 1):
        trainer = trainer_of(replace(tiny_config, seed=seed), drawn)
        rows = trainer.fit_one_cycle().rows
        runs.append((weights_of(trainer), [row["validation_loss"] for row in rows]))
    assert same(runs[0][0], runs[1][0])
    assert runs[0][1] == runs[1][1]
    assert not same(runs[0][0], runs[2][0])


def test_every_optimizer_and_option_takes_finite_steps(drawn, tiny_config):
    for changes in (
        {"optimizer": "adam", "max_lr": 1e-3},
        {"optimizer": "adamw", "max_lr": 1e-3, "clip_value": 0.1, "clip_norm": 0.0},
        {"mixup": 0.2, "class_weights": True},
        {"precision": "bf16", "channels_last": False},
    ):
        history = trainer_of(replace(tiny_config, epochs=1, **changes), drawn).fit_one_cycle()
        assert 0 < history.rows[0]["train_loss"] < 3


def test_gradients_are_clipped_by_norm_and_by_value(drawn, still_config):
    for setting, measure in (
        ("clip_norm", lambda grads: torch.linalg.vector_norm(torch.cat([g.flatten() for g in grads]))),
        ("clip_value", lambda grads: max(g.abs().max() for g in grads)),
    ):
        trainer = trainer_of(replace(still_config, clip_norm=0.0), drawn)
        loss, _ = trainer.classifier.training_step(trainer.batches.batch(0, 0))
        loss.backward()
        trainer.config = replace(trainer.config, **{setting: 1e-3})
        trainer._clip_gradients()
        gradients = [p.grad for p in trainer.classifier.parameters()]
        assert float(measure(gradients)) == pytest.approx(1e-3, rel=1e-3)


def test_validation_counts_each_face_once_whatever_the_batches(drawn, tiny_config):
    trainer = trainer_of(tiny_config, drawn)
    whole = trainer.validate()
    placement = {"mean": trainer.record.mean, "std": trainer.record.std, "device": torch.device("cpu")}
    trainer.validation = validation_batches(drawn.validation, processes=Processes(), batch_size=5, **placement)
    parts = trainer.validate()
    assert parts.accuracy == whole.accuracy
    assert parts.loss == pytest.approx(whole.loss, rel=1e-5)


def test_patience_ends_a_run_that_does_not_get_better(drawn, tiny_config):
    history = trainer_of(replace(tiny_config, epochs=30, patience=2, max_lr=1e-9, ema_decay=0.0), drawn).fit_one_cycle()
    assert history.stopped_early
    assert len(history.rows) == history.best_epoch + 2


def test_a_batch_in_parts_takes_the_step_of_the_whole_batch(drawn, still_config):
    """A network without batch norm: its gradients add up to those of the whole batch."""
    gradients, rows = [], []
    for micro_batch in (0, 7):
        config = replace(still_config, batch_size=28, micro_batch=micro_batch, epochs=1, class_weights=False)
        _, record = build_for_training(config, drawn)
        torch.manual_seed(0)
        network = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(36, 7))
        trainer = Trainer(FacialExpressionClassifier(network), drawn, record)
        trainer.optimizer.zero_grad()
        loss, sums = trainer._backward(trainer.batches.batches(0, 0))
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])
        assert float(sums[2]) == 28
        assert float(loss) == pytest.approx(float(sums[0]) / 28, rel=1e-5)
        rows += trainer.fit_one_cycle().rows
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-7)
    for name in ("train_loss", "validation_loss"):
        assert rows[1][name] == pytest.approx(rows[0][name], rel=1e-5)


def test_generators_of_processes_of_another_number_are_seeded_anew_by_step_and_rank(drawn, tiny_config):
    trainer = trainer_of(replace(tiny_config, epochs=1), drawn)
    trainer.fit_one_cycle()
    state = trainer.state()
    drawn_by = {}
    for count, rank in ((1, 0), (3, 0), (3, 1)):
        resumed = trainer_of(replace(tiny_config, epochs=1), drawn)
        resumed.processes = Processes(rank, count)
        resumed.restore(state)
        drawn_by[count, rank] = float(torch.rand(()))
    torch.set_rng_state(state["random"]["torch"])
    assert drawn_by[1, 0] == float(torch.rand(()))  # as many as before: where it was
    assert len({*drawn_by.values()}) == 3


class _Poisoned(FacialExpressionClassifier):
    """Gives a loss that is not a number, or only a gradient that is not, from a given step on."""

    def __init__(self, network, first_bad_step, what):
        super().__init__(network)
        self.first_bad_step, self.what, self.steps = first_bad_step, what, 0

    def training_step(self, batch: Batch, *loss):
        loss, sums = super().training_step(batch, *loss)
        self.steps += 1
        if self.steps > self.first_bad_step:
            weight = next(self.parameters())
            # sqrt has an infinite slope at zero: the loss is finite, its gradient is not
            loss = loss * float("nan") if self.what == "loss" else loss + (weight * 0).abs().sqrt().sum()
        return loss, sums


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_number_that_is_not_finite_stops_before_the_step_and_keeps_the_last_checkpoint(
    drawn, tiny_config, tmp_path, what
):
    config = replace(tiny_config, save_interval=0.0)
    classifier, record = build_for_training(config, drawn)
    classifier.__class__ = type("Poisoned", (_Poisoned,), {"__init__": lambda self: None})
    classifier.first_bad_step, classifier.what, classifier.steps = 3, what, 0
    with RunFolder(tmp_path / "run") as run:
        with pytest.raises(
            TrainingError, match=r"epoch 1, step 4: expected a finite loss and gradient, found .*last.pt"
        ):
            Trainer(classifier, drawn, record, run=run).fit_one_cycle()
        kept = read_checkpoint(run.last)
    assert kept["progress"]["position"] == 3
    assert all(torch.isfinite(value).all() for value in kept["model"].values())
    assert all(torch.equal(value, kept["model"][name]) for name, value in classifier.named_parameters())


def test_best_keeps_the_best_epochs_averaged_weights(drawn, tiny_config, tmp_path):
    config = replace(tiny_config, epochs=5, max_lr=0.1)
    classifier, record = build_for_training(config, drawn)
    with RunFolder(tmp_path / "run") as run:
        history = Trainer(classifier, drawn, record, run=run).fit_one_cycle()
    loaded, info = load_classifier(tmp_path / "run")
    assert info.epoch == history.best_epoch
    assert info.metrics["accuracy"] == history.best_accuracy
    trainer = Trainer(loaded, drawn, replace(record, config=replace(config, ema_decay=0.0)))
    assert trainer.validate().accuracy == history.best_accuracy


@pytest.mark.parametrize("architecture", ["tiny", "mobilenet_v3_small"])  # the second one draws dropout
@pytest.mark.parametrize("stop_after", [1, 4, 5])
def test_going_on_after_any_step_gives_the_weights_of_a_run_that_never_stopped(
    drawn, tiny_config, tmp_path, architecture, stop_after
):
    config = replace(tiny_config, architecture=architecture, mixup=0.2, patience=5, save_interval=0.0)
    straight = trainer_of(config, drawn)
    straight.fit_one_cycle()

    class StopHereError(Exception):
        pass

    with RunFolder(tmp_path / "run") as run:
        broken = trainer_of(config, drawn, run=run)
        save, saves = broken.save, []

        def save_then_stop():
            save()
            saves.append(1)
            if len(saves) == stop_after:
                raise StopHereError

        broken.save = save_then_stop
        with pytest.raises(StopHereError):
            broken.fit_one_cycle()
        torch.rand(100)  # what happens between must not matter
        resumed = trainer_of(config, drawn, run=run)
        resumed.restore(read_checkpoint(run.last))
        resumed.fit_one_cycle()
    assert same(weights_of(straight), weights_of(resumed))
    assert same(straight.average.module.state_dict(), resumed.average.module.state_dict())
    timed = {"images_per_second", "seconds"}
    rows = [[{k: v for k, v in row.items() if k not in timed} for row in c.progress.rows] for c in (straight, resumed)]
    assert rows[0] == rows[1]


def test_a_batch_that_processes_cannot_share_is_refused(drawn, tiny_config):
    with pytest.raises(TrainingError, match="--batch-size: expected a number that 3 processes share equally, found 32"):
        trainer_of(tiny_config, drawn, processes=Processes(0, 3))


def test_an_empty_validation_split_is_refused(drawn, tiny_config):
    with pytest.raises(DataError, match="validation"):
        trainer_of(tiny_config, replace(drawn, validation=drawn.validation.take([])))
