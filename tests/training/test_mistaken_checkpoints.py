"""What is given as a checkpoint, weights or run to resume and is none is named, with the way out."""

from pathlib import Path

import pytest

from fer_edge.errors import CheckpointError, TrainingError
from fer_edge.runtime.shipped import shipped_by_name
from fer_edge.training.checkpoint import load_classifier
from fer_edge.training.runs import resume
from fer_edge.training.weights import settings_behind, starting_weights

FIXTURES = Path(__file__).parent.parent / "fixtures"
MISTAKES = [
    (FIXTURES / "tiny.onnx", r"found an exported model; name the run folder or checkpoint behind it; .* --model /"),
    (FIXTURES / "tiny.json", r"found the metadata of a model; name a run folder, a checkpoint, or a shipped one"),
]


@pytest.mark.parametrize(("path", "told"), MISTAKES)
def test_a_model_is_no_checkpoint_and_no_weights(path, told):
    with pytest.raises(CheckpointError, match=f"expected a checkpoint, {told}"):
        load_classifier(path)
    for read in (settings_behind, lambda choice: starting_weights(choice, None)):
        with pytest.raises(TrainingError, match=f"expected a torchvision state dict or a checkpoint, {told}"):
            read(str(path))


def test_a_folder_of_models_is_no_run(tmp_path):
    (tmp_path / "net.onnx").touch()
    with pytest.raises(
        CheckpointError, match=r"expected a run folder with checkpoints/best.pt, found a folder of models"
    ):
        load_classifier(tmp_path)


def test_a_file_is_no_run_to_resume(tmp_path):
    weights = shipped_by_name()["fer-tiny"].checkpoint
    with pytest.raises(CheckpointError, match=r"found a checkpoint, which is weights alone; .* with --weights "):
        resume(weights)
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    for name in ("config.json", "checkpoints/last.pt"):
        (tmp_path / "run" / name).touch()
    with pytest.raises(CheckpointError, match=r"found a file of one; name the folder: .*/run$"):
        resume(tmp_path / "run" / "checkpoints" / "last.pt")
