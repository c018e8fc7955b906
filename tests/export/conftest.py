"""A run folder with a small checkpoint, briefly trained on drawn faces, and a model exported from it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from onnx import ModelProto, numpy_helper

from fer_edge.data.faces import FaceData
from fer_edge.data.load import load_faces
from fer_edge.export.exporter import Export, export_checkpoint
from fer_edge.export.graph.model import assembled
from fer_edge.export.graph.network import export_network
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.export.quantization.calibration import calibrate, network_input
from fer_edge.export.quantization.search import Recipe, quantise
from fer_edge.export.quantization.targets import UINT8
from fer_edge.export.request import ExportRequest
from fer_edge.training.augmentation import normalise
from fer_edge.training.checkpoint import CheckpointInfo, classifier_from_config, save_checkpoint
from fer_edge.training.config import TrainConfig

DATA = "sample:420"
STEPS = 60


torch.set_num_threads(1)


def damage_last_convolution(model: ModelProto, by: float) -> str:
    """Add ``by`` to one weight of the last convolution, in place, and return the name of that layer."""
    node = [node for node in model.graph.node if node.op_type == "Conv"][-1]
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[1])
    values = numpy_helper.to_array(weights).copy()
    values.flat[7] += by
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    return node.name


@dataclass(frozen=True)
class TinyRun:
    """A trained tiny network and where its checkpoint lies."""

    folder: Path
    reference: PixelsToProbabilities
    faces: FaceData


@pytest.fixture(scope="session")
def damage() -> Callable[..., str]:
    """``damage(model, by=1.0)``: change one weight of the last convolution and return the layer's name."""
    return damage_last_convolution


@pytest.fixture(scope="session")
def drawn_faces() -> FaceData:
    return load_faces(DATA)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, drawn_faces: FaceData) -> TinyRun:
    folder = tmp_path_factory.mktemp("runs") / "tiny-run"
    (folder / "checkpoints").mkdir(parents=True)
    train = drawn_faces.train
    mean, std = train.mean_and_std()
    torch.manual_seed(0)
    config = TrainConfig(architecture="tiny")
    classifier = classifier_from_config(config)
    images, labels = normalise(torch.from_numpy(train.faces), mean, std), torch.from_numpy(train.labels)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=3e-3)
    classifier.train()
    for _ in range(STEPS):
        batch = torch.randint(len(labels), (64,))
        loss = torch.nn.functional.cross_entropy(classifier(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    record = CheckpointInfo(
        config=config,
        mean=mean,
        std=std,
        data_source=drawn_faces.source,
        data_fingerprint=drawn_faces.fingerprint(),
        starting_weights="none",
        epoch=3,
        metrics={"accuracy": 0.5, "loss": 1.0},
    )
    save_checkpoint(
        folder / "checkpoints" / "best.pt",
        {"record": record.to_dict(), "model": classifier.state_dict(), "average": None},
    )
    return TinyRun(folder, PixelsToProbabilities(classifier.eval(), config.image_size, mean, std), drawn_faces)


@pytest.fixture(scope="session")
def network(tiny_run: TinyRun) -> ModelProto:
    return export_network(tiny_run.reference.classifier, tiny_run.reference.image_size)


@pytest.fixture(scope="session")
def calibration(tiny_run: TinyRun, network: ModelProto) -> Any:
    reference = tiny_run.reference
    return calibrate(network, network_input(tiny_run.faces.train.faces[:96], reference.mean, reference.std), "MinMax")


@pytest.fixture(scope="session")
def sound(tiny_run: TinyRun, network: ModelProto, calibration: Any) -> dict[str, ModelProto]:
    """The model in float32 and in 8 bits."""
    of_7_bits = quantise(network, calibration, Recipe("MinMax", UINT8, True))
    return {
        "fp32": assembled(network, tiny_run.reference, precision="fp32", raw=False),
        "int8": assembled(of_7_bits, tiny_run.reference, precision="int8", raw=False),
    }


@pytest.fixture(scope="session")
def exported_tiny(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published ``tiny-run.onnx`` with its cards; do not write into its folder."""
    folder = tmp_path_factory.mktemp("exported")
    export = export_checkpoint(ExportRequest(checkpoint=tiny_run.folder, folder=folder))
    return export.paths[0]


@pytest.fixture(scope="session", params=["fp32", "int8"])
def exported_litert(
    request: pytest.FixtureRequest, tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory
) -> Export:
    """``tiny-run`` as a published .tflite; do not write into its folder."""
    pytest.importorskip("ai_edge_litert", reason="needs pip install 'fer-edge[litert]'")
    pytest.importorskip("litert_torch", reason="needs pip install 'fer-edge[litert-export]', 1.1 GB")
    data = DATA if request.param == "int8" else None
    folder = tmp_path_factory.mktemp("litert")
    done = export_checkpoint(
        ExportRequest(tiny_run.folder, file_format="litert", precision=request.param, folder=folder, data=data)
    )
    assert not done.failures
    return done
