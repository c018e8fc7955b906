import builtins
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from fer_edge.errors import ImageError, MissingExtraError
from fer_edge.labels import FER2013
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.crops import Framing, crop_face
from fer_edge.runtime.images import decode_image, face_pixels
from fer_edge.runtime.photos import FaceSearch
from fer_edge.training.architectures import architecture_names, build_classifier
from fer_edge.training.checkpoint import CheckpointInfo, load_classifier
from fer_edge.training.classifier import FacialExpressionClassifier
from fer_edge.training.explain import (
    class_activation_maps,
    drawn_examples,
    explain_faces,
    last_feature_map,
    read_images,
    write_filters,
)
from fer_edge.training.preparation import DataRequest
from fer_edge.training.runs import train


@pytest.fixture(scope="module")
def run(tiny_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(replace(tiny_config, epochs=1), DataRequest("sample:140"), folder, quiet=True)
    return folder


@pytest.fixture(scope="module")
def info(run) -> CheckpointInfo:
    return load_classifier(run)[1]


class Quadrants(nn.Module):
    """A network whose answer is known: label 0 by the brightness of the upper left, label 1 of the lower right."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.conv.weight)

    def forward(self, faces):
        features = self.conv(faces)  # (N, 1, S, S)
        half = features.shape[-1] // 2
        upper_left, lower_right = features[:, 0, :half, :half], features[:, 0, half:, half:]
        logits = torch.full((len(faces), 7), -100.0)
        return logits.index_copy(
            1,
            torch.tensor([0, 1]),
            torch.stack([upper_left.square().sum((1, 2)), lower_right.square().sum((1, 2))], dim=1),
        )


def bright_square(top: int, left: int) -> np.ndarray:
    face = np.zeros((48, 48), np.uint8)
    face[top : top + 12, left : left + 12] = 255
    return face


def test_a_map_is_bright_where_the_answer_comes_from(info):
    faces = np.stack([bright_square(6, 6), bright_square(30, 30)])
    plain = replace(info, mean=0.0, std=1.0)
    explanation = explain_faces(FacialExpressionClassifier(Quadrants()), plain, ["a", "b"], faces)
    assert explanation.probabilities.argmax(axis=1).tolist() == [0, 1]
    for face, heat in zip(faces, explanation.maps, strict=True):
        np.testing.assert_allclose(heat, face / 255, atol=1e-6)


def test_one_face_has_another_map_for_another_label():
    torch.manual_seed(0)
    classifier = build_classifier("tiny").eval()
    face = torch.rand(1, 1, 48, 48).expand(7, 1, 48, 48)
    _, layer, _ = last_feature_map(classifier, face[:1])
    maps = class_activation_maps(classifier, layer, face, torch.arange(7))
    telling = [heat for heat in maps if heat.any()]  # for some labels nothing in a face may speak
    assert len(telling) >= 2
    for first, second in itertools.combinations(telling, 2):
        assert (first - second).abs().max() > 0.01


def test_maps_do_not_change_with_a_constant_that_batch_norm_takes_away():
    torch.manual_seed(0)
    classifier = build_classifier("tiny").eval().double()  # so that rounding stays far below the bound
    faces = torch.rand(3, 1, 48, 48, dtype=torch.float64)
    labels = torch.tensor([0, 3, 6])
    _, layer, _ = last_feature_map(classifier, faces[:1])
    before = class_activation_maps(classifier, layer, faces, labels)
    convolution, norm = classifier.network[10], classifier.network[11]
    convolution.bias = nn.Parameter(torch.ones(64, dtype=torch.float64))
    norm.running_mean += 1
    assert torch.allclose(class_activation_maps(classifier, layer, faces, labels), before, atol=1e-5)


def test_a_face_that_says_nothing_has_an_empty_map_and_no_nan(info):
    plain = replace(info, mean=0.0, std=1.0)
    dark = np.zeros((1, 48, 48), np.uint8)
    explanation = explain_faces(FacialExpressionClassifier(Quadrants()), plain, ["dark"], dark)
    assert not explanation.maps.any()


@pytest.mark.parametrize(
    ("architecture", "settings", "layer", "shape"),
    [
        ("resnet18", {"stem": "imagenet"}, "layer4", (2, 2)),
        ("resnet18", {"stem": "small"}, "layer4", (6, 6)),
        ("vgg11_bn", {}, "features.27", (3, 3)),
        ("googlenet", {}, "inception5b", (2, 2)),
        ("mobilenet_v3_small", {}, "features", (2, 2)),
        ("tiny", {}, "12", (3, 3)),
    ],
)
def test_the_last_feature_map_is_found_in_every_architecture(architecture, settings, layer, shape):
    assert architecture in architecture_names()
    classifier = build_classifier(architecture, settings).eval()
    name, module, found = last_feature_map(classifier, torch.zeros(1, 1, 48, 48))
    assert (name, found) == (layer, shape)
    assert module is classifier.network.get_submodule(name)
    assert not any(part._forward_hooks for part in classifier.modules())  # none left behind


def test_maps_differ_between_faces_and_stay_between_0_and_1(run, info):
    classifier, _ = load_classifier(run)
    names, faces = drawn_examples(48)
    explanation = explain_faces(classifier, info, names, faces)
    assert explanation.maps.shape == faces.shape == (7, 48, 48)
    assert explanation.maps.min() >= 0
    assert explanation.maps.max() == 1
    assert len({heat.tobytes() for heat in explanation.maps}) > 1
    told = explanation.to_dict()["faces"]
    assert [face["name"] for face in told] == [f"drawn {name}" for name in FER2013.names]
    for face in told:
        assert face["confidence"] == face["probabilities"][face["label"]] == max(face["probabilities"].values())


def test_more_faces_than_a_batch_get_the_maps_they_get_alone(run, info):
    classifier, _ = load_classifier(run)
    faces = np.random.default_rng(0).integers(0, 256, (40, 48, 48), dtype=np.uint8)
    together = explain_faces(classifier, info, ["face"] * 40, faces)
    alone = explain_faces(classifier, info, ["face"], faces[35:36])
    np.testing.assert_allclose(together.maps[35], alone.maps[0], atol=1e-4)


def test_both_pictures_are_drawn(run, info, tmp_path):
    classifier, _ = load_classifier(run)
    names, faces = drawn_examples(48)
    filters = write_filters(classifier, info, tmp_path / "out")
    maps = explain_faces(classifier, info, names, faces).write(tmp_path / "out")
    assert (filters.name, maps.name) == ("filters.png", "activation_maps.png")
    for path in (filters, maps):
        with Image.open(path) as picture:
            assert picture.convert("L").getextrema() == (0, 255)


def test_photos_are_prepared_as_the_runtime_does_and_a_bad_one_is_named(tmp_path):
    Image.new("RGB", (48, 40), (255, 0, 0)).save(tmp_path / "red.png")
    names, faces = read_images([tmp_path / "red.png"], 48)
    assert names == (str(tmp_path / "red.png"),)
    assert faces.shape == (1, 48, 48)
    assert set(np.unique(faces)) == {76}  # 0.299 of 255
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"bad\.png"):
        read_images([tmp_path / "red.png", tmp_path / "bad.png"], 48)


def test_faces_are_found_in_photos_as_predict_finds_them(tmp_path, astronaut):
    (box,) = (face.face for face in Classifier.load("fer-tiny").predict_faces(astronaut).faces)
    names, faces = read_images([astronaut], 48)
    assert names == (f"{astronaut} face 1 of 1",)
    with Image.open(astronaut) as photo:
        cut = crop_face(np.asarray(photo.convert("RGB")), box, Framing())
    np.testing.assert_array_equal(faces[0], face_pixels(cut, 48))
    _, whole = read_images([astronaut], 48, search=FaceSearch("crop"))
    np.testing.assert_array_equal(whole[0], face_pixels(decode_image(astronaut), 48))
    Image.new("RGB", (300, 200), (90, 120, 150)).save(tmp_path / "sky.png")
    with pytest.raises(ImageError, match=r"sky\.png: expected a face, found none.*--faces crop"):
        read_images([astronaut, tmp_path / "sky.png"], 48)


def test_without_captum_the_extra_is_named(run, info, monkeypatch):
    real_import = builtins.__import__

    def no_captum(name, *arguments, **options):
        if name.startswith("captum"):
            raise ImportError(name)
        return real_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", no_captum)
    with pytest.raises(MissingExtraError, match=r"pip install 'fer-edge\[explain\]'"):
        explain_faces(load_classifier(run)[0], info, ["face"], np.zeros((1, 48, 48), np.uint8))
