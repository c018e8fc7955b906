"""A checkpoint to go on from is compared with the run: each wrong part is refused in one line, before any is used."""

import copy
import re
import shutil
from dataclasses import replace

import pytest
import torch

from fer_edge.data.load import load_faces
from fer_edge.errors import CheckpointError
from fer_edge.training.checkpoint import load_classifier, read_checkpoint, save_checkpoint
from fer_edge.training.preparation import DataRequest, build_for_training
from fer_edge.training.resuming import saved_state
from fer_edge.training.run_folder import RunFolder
from fer_edge.training.runs import resume, train
from fer_edge.training.trainer import Trainer

DATA = "sample:70"


@pytest.fixture(scope="module")
def finished(tiny_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "finished"
    train(tiny_config, DataRequest(DATA), folder, quiet=True)
    return folder


@pytest.fixture(scope="module")
def trainer(tiny_config):
    data = load_faces(DATA)
    classifier, record = build_for_training(tiny_config, data)
    return Trainer(classifier, data, record)


@pytest.fixture
def state(finished):
    return read_checkpoint(finished / "checkpoints" / "last.pt")


@pytest.fixture
def copied(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def at(content, path):
    for step in path:
        content = content[step]
    return content


NAN = float("nan")
GONE = object()
WRONG = {
    ("model", "network.0.weight"): [lambda weight: weight * NAN, lambda weight: weight[:1], lambda weight: None],
    ("average",): [None, [], {"weights": {}, "steps": 4}],
    ("average", "weights", "network.0.weight"): [lambda weight: weight / 0],
    ("average", "steps"): [0, "4", 10**30],
    ("optimizer",): [GONE, None, [], {"state": {}}],
    ("optimizer", "state"): [{}, [], {0: None}],
    ("optimizer", "state", 0, "momentum_buffer"): [lambda momentum: momentum * NAN, lambda momentum: momentum[:1]],
    ("optimizer", "param_groups"): [[], None, [[], []]],
    ("optimizer", "param_groups", 0, "lr"): [NAN, -1.0, "0.1", 10**400, 0.5, GONE],
    ("optimizer", "param_groups", 0, "momentum"): [0.5, None],
    ("optimizer", "param_groups", 0, "nesterov"): [False, "yes"],
    ("optimizer", "param_groups", 0, "params"): [[], lambda numbers: numbers[::-1]],
    ("schedule",): [GONE, None, [1]],
    ("schedule", "total_steps"): [10**12, 3, None, GONE],
    ("schedule", "last_epoch"): [0, 10**9, "3"],
    ("schedule", "_last_lr"): [[], [NAN, NAN]],
    ("progress",): [GONE, None, {}],
    ("progress", "epoch"): [10**9, -1, "2", 1],
    ("progress", "position"): [1, -1, None],
    ("progress", "best_epoch"): [0, 99, -1, True],
    ("progress", "stale_epochs"): [77],
    ("progress", "rows"): [[], [{}], lambda rows: rows * 2, lambda rows: rows[::-1]],
    ("progress", "rows", 0, "validation_loss"): [NAN, "1", GONE],
    ("random",): [GONE, None, {}],
    ("random", "torch"): [lambda state: state[:9], lambda state: state.float(), "x"],
    ("random", "numpy"): ["", "{}", "[" * 9000, None],
    ("random", "python"): ["[]", '[3, [1], "x"]', 3],
    ("random_of_others",): [None, [None], {}],
}


@pytest.mark.parametrize(
    ("path", "number"), [(path, number) for path, values in WRONG.items() for number in range(len(values))]
)
def test_a_wrong_part_is_refused_in_one_line_and_changes_nothing(copied, trainer, state, path, number):
    value = WRONG[path][number]
    holder = at(state, path[:-1])
    if value is GONE:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value(holder[path[-1]]) if callable(value) else value
    save_checkpoint(copied / "checkpoints" / "last.pt", state)
    before = copy.deepcopy(trainer.classifier.state_dict())
    with pytest.raises(CheckpointError, match="expected a whole checkpoint, found one that does not fit: ") as caught:
        trainer.restore(saved_state(RunFolder(copied)))
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 600
    assert all(torch.equal(value, before[name]) for name, value in trainer.classifier.state_dict().items())


def test_the_state_of_the_run_itself_is_restored(trainer, state):
    trainer.restore(copy.deepcopy(state))
    assert trainer.progress.epoch == trainer.config.epochs
    now = trainer.state()
    assert now["schedule"] == state["schedule"]
    assert now["optimizer"]["param_groups"] == state["optimizer"]["param_groups"]


def test_options_that_another_version_of_torch_wrote_or_lacked_are_no_reason_to_refuse(trainer, state):
    for group in state["optimizer"]["param_groups"]:
        group["warp"] = 9
        del group["foreach"]
    state["schedule"]["verbose"] = False
    trainer.restore(state)
    assert "warp" not in trainer.optimizer.param_groups[0]
    assert trainer.optimizer.param_groups[0]["foreach"] is None


def test_adam_is_restored_and_its_negative_variances_and_other_steps_are_refused(tiny_config, tmp_path):
    faces = load_faces(DATA)
    config = replace(tiny_config, epochs=1, optimizer="adam", max_lr=1e-3)
    with RunFolder(tmp_path / "run") as run:
        classifier, record = build_for_training(config, faces)
        Trainer(classifier, faces, record, run=run).fit_one_cycle()
        again = Trainer(*build_for_training(config, faces)[:1], faces, record, run=run)
        again.restore(read_checkpoint(run.last))
        for name, value in (("exp_avg_sq", -1.0), ("step", 2.0), ("step", NAN)):
            state = read_checkpoint(run.last)
            state["optimizer"]["state"][0][name].fill_(value)
            with pytest.raises(CheckpointError, match="found one that does not fit: "):
                again.restore(state)


def reversed_labels(state):
    labels = state["record"]["heads"][0]["label_set"]
    labels["names"] = labels["names"][::-1]


def under_no_name(state):
    reversed_labels(state)
    state["record"]["heads"][0]["label_set"]["name"] = "custom"


def shifted_mean(state):
    state["record"]["mean"] += 0.01


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (reversed_labels, "expected the labels of fer2013 in their order, found others"),
        (
            under_no_name,
            "expected outputs for the labels of .*, angry, .* found a checkpoint of others, surprise",
        ),
        (shifted_mean, "expected the mean of the training faces"),
    ],
)
def test_going_on_with_another_record_than_the_runs_is_refused(copied, change, expected):
    for name in ("best.pt", "last.pt"):
        state = read_checkpoint(copied / "checkpoints" / name)
        change(state)
        save_checkpoint(copied / "checkpoints" / name, state)
    with pytest.raises(CheckpointError, match=expected):
        resume(copied, quiet=True)


def test_settings_that_were_changed_in_the_last_checkpoint_are_noticed_by_the_best(copied, state):
    state["record"]["config"]["mixup"] = 0.5
    save_checkpoint(copied / "checkpoints" / "last.pt", state)
    with pytest.raises(CheckpointError, match=r"expected a checkpoint of the same run as .*, found another mixup"):
        saved_state(RunFolder(copied))


def damaged(whole):
    return whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :]


@pytest.mark.parametrize("kind", ["damaged", "empty", "missing", "of another epoch", "of another run"])
def test_a_finished_run_without_the_weights_of_its_best_epoch_says_so(copied, kind):
    best = copied / "checkpoints" / "best.pt"
    whole, content = best.read_bytes(), read_checkpoint(best)
    best.unlink()
    if kind in ("damaged", "empty"):
        best.write_bytes(damaged(whole) if kind == "damaged" else b"")
    elif kind != "missing":
        content["record"]["epoch"] += 7 * (kind == "of another epoch")
        content["record"]["data_fingerprint"] += "0" * (kind == "of another run")
        save_checkpoint(best, content)
    with pytest.raises(CheckpointError, match=rf"{re.escape(str(best))}: .*; put it back, or begin a new run with"):
        saved_state(RunFolder(copied))


def test_a_run_that_was_killed_between_its_two_checkpoints_goes_on(copied):
    """best.pt is then of the epoch after last.pt."""
    state = read_checkpoint(copied / "checkpoints" / "last.pt")
    best = read_checkpoint(copied / "checkpoints" / "best.pt")
    if best["record"]["epoch"] != state["progress"]["epoch"]:
        best["record"]["epoch"] = state["progress"]["epoch"] + 1
        save_checkpoint(copied / "checkpoints" / "best.pt", best)
    assert len(resume(copied, quiet=True).history.rows) == 2
    assert load_classifier(copied)[1].epoch == best["record"]["epoch"]


def test_numbers_too_large_for_anything_end_in_a_line(copied, state):
    state["progress"]["rows"][0]["seconds"] = 10**600
    state["record"]["config"]["seed"] = 10**600
    save_checkpoint(copied / "checkpoints" / "last.pt", state)
    for read in (load_classifier, lambda path: saved_state(RunFolder(copied))):
        with pytest.raises(CheckpointError, match="found one that does not fit"):
            read(copied / "checkpoints" / "last.pt")
