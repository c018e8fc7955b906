"""Corruptions of hand-worked faces, and the table of models that answer in known ways."""

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fer_edge.data.faces import NO_LABEL, FaceSet
from fer_edge.data.sample import synthetic_faces
from fer_edge.evaluation.corruptions import (
    CORRUPTIONS,
    Corruption,
    add_noise,
    blur,
    change_gamma,
    compress_jpeg,
    equalise,
    lower_contrast,
    resample,
)
from fer_edge.evaluation.robustness import evaluate_corruptions, mean_corruption_error
from fer_edge.labels import FER2013, FERPLUS, LabelSet

PAIR = LabelSet(("dark", "bright"))


def faces_of(*rows: list[list[int]]) -> np.ndarray:
    return np.array(rows, np.uint8)


def set_of(faces: np.ndarray, labels: list[int], votes: np.ndarray | None = None) -> FaceSet:
    return FaceSet(faces, np.array(labels, np.int64), tuple(map(str, range(len(labels)))), votes)


def test_gamma_below_one_brightens_and_the_ends_stay() -> None:
    face = faces_of([[0, 64], [128, 255]])
    assert change_gamma(face, 0.5).tolist() == [[[0, 128], [181, 255]]]  # 255 * sqrt(64 / 255) = 127.7
    assert change_gamma(face, 2).tolist() == [[[0, 16], [64, 255]]]  # 64 * 64 / 255 = 16.06
    assert change_gamma(face, 1).tolist() == face.tolist()


def test_contrast_shrinks_around_each_faces_own_mean() -> None:
    faces = faces_of([[0, 200], [100, 100]], [[10, 10], [10, 50]])  # means 100 and 20
    assert lower_contrast(faces, 0.5).tolist() == [[[50, 150], [100, 100]], [[15, 15], [15, 35]]]
    assert lower_contrast(faces, 0.25).tolist() == [[[75, 125], [100, 100]], [[18, 18], [18, 28]]]  # 17.5: to even


def test_equalised_levels_spread_evenly() -> None:
    face = np.repeat(np.arange(100, 104, dtype=np.uint8), 1024).reshape(1, 64, 64)
    assert np.unique(equalise(face)).tolist() == [0, 85, 171, 255]  # a third of 255 for each step


def test_a_face_is_resampled_to_the_side_and_a_flat_one_stays_flat() -> None:
    checks = faces_of(np.kron([[0, 100], [200, 60]], np.ones((24, 24))).tolist())
    for side in (16, 24, 32, 64, 96):
        small = resample(checks, side)
        assert small.shape == (1, side, side)
        assert small[0, 0, 0] == 0
        assert small[0, -1, 0] == 200
    assert (resample(np.full((2, 48, 48), 77, np.uint8), 16) == 77).all()


def test_blur_spreads_a_point_by_its_sigma_and_keeps_the_sum() -> None:
    point = np.zeros((1, 33, 33), np.uint8)
    point[0, 16, 16] = 255
    wide = np.kron(point, np.ones((1, 1))).astype(np.uint8)
    edge = np.zeros((1, 33, 33), np.uint8)
    edge[:, :, 17:] = 200
    for sigma in (1.0, 2.0):
        slope = np.diff(blur(edge, sigma)[0, 16].astype(float))  # the derivative of a blurred edge is the Gaussian
        at = np.arange(32) + 0.5
        mean = np.average(at, weights=slope)
        assert np.sqrt(np.average((at - mean) ** 2, weights=slope)) == pytest.approx(sigma, rel=0.1)
        assert blur(wide, sigma)[0, 16, 16] < 60


def test_a_jpeg_is_pillows_own() -> None:
    faces = synthetic_faces(range(3), seed=1).faces
    for quality in (95, 30):
        for face, changed in zip(faces, compress_jpeg(faces, quality), strict=True):
            stream = io.BytesIO()
            Image.fromarray(face).save(stream, "JPEG", quality=quality)
            np.testing.assert_array_equal(changed, np.asarray(Image.open(stream)))
    errors = [np.abs(compress_jpeg(faces, quality).astype(int) - faces).mean() for quality in (95, 75, 50, 30)]
    assert errors == sorted(errors)
    assert errors[0] > 0


def test_noise_is_the_same_every_time_and_as_strong_as_it_says() -> None:
    grey = np.full((20, 48, 48), 128, np.uint8)
    weak, strong = add_noise(grey, 10).astype(float) - 128, add_noise(grey, 20).astype(float) - 128
    np.testing.assert_array_equal(add_noise(grey, 10), add_noise(grey, 10))
    np.testing.assert_allclose(strong, 2 * weak, atol=1.5)
    assert (weak.std(), strong.std()) == (pytest.approx(10, rel=0.02), pytest.approx(20, rel=0.02))
    assert abs(weak.mean()) < 0.2
    assert not (weak[0] == weak[1]).all()


def test_the_table_has_every_row_and_no_corruption_touches_its_argument() -> None:
    faces = synthetic_faces(range(2), seed=1).faces
    before = faces.copy()
    for corruption in CORRUPTIONS:
        changed = corruption.apply(faces)
        assert changed.dtype == np.uint8
        assert changed.shape[1] == (int(corruption.strength.split()[0]) if corruption.kind == "size" else 48)
        assert changed.shape != faces.shape or (changed != faces).any(), corruption.name
        assert len(corruption.apply(faces[:0])) == 0
    np.testing.assert_array_equal(faces, before)
    names = [corruption.name for corruption in CORRUPTIONS]
    assert len(set(names)) == len(names) == 20
    assert {"equalised", "gamma, 0.67", "low contrast, 25%", "JPEG, quality 30", "size, 96 pixels"} <= set(names)


def brightness(faces: np.ndarray) -> np.ndarray:
    """A model of PAIR: bright from a mean of 128."""
    return np.eye(2)[(faces.mean(axis=(1, 2)) >= 128).astype(int)]


def invert(faces: np.ndarray) -> np.ndarray:
    return 255 - faces


def shift(faces: np.ndarray) -> np.ndarray:
    return (faces + 60).astype(np.uint8)


def test_scores_are_those_of_hand_counted_answers() -> None:
    faces = np.array([40, 90, 110, 180], np.uint8)[:, np.newaxis, np.newaxis] * np.ones((1, 4, 4), np.uint8)
    made = (
        Corruption("shift", "0", lambda faces: faces),
        Corruption("shift", "60", shift),
        Corruption("inverse", "", invert),
    )
    found = evaluate_corruptions(brightness, set_of(faces, [0, 1, 0, 1]), PAIR, made)
    assert found.original.accuracy == 0.75  # the second is dark, and called bright by its label
    assert found.original.agreement == 1
    assert found.corrupted["shift, 60"].accuracy == 0.75  # 100, 150, 170, 240: dark and three times bright
    assert found.corrupted["shift, 60"].agreement == 0.5
    assert found.corrupted["inverse"].accuracy == 0.25
    assert found.corrupted["inverse"].agreement == 0
    assert found.kinds["shift"].accuracy == 0.75
    assert found.kinds["shift"].agreement == 0.75
    assert found.mean.accuracy == 0.5  # each kind once
    assert found.relative_error == 0.25
    assert found.original.votes_accuracy is None
    lines = found.to_markdown().splitlines()
    assert "| shift, 60 | 75.0% | – | 50.0% |" in lines
    assert "| mean over the kinds | 50.0% | – | 37.5% |" in lines
    kept = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert list(kept["corrupted"]) == ["shift, 0", "shift, 60", "inverse"]
    assert mean_corruption_error(kept, kept) == 1
    perfect = {"kinds": {kind: {"accuracy": 1.0} for kind in kept["kinds"]}}
    assert mean_corruption_error(perfect, kept) == 0


def test_votes_count_where_there_is_a_majority_and_faces_without_a_label_count_for_agreement() -> None:
    faces = np.zeros((4, 4, 4), np.uint8)
    faces[:, 0, 0] = [FER2013.index(name) for name in ("happy", "sad", "fear", "angry")]
    votes = np.zeros((4, 10), np.float32)
    for row, emotion in enumerate(("happiness", "contempt", "fear")):
        votes[row, FERPLUS.index(emotion)] = 9
    votes[3, [FERPLUS.index("fear"), FERPLUS.index("anger")]] = 5

    def first_pixel(faces: np.ndarray) -> np.ndarray:
        return np.eye(7)[faces[:, 0, 0]]

    made = (Corruption("all happy", "", lambda faces: np.full_like(faces, FER2013.index("happy"))),)
    labelled = set_of(faces, [FER2013.index("happy"), FER2013.index("happy"), NO_LABEL, NO_LABEL], votes)
    found = evaluate_corruptions(first_pixel, labelled, FER2013, made)
    assert (found.num_faces, found.num_labelled, found.num_majority) == (4, 2, 3)
    assert found.original.accuracy == 0.5
    assert found.original.votes_accuracy == pytest.approx(2 / 3)  # a model without contempt is wrong there
    assert found.corrupted["all happy"].accuracy == 1
    assert found.corrupted["all happy"].votes_accuracy == pytest.approx(1 / 3)
    assert found.corrupted["all happy"].agreement == 0.25
    unheard = evaluate_corruptions(brightness, replace(labelled, labels=np.array([0, 1, 0, 1])), PAIR, made)
    assert re.search(r"\| original \| [\d.]+% \| – \| 100.0% \|", unheard.to_markdown())
    assert (unheard.num_majority, unheard.original.votes_accuracy) == (0, None)
