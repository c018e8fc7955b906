"""The run folder that tests of the command line start from."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``make_run(seed)``: a run folder ``cli-run`` of a tiny network of random weights."""

    def make(seed: int) -> Path:
        import torch

        from fer_edge.data.load import load_faces
        from fer_edge.training.checkpoint import CheckpointInfo, classifier_from_config, save_checkpoint
        from fer_edge.training.config import TrainConfig

        torch.manual_seed(seed)
        config = TrainConfig(architecture="tiny")
        folder = tmp_path_factory.mktemp("runs") / "cli-run"
        (folder / "checkpoints").mkdir(parents=True)
        faces = load_faces("sample:70")
        mean, std = faces.train.mean_and_std()
        record = CheckpointInfo(
            config=config,
            mean=mean,
            std=std,
            data_source=faces.source,
            data_fingerprint=faces.fingerprint(),
            starting_weights="none",
        )
        classifier = classifier_from_config(config)
        for parameter in classifier.parameters():  # an untrained net says the same to every face; make it answer
            parameter.data *= 1.8
        content = {"record": record.to_dict(), "model": classifier.state_dict(), "average": None}
        save_checkpoint(folder / "checkpoints" / "best.pt", content)
        return folder

    return make
