"""PyTorch's forms as baselines, made from one small checkpoint, in this process."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")


from fer_edge.backends import backend_named  # noqa: E402  # after the skip
from fer_edge.benchmark.subjects import read_subject, subjects_of_checkpoint  # noqa: E402
from fer_edge.data.load import load_faces  # noqa: E402
from fer_edge.errors import ProviderError  # noqa: E402
from fer_edge.training.checkpoint import CheckpointInfo, classifier_from_config, save_checkpoint  # noqa: E402
from fer_edge.training.config import TrainConfig  # noqa: E402
from fer_edge.training.inference import predict_logits  # noqa: E402

RUNTIMES = ("onnxruntime", "torch-eager", "torchscript", "pt2")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    config = TrainConfig(architecture="tiny")
    faces = load_faces("sample:70")
    record = CheckpointInfo(
        config=config,
        mean=0.5,
        std=0.25,
        data_source=faces.source,
        data_fingerprint=faces.fingerprint(),
        starting_weights="none",
    )
    path = tmp_path_factory.mktemp("runs") / "best.pt"
    weights = classifier_from_config(config).state_dict()
    save_checkpoint(path, {"record": record.to_dict(), "model": weights, "average": None})
    return path


@pytest.fixture(scope="module")
def subjects(checkpoint, tmp_path_factory) -> dict[tuple[str, str], object]:
    folder = tmp_path_factory.mktemp("baselines")
    made = subjects_of_checkpoint(checkpoint, [], RUNTIMES, folder, lambda text: None)
    return {(one.file_format, one.precision): one for one in made}


def test_a_checkpoint_gives_itself_and_every_baseline_of_one_family(subjects):
    assert set(subjects) == {
        ("checkpoint", "fp32"),
        ("torchscript", "fp32"),
        ("pt2", "fp32"),
        ("onnx", "fp32"),
        ("onnx", "fp16"),
    }
    assert len({one.family for one in subjects.values()}) == 1
    assert all(one.is_baseline for one in subjects.values())


def test_a_file_that_was_given_is_not_made_again(checkpoint, subjects, tmp_path):
    given = [read_subject(subjects["onnx", "fp32"].path)]
    made = subjects_of_checkpoint(checkpoint, given, ("onnxruntime",), tmp_path, lambda text: None)
    assert [(one.file_format, one.precision) for one in made] == [("checkpoint", "fp32"), ("onnx", "fp16")]


@pytest.mark.parametrize(
    ("kind", "runtime"), [("checkpoint", "torch-eager"), ("torchscript", "torchscript"), ("pt2", "pt2")]
)
def test_every_form_answers_as_the_checkpoint(kind, runtime, subjects, checkpoint, monkeypatch):
    from fer_edge.training.checkpoint import load_classifier

    monkeypatch.setattr(torch, "set_num_interop_threads", lambda number: None)  # torch sets it once a process
    pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 1), dtype=np.uint8)
    answer = backend_named(runtime).load(subjects[kind, "fp32"].path, threads=1).run(pixels).probabilities
    classifier, info = load_classifier(checkpoint)
    logits = predict_logits(classifier, pixels[..., 0], mean=info.mean, std=info.std)
    expected = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    np.testing.assert_allclose(answer, expected, atol=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is here")
def test_torch_on_a_cuda_that_is_not_there_is_refused(subjects, monkeypatch):
    monkeypatch.setattr(torch, "set_num_interop_threads", lambda number: None)
    with pytest.raises(ProviderError, match="expected CUDA for torch, found a torch that sees none"):
        backend_named("torch-eager").load(subjects["checkpoint", "fp32"].path, provider="cuda")
