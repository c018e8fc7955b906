"""The quality of a found face: by its features, and beside every face that the detector finds."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from fer_edge.runtime import Box, Classifier, Face, FaceSearch
from fer_edge.runtime.quality import BIAS, FEATURES, WEIGHTS, face_features, usable_face

EXAMPLE = Path(__file__).parents[2] / "fer_edge" / "web" / "page" / "example.jpg"
MEASURED = Path(__file__).parents[2] / "benchmarks" / "results" / "quality.json"
UPRIGHT = ((30, 40), (70, 40), (50, 60), (35, 80), (65, 80))


def face(landmarks: tuple[tuple[float, float], ...] = UPRIGHT, side: float = 100, score: float = 0.9) -> Face:
    return Face(Box(0, 0, side, side), landmarks, score)


def features(crop: np.ndarray, place: Face) -> dict[str, float]:
    return dict(zip(FEATURES, face_features(crop, place).tolist(), strict=True))


def checkers(contrast: float = 1.0) -> np.ndarray:
    grid = np.indices((48, 48)).sum(axis=0) % 2 * 100 + 50
    return np.round(100 + contrast * (grid - 100)).astype(np.uint8)[..., np.newaxis]


def test_features_have_their_definitions() -> None:
    found = features(checkers(), face(score=0.75))
    assert found["detector"] == pytest.approx(2)  # a quarter is missing
    assert found["size"] == pytest.approx(np.log2(96))  # more says nothing more
    assert features(checkers(), face(side=24))["size"] == pytest.approx(np.log2(24))
    assert found["turned away"] == pytest.approx(0)
    assert found["tilted"] == pytest.approx(0)
    # The Laplacian of checkers of 50 and 150 is 400 up or down; their own deviation is 50.
    assert found["sharpness"] == pytest.approx(np.log2((400**2 + 1) / (50**2 + 1)), abs=1e-6)
    assert found["contrast"] == pytest.approx(np.log2(50), abs=1e-3)


def test_pose_is_told_by_the_landmarks() -> None:
    turned = ((30, 40), (70, 40), (66, 60), (35, 80), (65, 80))
    assert features(checkers(), face(turned))["turned away"] == pytest.approx(16 / 40)
    tilted = tuple((50 - (y - 50), 50 + (x - 50)) for x, y in UPRIGHT)  # a quarter turn
    found = features(checkers(), face(tilted))
    assert found["tilted"] == pytest.approx(1)
    assert found["turned away"] == pytest.approx(0, abs=1e-9)


def test_contrast_is_told_apart_from_sharpness() -> None:
    full, faint = features(checkers(), face()), features(checkers(0.2), face())
    assert faint["sharpness"] == pytest.approx(full["sharpness"], abs=0.05)
    assert faint["contrast"] == pytest.approx(full["contrast"] - np.log2(5), abs=0.05)


def test_a_flat_picture_and_landmarks_in_one_point_have_a_quality_too() -> None:
    assert 0 <= usable_face(np.zeros((48, 48, 3), np.uint8), face(((5, 5),) * 5, side=0, score=1.0)) <= 1


def test_a_blurred_photo_has_less_of_it(classifier: Classifier) -> None:
    photo = Image.open(EXAMPLE)
    qualities = []
    for radius in (0, 4, 6):
        pixels = np.asarray(photo.filter(ImageFilter.GaussianBlur(radius)))
        (found,) = classifier.predict_faces(pixels, search=FaceSearch("detect")).faces
        assert found.quality is not None
        assert found.as_dict()["quality"] == round(found.quality, 4)
        qualities.append(found.quality)
    assert qualities == sorted(qualities, reverse=True)
    assert qualities[0] > 0.5 > qualities[-1]


def test_a_crop_has_none(classifier: Classifier) -> None:
    assert classifier.predict(EXAMPLE).quality is None
    (whole,) = classifier.predict_faces(EXAMPLE, search=FaceSearch("crop")).faces
    assert whole.quality is None


def test_the_weights_are_those_that_were_measured() -> None:
    measured = json.loads(MEASURED.read_text())
    assert measured["features"] == list(FEATURES)
    assert (tuple(measured["weights"]), measured["bias"]) == (WEIGHTS, BIAS)
