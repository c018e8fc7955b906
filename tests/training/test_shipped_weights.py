"""Fine-tuning from the models that come with the package, by their names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fer_edge.data.load import load_faces
from fer_edge.data.sample import write_sample
from fer_edge.errors import CheckpointError, TrainingError
from fer_edge.labels import LabelSet
from fer_edge.runtime.shipped import shipped_by_name
from fer_edge.training.checkpoint import checkpoint_path, load_classifier
from fer_edge.training.config import TrainConfig
from fer_edge.training.preparation import build_for_training
from fer_edge.training.presets import refuse_missing_presets
from fer_edge.training.weights import settings_behind, starting_weights

TINY = TrainConfig(weights="fer-tiny", architecture="resnet10_half", device="cpu")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["fer-tiny", "fer-tiny.pt"])
def test_a_name_means_the_shipped_checkpoint_in_any_folder(name):
    path = shipped_by_name()["fer-tiny"].checkpoint
    assert checkpoint_path(name) == path
    assert load_classifier(name)[1].path == path
    assert settings_behind(name) == {"architecture": "resnet10_half", "image_size": 48}


def test_the_settings_of_the_network_come_with_the_weights():
    assert settings_behind("fer-resnet18") == {"architecture": "resnet18", "stem": "no_pool", "image_size": 48}
    assert settings_behind("imagenet") == settings_behind("auto") == settings_behind("none") == {}


def test_a_run_folder_of_that_name_comes_before_it(tmp_path):
    Path("fer-tiny").mkdir()
    with pytest.raises(CheckpointError, match=r"fer-tiny: expected a run folder with checkpoints/best.pt, found none"):
        checkpoint_path("fer-tiny")


def test_a_name_that_is_none_lists_those_there_are():
    with pytest.raises(TrainingError, match=r"found no file 'fer-tinny'; take a shipped one \(fer-resnet18, fer-tiny"):
        starting_weights("fer-tinny", None)
    refuse_missing_presets(TINY)
    with pytest.raises(TrainingError, match="expected the run runs/fer-tiny, found none"):
        refuse_missing_presets(replace(TINY, weights="runs/fer-tiny"))


def test_own_classes_keep_the_outputs_that_they_share():
    data = load_faces("sample:70")
    keep = np.isin(data.train.labels, (0, 3, 6))
    faces = data.train.take(keep)
    own = LabelSet(("happy", "angry", "bored"))
    renamed = replace(faces, labels=np.select([faces.labels == 3, faces.labels == 0], [0, 1], 2))
    classifier, record = build_for_training(TINY, replace(data, train=renamed, validation=renamed, labels=own))
    trained = load_classifier("fer-tiny")[0].state_dict()
    state = classifier.state_dict()
    for kind in ("weight", "bias"):
        assert torch.equal(state[f"network.fc.{kind}"][:2], trained[f"network.fc.{kind}"][[3, 0]])
    assert record.starting_weights == (
        "from the shipped fer-tiny (resnet10_half); the outputs of happy, angry are kept, those of bored begin anew"
    )


def test_train_takes_the_name_and_trains_its_network(tmp_path):
    from typer.testing import CliRunner

    from fer_edge.cli import app

    write_sample(tmp_path / "mine", 70, seed=3)
    options = ["--epochs", "1", "--threads", "1", "--batch-size", "32", "--max-lr", "0.001", "--name", "tuned"]
    done = CliRunner().invoke(app, ["train", "--data", "mine", "--weights", "fer-tiny", *options])
    assert done.exit_code == 0, done.output
    assert "--weights fer-tiny: trains its network, resnet10_half" in done.stderr
    assert load_classifier("runs/tuned")[1].architecture == "resnet10_half"
    typed = ["--architecture", "resnet18"]
    refused = CliRunner().invoke(app, ["train", "--data", "mine", "--weights", "fer-tiny", *options[:-1], "b", *typed])
    assert refused.exit_code == 1
    assert "expected a trained resnet18 (stem no_pool), found resnet10_half" in refused.stderr
