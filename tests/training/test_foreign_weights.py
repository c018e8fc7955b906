import json

import numpy as np
import pytest
import torch
from torch import nn

from fer_edge.errors import CheckpointError, SettingError, TrainingError
from fer_edge.export.checkpoint_graphs import load_reference
from fer_edge.labels import LabelSet
from fer_edge.training.architectures import architecture_named, build_classifier
from fer_edge.training.architectures.torchvision_models import models
from fer_edge.training.foreign_weights import checkpoint_of_weights, fit_weights, read_weights
from fer_edge.training.weights import starting_weights

THREE = LabelSet(("angry", "happy", "sad"))


def network(classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return models.resnet18(weights=None, num_classes=classes).eval()


STATE = network().state_dict()
MATCHED = len(STATE)


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in STATE.items()}


WRAPPED = {
    "plain": (STATE, ""),
    "DataParallel": (prefixed("module."), "module."),
    "Lightning": ({"epoch": 3, "global_step": 90, "state_dict": prefixed("model.")}, "model."),
    "Lightning net": ({"state_dict": prefixed("net.")}, "net."),
    "compile": ({"state_dict": prefixed("model._orig_mod.")}, "model._orig_mod."),
    "an average alone": ({"model_ema": prefixed("module."), "epoch": 3}, "module."),
    "a script around DataParallel": ({"model_state_dict": prefixed("module.backbone.")}, "module.backbone."),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_any_wrapping_and_any_head_start_a_training(tmp_path, name):
    content, prefix = WRAPPED[name]
    path = tmp_path / "theirs.pth"
    torch.save(content, path)
    start = starting_weights(str(path), architecture_named("resnet18"))
    without = f" without the prefix '{prefix}'" if prefix else ""
    assert start.description == (
        f"from {path}: {MATCHED} of {MATCHED} tensors of resnet18 matched{without}; the head of 3 classes replaced"
    )
    classifier = build_classifier("resnet18", {"stem": "imagenet"}, start.state, (7,))
    assert torch.equal(classifier.network.layer4[1].conv2.weight, STATE["layer4.1.conv2.weight"])
    assert torch.allclose(classifier.network.conv1.weight, STATE["conv1.weight"].sum(1, keepdim=True))
    assert classifier.network.fc.out_features == 7


def test_what_is_left_out_is_named(tmp_path):
    head = {"fc.1.weight": torch.zeros(5, 512), "fc.1.bias": torch.zeros(5)}
    content = {**{k: v for k, v in STATE.items() if not k.startswith("fc.")}, **head, "loss.weight": torch.ones(5)}
    fitted = fit_weights(content, "resnet18", tmp_path)
    assert fitted.report == (
        f"{MATCHED} of {MATCHED} tensors of resnet18 matched; the head is fc.1; the head of 5 classes replaced; "
        "1 left out (loss.weight)"
    )
    fitted = fit_weights(
        {**content, "fc.3.weight": torch.zeros(5, 5), "fc.3.bias": torch.zeros(5)}, "resnet18", tmp_path
    )
    assert fitted.num_classes is None  # two layers are not one


def test_a_head_behind_dropout_is_kept_and_an_average_beside_it_named(tmp_path):
    state = {name.replace("fc.", "fc.1."): value for name, value in STATE.items()}
    average = {name: torch.zeros_like(value) for name, value in state.items()}
    torch.save({"model": state, "model_ema": average}, tmp_path / "theirs.pth")
    made = tmp_path / "made.pt"
    report = checkpoint_of_weights(tmp_path / "theirs.pth", made, labels=THREE, image_size=64, mean=0.4, std=0.2)
    assert "the head is fc.1; model_ema, an average, is in the file, too, and was not taken; a head of 3" in report
    kept = torch.load(made, weights_only=True)["model"]
    assert torch.equal(kept["network.fc.weight"], STATE["fc.weight"])


def test_a_first_layer_for_grey_images_is_taken(tmp_path):
    grey = {**STATE, "conv1.weight": STATE["conv1.weight"].sum(1, keepdim=True)}
    fitted = fit_weights(grey, "resnet18", tmp_path)
    assert torch.allclose(fitted.state["conv1.weight"].sum(1, keepdim=True), grey["conv1.weight"], atol=1e-6)
    assert "a first layer for grey images" in fitted.report


REFUSED = {
    "another network": (models.mobilenet_v3_small(weights=None).state_dict(), "found .* of them among .*first missing"),
    "a deeper network": (
        models.resnet34(weights=None).state_dict(),
        r"found 96 more in its layers \(first: layer1\.2\.bn1",
    ),
    "half of it": ({k: v for k, v in STATE.items() if not k.startswith("layer4")}, r"first missing: layer4\.0"),
    "another shape": (
        {**STATE, "bn1.weight": torch.ones(32)},
        r"bn1\.weight: expected the shape \(64,\), found \(32,\)",
    ),
    "no numbers": ({**STATE, "bn1.bias": torch.full((64,), torch.nan)}, "bn1.bias: expected finite numbers"),
    "no tensors": ({"a": 1}, "expected a torchvision state dict"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_weights_that_do_not_fit_are_refused(tmp_path, name):
    content, message = REFUSED[name]
    with pytest.raises(TrainingError, match=message):
        fit_weights(content, "resnet18", tmp_path)


def safetensors(path, state):
    """Written by hand, as the format's page has it."""
    header, body = {"__metadata__": {"format": "pt"}}, b""
    names = {torch.float32: "F32", torch.int64: "I64"}
    for name, value in state.items():
        data = value.contiguous().numpy().tobytes()
        offsets = [len(body), len(body) + len(data)]
        header[name] = {"dtype": names[value.dtype], "shape": list(value.shape), "data_offsets": offsets}
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def test_safetensors_are_read(tmp_path):
    path = tmp_path / "theirs.safetensors"
    safetensors(path, STATE)
    found = read_weights(path)
    assert all(torch.equal(found[name], value) for name, value in STATE.items())
    start = starting_weights(str(path), architecture_named("resnet18"))
    assert f"{MATCHED} of {MATCHED} tensors" in start.description
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TrainingError, match="expected a safetensors file, found a damaged or another one"):
        read_weights(path)
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(TrainingError, match="expected a safetensors file"):
        read_weights(path)


def test_the_checkpoint_answers_like_the_network_to_grey_faces(tmp_path):
    theirs = network()
    path, target = tmp_path / "theirs.pth", tmp_path / "made.pt"
    torch.save({"state_dict": prefixed("model.")}, path)
    report = checkpoint_of_weights(path, target, labels=THREE, image_size=64, mean=0.4, std=0.2)
    assert (
        report
        == f"{MATCHED} of {MATCHED} tensors of resnet18 matched without the prefix 'model.'; a head of 3 classes kept"
    )
    reference, info = load_reference(target)
    faces = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 1), dtype=np.uint8)
    grey = (torch.from_numpy(faces[..., 0]).float() / 255 - 0.4) / 0.2
    with torch.inference_mode():
        expected = theirs(grey[:, None].repeat(1, 3, 1, 1))
    np.testing.assert_allclose(reference.answer(faces)[1], expected.numpy(), atol=1e-4)
    assert info.labels == THREE.names
    assert info.starting_weights == f"another maker's, theirs.pth: {report}"
    assert (info.mean, info.std, info.image_size) == (0.4, 0.2, 64)


def test_statistics_of_each_channel_are_kept(tmp_path):
    """Zeros around the image are of normalised values, so that no single mean and standard deviation is the same."""
    theirs = network()
    path, target = tmp_path / "theirs.pth", tmp_path / "made.pt"
    torch.save(theirs.state_dict(), path)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    checkpoint_of_weights(path, target, labels=THREE, image_size=64, mean=mean, std=std)
    reference, info = load_reference(target)
    faces = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 1), dtype=np.uint8)
    channels = torch.from_numpy(faces[..., 0]).float()[:, None].repeat(1, 3, 1, 1) / 255
    channels = (channels - torch.tensor(mean).reshape(3, 1, 1)) / torch.tensor(std).reshape(3, 1, 1)
    with torch.inference_mode():
        expected = theirs(channels)
    np.testing.assert_allclose(reference.answer(faces)[1], expected.numpy(), atol=1e-4)
    checkpoint_of_weights(path, tmp_path / "one.pt", labels=THREE, image_size=64, mean=0.449, std=0.226)
    by_one = load_reference(tmp_path / "one.pt")[0].answer(faces)[1]
    assert np.abs(by_one - expected.numpy()).max() > 1e-3  # which the test would not see otherwise
    assert info.config.stem == "three_channels"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"mean": (0.4, 0.5)}, SettingError, "--mean: expected one number, or three with commas.*, found 0.4,0.5"),
        ({"std": (0.2, 0.2, 0.0)}, SettingError, "found 0.4 and 0.2,0.2,0"),
        ({"labels": LabelSet(("a", "b"))}, TrainingError, "as many --labels as the last layer has outputs, 3, found 2"),
        ({"mean": 120.0}, SettingError, "--mean, --std: expected those of pixel / 255, found 120 and 0.2"),
    ],
)
def test_what_contradicts_the_weights_is_refused(tmp_path, change, error, message):
    path = tmp_path / "theirs.pth"
    torch.save(STATE, path)
    options = {"labels": THREE, "image_size": 64, "mean": 0.4, "std": 0.2} | change
    with pytest.raises(error, match=message):
        checkpoint_of_weights(path, tmp_path / "made.pt", **options)
    assert not (tmp_path / "made.pt").exists()


def test_a_file_that_would_run_code_is_refused(tmp_path):
    path = tmp_path / "theirs.pth"
    torch.save({"state_dict": STATE, "model": print}, path)
    with pytest.raises((TrainingError, CheckpointError), match="would run code"):
        read_weights(path)
