import numpy as np
import pytest

from fer_edge.data.faces import FaceData, FaceSet, empty_face_set
from fer_edge.data.leaks import leaked, without_leaks
from fer_edge.data.splits import choose_validation


def face_set(*levels: int, labels: list[int] | None = None, split: str = "train") -> FaceSet:
    """One face of one level for each of ``levels``, with its first pixel changed so that it is not blank."""
    faces = np.stack([np.full((4, 4), level, np.uint8) for level in levels])
    faces[:, 0, 0] += 1
    wanted = np.zeros(len(levels), np.int64) if labels is None else np.array(labels, np.int64)
    return FaceSet(faces, wanted, tuple(f"{split}/{place}" for place in range(len(levels))))


@pytest.fixture
def data() -> FaceData:
    return FaceData(
        "made",
        "by hand",
        face_set(1, 2, 2, 3, labels=[0, 1, 2, 3]),
        face_set(3, 4, 5, split="validation"),
        face_set(1, 5, 6, 6, split="test"),
    )


def test_leaked_faces_are_those_of_any_earlier_split(data: FaceData) -> None:
    assert leaked(data, "train").tolist() == [False] * 4
    assert leaked(data, "validation").tolist() == [True, False, False]
    assert leaked(data, "test").tolist() == [True, True, False, False]


def test_dropping_leaks_keeps_train_whole(data: FaceData) -> None:
    honest = without_leaks(data)
    assert honest.train is data.train
    assert honest.validation.sources == ("validation/1", "validation/2")
    assert honest.test.sources == ("test/2", "test/3")


def test_one_changed_pixel_is_no_leak(data: FaceData) -> None:
    data.validation.faces[0, 3, 3] += 1
    assert not leaked(data, "validation").any()


def test_chosen_validation_is_stratified_and_the_same_in_any_order() -> None:
    labels = np.repeat(np.arange(7), [100, 10, 50, 200, 80, 60, 2])
    digests = [index.to_bytes(4, "big") for index in range(len(labels))]
    chosen = choose_validation(labels, digests, fraction=0.1, seed=5)
    assert np.bincount(labels[chosen]).tolist() == [10, 1, 5, 20, 8, 6, 1]
    shuffled = np.random.default_rng(0).permutation(len(labels))
    again = choose_validation(labels[shuffled], [digests[index] for index in shuffled], fraction=0.1, seed=5)
    np.testing.assert_array_equal(again, chosen[shuffled])
    assert not np.array_equal(chosen, choose_validation(labels, digests, fraction=0.1, seed=6))


def test_equal_faces_stay_on_one_side_of_the_chosen_split() -> None:
    digests = [bytes([index // 4]) for index in range(400)]  # every face four times
    labels = np.arange(400) % 3
    chosen = choose_validation(labels, digests, fraction=0.25, seed=1)
    assert 0 < chosen.sum() < 400
    assert not {digest for digest, taken in zip(digests, chosen, strict=True) if taken} & {
        digest for digest, taken in zip(digests, chosen, strict=True) if not taken
    }


def test_a_class_of_one_face_stays_in_train() -> None:
    assert choose_validation(np.array([0, 0, 1]), [b"a", b"b", b"c"], fraction=0.5).tolist()[2] is False


def test_taking_faces_by_mask_indices_or_none(data: FaceData) -> None:
    assert data.train.take(np.array([True, False, False, True])).labels.tolist() == [0, 3]
    assert data.train.take([3, 0]).sources == ("train/3", "train/0")
    assert len(data.train.take([])) == len(empty_face_set(4).take(np.zeros(0, bool))) == 0


def test_mean_and_std_are_those_of_every_pixel(data: FaceData) -> None:
    pixels = data.train.faces / 255
    assert data.train.mean_and_std() == pytest.approx((pixels.mean(), pixels.std()), abs=1e-12)
    assert empty_face_set(48).mean_and_std() == (0.0, 1.0)
