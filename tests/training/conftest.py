from dataclasses import replace

import pytest
import torch

from fer_edge.data.faces import FaceData
from fer_edge.data.load import load_faces
from fer_edge.training.config import AugmentConfig, TrainConfig
from fer_edge.training.hardware import resolve

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def drawn() -> FaceData:
    return load_faces("sample:210")


@pytest.fixture(scope="session")
def tiny_config() -> TrainConfig:
    """Settings under which a run takes a fraction of a second."""
    return resolve(
        TrainConfig(
            architecture="tiny", weights="none", epochs=2, batch_size=32, precision="fp32", device="cpu", threads=1
        )
    )


@pytest.fixture
def still_config(tiny_config: TrainConfig) -> TrainConfig:
    return replace(tiny_config, augment=AugmentConfig().scaled(0), label_smoothing=0.0, ema_decay=0.0)
