"""A run folder with a checkpoint of random weights, for the commands that start from one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_edge.data.names import number_of_each_row
from fer_edge.data.sample import synthetic_faces
from fer_edge.data.votes import COLUMNS
from fer_edge.labels import FER2013


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``make_run(seed)``: a run folder ``cli-run`` of a tiny network, its weights multiplied by ``gain``."""

    def make(seed: int, *, gain: float = 1.0) -> Path:
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
        for parameter in classifier.parameters():
            parameter.data *= gain
        content = {"record": record.to_dict(), "model": classifier.state_dict(), "average": None}
        save_checkpoint(folder / "checkpoints" / "best.pt", content)
        return folder

    return make


@pytest.fixture
def popular(tmp_path: Path) -> Path:
    """A folder of 42 faces under names of the popular folder, with FER+'s table beside it; gives the table's path."""
    rows = np.flatnonzero(number_of_each_row())[:42]
    for at, (row, face) in enumerate(zip(rows, synthetic_faces(range(42), seed=3).faces, strict=True)):
        folder = tmp_path / "faces" / "train" / FER2013.names[at % len(FER2013)]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face).save(folder / f"Training_{number_of_each_row()[row]}.png")
    usages = ("Training",) * 28709 + ("PublicTest",) * 3589 + ("PrivateTest",) * 3589
    lines = ["Usage,Image name," + ",".join(COLUMNS), *(f"{usage},,0,8,2,0,0,0,0,0,0,0" for usage in usages)]
    table = tmp_path / "fer2013new.csv"
    table.write_text("\n".join(lines) + "\n")
    return table
