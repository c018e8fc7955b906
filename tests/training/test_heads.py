import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fer_edge.data.faces import NO_LABEL
from fer_edge.data.votes import COLUMNS, majority
from fer_edge.errors import TrainingError
from fer_edge.labels import FER2013, FERPLUS, LabelSet, label_set_of
from fer_edge.training.architectures import architecture_names, build_classifier
from fer_edge.training.checkpoint import load_classifier, read_checkpoint
from fer_edge.training.classifier import Batch
from fer_edge.training.heads import Head, heads_of, output_layers, shared_outputs
from fer_edge.training.inference import predict_head_logits, predict_logits
from fer_edge.training.losses import training_loss
from fer_edge.training.preparation import build_for_training
from fer_edge.training.run_folder import RunFolder
from fer_edge.training.teachers import ask_teachers
from fer_edge.training.trainer import Trainer


def with_votes(faces):
    """Seven of ten votes for the emotion that is called like the label, three for neutral; every ninth says no face."""
    votes = np.zeros((len(faces), len(COLUMNS)), np.float32)
    emotions = [FERPLUS.index(FERPLUS.resolve(FER2013.names[label])) for label in faces.labels]
    votes[np.arange(len(faces)), emotions] = 7
    votes[:, FERPLUS.index("neutral")] += 3
    votes[::9] = 0
    votes[::9, -1] = 10
    return replace(faces, votes=votes)


@pytest.fixture(scope="module")
def voted(drawn):
    return replace(drawn, train=with_votes(drawn.train), validation=with_votes(drawn.validation))


@pytest.mark.parametrize("heads", ["votes", "labels,votes", "votes,labels"])
@pytest.mark.parametrize("mixup", [0.0, 0.3])
def test_heads_learn_and_the_main_one_is_what_the_checkpoint_answers(voted, tiny_config, tmp_path, heads, mixup):
    config = replace(tiny_config, heads=heads, mixup=mixup, epochs=8, max_lr=0.2, ema_decay=0.0)
    classifier, record = build_for_training(config, voted)
    with RunFolder(tmp_path / "run") as run:
        history = Trainer(classifier, voted, record, run=run).fit_one_cycle()
    loaded, info = load_classifier(tmp_path / "run")
    assert info.label_set == (FERPLUS if heads.startswith("votes") else FER2013)
    assert loaded(torch.zeros(3, 1, 48, 48)).shape == (3, len(info.labels))
    best = history.rows[history.best_epoch - 1]
    main = heads.split(",")[0]
    assert best["validation_accuracy"] == best[f"validation_{main}_accuracy"]
    assert {name for name in best if name.count("_") == 2} >= {
        f"validation_{head}_accuracy" for head in heads.split(",")
    }
    given = {"mean": info.mean, "std": info.std}
    answers = predict_head_logits(loaded, info.heads, voted.validation.faces, **given)
    most = majority(voted.validation.votes)
    right = answers["votes"].argmax(axis=1) == most
    assert best["validation_votes_accuracy"] == pytest.approx(right[most >= 0].mean())
    np.testing.assert_array_equal(predict_logits(loaded, voted.validation.faces, **given), answers[main])
    assert history.rows[-1]["train_loss"] < history.rows[0]["train_loss"]


def test_labels_alone_have_the_history_they_had(drawn, tiny_config):
    classifier, record = build_for_training(replace(tiny_config, epochs=1), drawn)
    (row,) = Trainer(classifier, drawn, record).fit_one_cycle().rows
    figures = "epoch steps train_loss train_accuracy validation_loss validation_accuracy lr images_per_second seconds"
    assert list(row) == figures.split()


def test_one_configuration_still_ends_with_the_weights_it_had_before_there_were_heads(monkeypatch):
    folder = Path(__file__).parents[2] / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    from training_digests import digest_of, machine_facts

    kept = json.loads((folder / "results" / "training_digests.json").read_text())
    if kept["machine"] != machine_facts():
        pytest.skip("the digests are of another processor or torch")
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        assert digest_of("tiny", Path(scratch)) == kept["digests"]["tiny"]


@pytest.mark.parametrize("heads", ["labels,votes", "votes,labels"])
def test_a_run_with_heads_resumes_bit_for_bit(voted, tiny_config, tmp_path, heads):
    config = replace(tiny_config, heads=heads, mixup=0.2, save_interval=0.0)
    config = replace(config, augment=replace(config.augment, equalise=0.5, gamma=0.5, jpeg=0.5, resolution=0.5))

    def trainer(**options):
        classifier, record = build_for_training(config, voted)
        return Trainer(classifier, voted, record, **options)

    class StopHereError(Exception):
        pass

    straight = trainer()
    straight.fit_one_cycle()
    with RunFolder(tmp_path / "run") as run:
        broken = trainer(run=run)
        save = broken.save

        def save_then_stop():
            save()
            if broken.progress.position == 2:
                raise StopHereError

        broken.save = save_then_stop
        with pytest.raises(StopHereError):
            broken.fit_one_cycle()
        resumed = trainer(run=run)
        resumed.restore(read_checkpoint(run.last))
        resumed.fit_one_cycle()
    first, second = straight.classifier.state_dict(), resumed.classifier.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_looking_every_few_steps_counts_the_same_as_looking_at_each(voted, tiny_config, tmp_path):
    rows = []
    for interval in (1, 3):
        classifier, record = build_for_training(tiny_config, voted)
        trainer = Trainer(classifier, voted, record)
        trainer.steps_between_looks = interval
        figures = ("train_loss", "train_accuracy", "validation_loss")
        rows.append([[row[name] for name in figures] for row in trainer.fit_one_cycle().rows])
    assert rows[0] == rows[1]
    classifier, record = build_for_training(tiny_config, voted)
    with RunFolder(tmp_path / "run") as run:
        trainer = Trainer(classifier, voted, record, run=run)
        trainer.save()
        trainer.steps_between_looks = 3
        step = trainer.training_step.forward

        def poisoned(batch):
            loss, sums = step(batch)
            return (loss * float("nan") if trainer.progress.position == 1 else loss), sums

        trainer.training_step.forward = poisoned
        with pytest.raises(TrainingError, match=r"epoch 1, step 2: expected a finite loss .* holds step 0 of epoch 1"):
            trainer.fit_one_cycle()
        kept = read_checkpoint(run.last)
    assert all(torch.isfinite(value).all() for value in kept["model"].values())


@pytest.mark.parametrize("name", architecture_names())
def test_every_architecture_takes_heads_and_can_be_cut_down_to_the_main_one(name):
    torch.manual_seed(0)
    classifier = build_classifier(name, head_sizes=(5, 8))
    heads = (Head("labels", LabelSet(tuple("abcde"))), Head("votes", FERPLUS))
    faces, votes = torch.randn(4, 1, 48, 48), torch.full((4, 8), 1 / 8)
    loss = training_loss(replace_heads("labels,votes"), heads, torch.tensor([0, 1, 2, 4]))
    mean, sums = classifier.train().training_step(Batch(faces, torch.tensor([0, 1, 2, 4]), votes=votes), loss)
    mean.backward()
    assert all(p.grad is not None for p in classifier.parameters())
    assert int(sums.num_faces) == 4
    with torch.no_grad():
        classifier.eval()
        before, both = classifier(faces), classifier.all_logits(faces)
        assert (before.shape, both.shape) == ((4, 5), (4, 13))
        classifier.keep_main_head()
        torch.testing.assert_close(classifier(faces), before)
        assert classifier.all_logits(faces).shape == (4, 5)


def replace_heads(heads):
    from fer_edge.training.config import TrainConfig

    return TrainConfig(heads=heads)


def test_teachers_answer_for_the_heads_that_are_asked_for_in_their_order(voted, tiny_config, tmp_path):
    from fer_edge.training.distributed import Processes
    from fer_edge.training.progress import Reporter

    classifier, record = build_for_training(replace(tiny_config, heads="labels,votes"), voted)
    with RunFolder(tmp_path / "both") as run:
        Trainer(classifier, voted, record, run=run).fit_one_cycle()
    classifier, record = build_for_training(tiny_config, voted)
    with RunFolder(tmp_path / "labels") as run:
        Trainer(classifier, voted, record, run=run).fit_one_cycle()

    def ask(heads, teacher):
        config = replace(tiny_config, heads=heads, teacher=str(tmp_path / teacher))
        asked = heads_of(heads, FER2013)
        options = {"kept": None, "resumes": False}
        return ask_teachers(voted.train, config, asked, Processes(), Reporter(quiet=True), **options)[0]

    both, turned = ask("labels,votes", "both"), ask("votes,labels", "both")
    torch.testing.assert_close(both.sum(dim=1), torch.full((len(voted.train),), 2.0))
    assert torch.equal(torch.cat([both[:, 7:], both[:, :7]], dim=1), turned)
    assert torch.equal(ask("labels", "both"), both[:, :7])
    with pytest.raises(TrainingError, match=r"with the head votes \(8 classes\), found labels \(7 classes\)"):
        ask("labels,votes", "labels")


def test_other_heads_go_on_with_the_outputs_of_shared_classes_and_say_so(voted, tiny_config, tmp_path):
    classifier, record = build_for_training(replace(tiny_config, heads="labels,votes"), voted)
    with RunFolder(tmp_path / "run") as run:
        Trainer(classifier, voted, record, run=run).fit_one_cycle()
    trained = load_classifier(tmp_path / "run")[0].state_dict()
    config = replace(tiny_config, weights=str(tmp_path / "run"))
    five = LabelSet(("um", "dois", "três", "四", "cinq"))
    some = voted.train.take(voted.train.labels < 5)
    other = replace(voted, train=some, validation=some, labels=five)
    for data, heads, size in ((voted, "labels,votes", 15), (voted, "votes", 8), (other, "labels", 5)):
        begun, record = build_for_training(replace(config, heads=heads), data)
        state = begun.state_dict()
        last = [f"{layer}.{kind}" for layer in output_layers(begun, size) for kind in ("weight", "bias")]
        kept = [name for name in state if name not in last or heads == "labels,votes"]
        assert all(torch.equal(state[name], trained[name]) for name in kept)
        assert all(state[name].shape[0] == size for name in last)
        assert ("the last layer begins anew" in record.starting_weights) == (data is other)
        if heads == "votes":
            assert all(torch.equal(state[name], trained[name][7:]) for name in last)
            assert "the outputs of all its classes are kept: votes (8 classes)" in record.starting_weights
    assert "labels (5 classes) in place of labels (7 classes) and votes (8 classes)" in record.starting_weights
    assert record.label_set == five


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (("happy", "angry", "bored"), (3, 0, None)),
        (("Happiness", "Anger", "bored"), (3, 0, None)),  # aliases of the earlier classes
        (FER2013.names[::-1], (6, 5, 4, 3, 2, 1, 0)),
        (FERPLUS.names, (4, 3, 6, 5, 0, 1, 2, None)),
        (("um", "dois"), (None, None)),
    ],
)
def test_a_class_goes_on_from_the_one_of_its_name_or_alias(names, places):
    both = (Head("labels", FER2013), Head("votes", FERPLUS))
    assert shared_outputs(both, (Head("labels", label_set_of(names)),)) == places


def test_a_head_that_was_not_there_goes_on_from_the_main_one():
    assert shared_outputs((Head("labels", FERPLUS),), (Head("votes", FERPLUS),)) == tuple(range(8))
    own = label_set_of(("anger", "bored"))  # FER2013 knows anger as another name, this label set does not know angry
    assert shared_outputs((Head("labels", own),), (Head("labels", FER2013),)) == (0, *[None] * 6)
    assert shared_outputs((Head("labels", FER2013),), (Head("votes", FERPLUS), Head("labels", own)))[8:] == (0, None)


def test_faces_without_what_a_head_learns_from_are_refused(drawn, voted, tiny_config):
    with pytest.raises(TrainingError, match="--heads: expected faces with FER\\+ votes, found faces without"):
        build_for_training(replace(tiny_config, heads="labels,votes"), drawn)
    unlabelled = replace(voted.train, labels=np.full(len(voted.train), NO_LABEL))
    with pytest.raises(TrainingError, match="--heads: expected train faces with labels, found faces with votes alone"):
        build_for_training(tiny_config, replace(voted, train=unlabelled))
    build_for_training(replace(tiny_config, heads="votes"), replace(voted, train=unlabelled))
    with pytest.raises(TrainingError, match="setting 'heads': expected one of labels; votes; labels,votes"):
        replace(tiny_config, heads="votes,votes")


def test_some_faces_without_a_label_still_train(voted, tiny_config):
    labels = voted.train.labels.copy()
    labels[::2] = NO_LABEL
    data = replace(voted, train=replace(voted.train, labels=labels))
    classifier, record = build_for_training(replace(tiny_config, heads="labels,votes", class_weights=True), data)
    rows = Trainer(classifier, data, record).fit_one_cycle().rows
    assert all(np.isfinite(row["train_loss"]) for row in rows)
