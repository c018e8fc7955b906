import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from fer_edge.errors import CheckpointError
from fer_edge.labels import FER2013, LabelSet
from fer_edge.training.checkpoint import load_classifier, read_checkpoint, save_checkpoint
from fer_edge.training.heads import Head
from fer_edge.training.preparation import build_for_training
from fer_edge.training.random_states import random_states, restore_random_states
from fer_edge.training.run_folder import RunFolder
from fer_edge.training.trainer import Trainer


@pytest.fixture(scope="module")
def finished(drawn, tiny_config, tmp_path_factory):
    """A finished run's folder."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    classifier, record = build_for_training(replace(tiny_config, epochs=1), drawn)
    with RunFolder(folder) as run:
        Trainer(classifier, drawn, record, run=run).fit_one_cycle()
    return folder


class Malicious:
    def __reduce__(self):
        return (print, ("code ran",))


def test_a_run_folder_and_its_file_load_alike_and_know_where_they_come_from(finished, drawn):
    classifier, info = load_classifier(finished)
    again, _ = load_classifier(finished / "checkpoints" / "best.pt")
    assert not classifier.training
    face = torch.randn(2, 1, 48, 48)
    assert torch.equal(classifier(face), again(face))
    assert info.architecture == "tiny"
    assert info.image_size == 48
    assert info.data_fingerprint == drawn.fingerprint()
    assert (info.mean, info.std) == drawn.train.mean_and_std()
    assert info.epoch == 1
    assert set(info.metrics) == {"loss", "accuracy"}
    assert info.versions["torch"]


def test_a_checkpoint_holds_everything_that_changes(finished):
    content = read_checkpoint(finished / "checkpoints" / "last.pt")
    assert {"record", "model", "average", "optimizer", "schedule", "progress", "random"} <= content.keys()
    assert content["random"].keys() == {"torch", "cuda", "numpy", "python"}
    assert {"epoch", "position"} <= content["progress"].keys()


def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(tmp_path, capsys):
    torch.save({"format": "fer_edge checkpoint", "version": 1, "model": Malicious()}, tmp_path / "bad.pt")
    with pytest.raises(
        CheckpointError, match=r"bad.pt: expected a checkpoint, found a damaged file or one that would run code"
    ):
        load_classifier(tmp_path / "bad.pt")
    assert "code ran" not in capsys.readouterr().out


def test_another_torch_file_is_refused(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="found another torch file"):
        load_classifier(tmp_path / "other.pt")


def test_a_newer_version_is_refused_by_number(tmp_path):
    torch.save({"format": "fer_edge checkpoint", "version": 99}, tmp_path / "newer.pt")
    with pytest.raises(CheckpointError, match="expected checkpoint version 1, found 99"):
        load_classifier(tmp_path / "newer.pt")


@pytest.mark.parametrize("what", ["nothing", "empty", "half", "text"])
def test_a_missing_or_damaged_file_is_refused_by_name(finished, tmp_path, what):
    path = tmp_path / "broken.pt"
    whole = (finished / "checkpoints" / "best.pt").read_bytes()
    if what != "nothing":
        path.write_bytes({"empty": b"", "half": whole[: len(whole) // 2], "text": b"hello\n" * 100}[what])
    with pytest.raises(CheckpointError, match=r"broken.pt: expected a checkpoint.*, found"):
        load_classifier(path)


def test_damage_anywhere_in_the_weights_is_noticed(finished, tmp_path):
    whole = bytearray((finished / "checkpoints" / "best.pt").read_bytes())
    generator = np.random.default_rng(0)
    original, _ = load_classifier(finished)
    noticed = 0
    for place in generator.integers(0, len(whole), 40).tolist():
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(generator.integers(8))
        (tmp_path / "flipped.pt").write_bytes(damaged)
        try:
            loaded, _ = load_classifier(tmp_path / "flipped.pt")
        except CheckpointError:
            noticed += 1
        else:  # padding between the entries of the zip: nothing that is read changed
            state = loaded.state_dict()
            assert all(torch.equal(value, state[name]) for name, value in original.state_dict().items())
    assert noticed > 20


def test_no_bit_of_the_archives_directory_changes_the_weights(finished, tmp_path):
    """torch's reader takes some of these bits otherwise than Python's, e.g. an entry's attributes."""
    whole = (finished / "checkpoints" / "best.pt").read_bytes()
    directory = whole.index(b"PK\x01\x02")
    original, _ = load_classifier(finished)
    state = original.state_dict()
    refused = 0
    entry = whole.index(b"PK\x01\x02", whole.index(b"data/3", directory) - 60)
    for place in range(entry, entry + 46):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            (tmp_path / "flipped.pt").write_bytes(damaged)
            try:
                loaded = load_classifier(tmp_path / "flipped.pt")[0].state_dict()
            except CheckpointError:
                refused += 1
            else:
                assert all(torch.equal(value, state[name]) for name, value in loaded.items()), (place - entry, bit)
    assert refused > 40


def test_a_checkpoint_from_before_there_were_heads_loads_with_the_labels_it_names(finished, tmp_path):
    content = read_checkpoint(finished / "checkpoints" / "best.pt")
    del content["record"]["heads"]
    for setting in ("heads", "second_head_weight"):
        del content["record"]["config"][setting]
    for names in (FER2013.names, tuple(reversed(FER2013.names))):
        content["record"]["labels"] = list(names)
        torch.save(content, tmp_path / "before.pt")
        _, info = load_classifier(tmp_path / "before.pt")
        assert info.heads == (Head("labels", LabelSet(names)),)
        assert info.labels == names
        assert info.config.heads == "labels"
    content["record"]["labels"] = ["one", "two"]
    torch.save(content, tmp_path / "fewer.pt")
    with pytest.raises(CheckpointError, match="expected a whole checkpoint, found one that does not fit"):
        load_classifier(tmp_path / "fewer.pt")


@pytest.mark.parametrize("names", ["labels", {"names": ["a"]}, [{"name": "labels"}], [{"label_set": 3}], []])
def test_heads_that_are_none_are_refused_in_one_line(finished, tmp_path, names):
    content = read_checkpoint(finished / "checkpoints" / "best.pt")
    content["record"]["heads"] = names
    torch.save(content, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match="found one that does not fit") as caught:
        load_classifier(tmp_path / "bad.pt")
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_their_architecture_are_refused_in_one_line(finished, tmp_path):
    content = read_checkpoint(finished / "checkpoints" / "best.pt")
    content["record"]["config"]["architecture"] = "resnet18"
    torch.save(content, tmp_path / "mixed.pt")
    with pytest.raises(CheckpointError, match="found one that does not fit") as caught:
        load_classifier(tmp_path / "mixed.pt")
    assert "\n" not in str(caught.value)


NAN = float("nan")
WRONG = {
    ("record",): [None, [], {}],
    ("record", "mean"): [NAN, 1e9, None, "0.5"],
    ("record", "std"): [0, -1.0, NAN, 1e-300, 1e300],
    ("record", "data_source"): [3, None, ["/data"]],
    ("record", "data_labels"): ["a", 7],
    ("record", "training_fingerprints"): [{"pond": "a"}, {"order": 1}],
    ("record", "epoch"): [-1, "1", True, 10**600],
    ("record", "metrics"): [{"accuracy": NAN}, [0.5]],
    ("record", "colour"): [1],
    ("record", "config"): [None, {}, {"image_size": 48}],
    ("record", "config", "image_size"): [10**9, 0, -48, 48.5, "48", "\ud800", True],
    ("record", "config", "epochs"): [10**15, None],
    ("record", "config", "augment"): [None, {"crop": "4"}],
    ("record", "config", "architecture"): ["../tiny", 3, ["tiny"]],
    ("record", "config", "heads"): ["votes", "labels,votes"],
    ("record", "heads", 0, "name"): ["votes", 1],
    ("record", "heads", 0, "label_set", "names"): [
        FER2013.names[::-1],
        list(FER2013.names[::-1]),
        [FER2013.names[0]] * 7,
        list(FER2013.names[:6]),
        list(range(7)),
        "abcdefg",
    ],
    ("record", "heads", 0, "label_set", "aliases"): [None, {"a": 1}],
    ("model",): [None, [], {}],
    ("model", "network.0.weight"): [
        lambda weight: weight * NAN,
        lambda weight: weight.int(),
        lambda weight: weight[:1],
        lambda weight: torch.zeros(()).expand(weight.shape),
        lambda weight: weight.tolist(),
    ],
    ("model", "network.1.running_var"): [lambda variances: -variances],
    ("model", 7): [torch.zeros(2)],
    ("version",): [True, [1]],
}


@pytest.mark.parametrize(
    ("path", "number"), [(path, number) for path, values in WRONG.items() for number in range(len(values))]
)
def test_a_wrong_part_is_refused_in_one_line(finished, tmp_path, path, number):
    content, value = read_checkpoint(finished / "checkpoints" / "best.pt"), WRONG[path][number]
    holder = content
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value(holder[path[-1]]) if callable(value) else value
    torch.save(content, tmp_path / "bad.pt")
    with pytest.raises(
        CheckpointError, match=r"bad.pt: expected (a whole checkpoint, found one that does|checkpoint v)"
    ) as caught:
        load_classifier(tmp_path / "bad.pt")
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("part", ["record", "model", "average", "optimizer", "schedule", "progress", "random"])
def test_a_checkpoint_to_go_on_from_that_lacks_a_part_is_refused(finished, tmp_path, part):
    content = read_checkpoint(finished / "checkpoints" / "last.pt")
    del content[part]
    save_checkpoint(tmp_path / "bad.pt", content)
    with pytest.raises(CheckpointError, match=f"found one that does not fit: expected '{part}', found none"):
        load_classifier(tmp_path / "bad.pt")


def test_a_checkpoint_that_holds_itself_or_no_end_of_values_is_refused(finished, tmp_path):
    content = read_checkpoint(finished / "checkpoints" / "best.pt")
    itself: dict = {}
    itself["itself"] = itself
    doubled: list = []
    for _ in range(60):
        doubled = [doubled, doubled]
    for value in (itself, doubled):
        for place in ("metrics", "machine", "heads", "config"):
            changed = {**content, "record": {**content["record"], place: value}}
            torch.save(changed, tmp_path / "bad.pt")
            with pytest.raises(CheckpointError, match="found one that does not fit"):
                load_classifier(tmp_path / "bad.pt")


def test_a_folder_without_a_checkpoint_says_how_to_get_one(tmp_path):
    with pytest.raises(CheckpointError, match=r"found none; train first: fer-edge train"):
        load_classifier(tmp_path)


def test_every_random_generator_goes_back_to_where_it_was(tmp_path):
    def draw():
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()  # noqa: NPY002  # libraries draw here

    save_checkpoint(tmp_path / "random.pt", {"random": random_states()})
    first = draw()
    assert draw() != first
    restore_random_states(read_checkpoint(tmp_path / "random.pt")["random"])
    assert draw() == first
