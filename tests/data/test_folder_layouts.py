"""Folders of images: which class and which split each is from."""

from pathlib import Path

import numpy as np
import pytest
from made_faces import face_of, write_face, write_folders

from fer_edge.data.faces import FaceData
from fer_edge.data.load import load_faces
from fer_edge.labels import FER2013

ALIASES = ("Anger", "DISGUSTED", "fearful", "Happiness", "neutral", "sadness", "Surprised")


def sizes(data: FaceData) -> tuple[int, int, int]:
    return len(data.train), len(data.validation), len(data.test)


def assert_labels_match_pixels(data: FaceData) -> None:
    for faces in data.splits.values():
        np.testing.assert_array_equal(faces.faces[:, 0, 0], 10 * faces.labels)


@pytest.mark.parametrize("name", ["validation", "val", "valid", "VAL"])
def test_split_folders_decide_where_file_names_say_nothing(tmp_path: Path, name: str) -> None:
    root = write_folders(tmp_path / "faces", ("Train", name, "test"))
    data = load_faces(root)
    assert sizes(data) == (21, 21, 21)
    assert data.layout == f"split folders {', '.join(sorted(['Train/', f'{name}/', 'test/']))}; split: by folder"
    assert data.train.faces.dtype == np.uint8
    assert data.train.labels.dtype == np.int64
    assert data.train.counts(FER2013) == dict.fromkeys(FER2013.names, 3)
    np.testing.assert_array_equal(data.train.faces[0], face_of("angry", 0))
    assert data.train.sources[0] == f"{root}/Train/angry/face_0.png"
    assert_labels_match_pixels(data)


def test_prefix_of_a_file_name_decides_whatever_its_folder(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "faces", ("train", "test"), prefix="Training_")
    for expression in FER2013.names:
        write_face(root / "test" / expression / "PublicTest_7.png", expression, 500)
        write_face(root / "train" / expression / "PrivateTest_8.png", expression, 600)
    data = load_faces(root)
    assert sizes(data) == (42, 7, 7)
    assert data.layout.endswith("split: by the prefix of each file name (Training_, PublicTest_, PrivateTest_)")
    assert all("PublicTest_7" in source for source in data.validation.sources)


def test_a_name_that_only_begins_like_a_prefix_decides_nothing(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "faces", ("train", "validation", "test"), prefix="Training_data_")
    assert sizes(load_faces(root)) == (21, 21, 21)


def test_both_ways_of_saying_the_split_are_counted_in_the_layout(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "faces", ("train", "test"))
    write_face(root / "train" / "sad" / "PublicTest_1.png", "sad", 900)
    data = load_faces(root)
    assert sizes(data) == (21, 1, 21)
    assert data.layout.endswith("split: 1 images by the prefix of their name, 42 by folder")


def test_class_names_are_mapped_by_name_not_by_place(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "faces", ("train", "val"), ALIASES)
    data = load_faces(root)
    assert data.train.counts(FER2013) == dict.fromkeys(FER2013.names, 3)
    assert_labels_match_pixels(data)


def test_folders_that_mean_the_same_are_merged(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "faces", ("train", "val", "validation"))
    write_face(root / "train" / "Angry" / "x.png", "angry", 77)
    write_face(root / "train" / "ANGER" / "x.png", "angry", 78)
    data = load_faces(root)
    assert data.train.counts(FER2013)["angry"] == 5
    assert len(data.validation) == 42


def test_class_folders_alone_are_train_with_a_seeded_part_for_validation(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "faces", ("",), per_class=20)
    data = load_faces(root, seed=3)
    assert sizes(data) == (126, 14, 0)
    assert data.validation.counts(FER2013) == dict.fromkeys(FER2013.names, 2)
    assert data.layout == "class folders; split: all train; validation: a stratified 10% of train, seed 3"
    assert data.validation_from_train
    assert_labels_match_pixels(data)
    assert load_faces(root, seed=3).validation.sources == data.validation.sources
    assert load_faces(root, seed=4).validation.sources != data.validation.sources
    assert len(load_faces(root, validation_fraction=0.25).validation) == 35


def test_train_and_test_alone_take_validation_from_train_and_leave_test_whole(tmp_path: Path) -> None:
    assert sizes(load_faces(write_folders(tmp_path / "faces", ("train", "test"), per_class=20))) == (126, 14, 140)


def test_a_single_split_folder_can_be_named_itself(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "faces", ("test",), prefix="PublicTest_")
    assert sizes(load_faces(root / "test")) == (0, 21, 0)


def test_folders_around_the_layout_are_descended_through(tmp_path: Path) -> None:
    write_folders(tmp_path / "archive" / "fer2013", ("train", "validation"))
    (tmp_path / "archive" / "README.txt").write_text("unpacked here")
    assert sizes(load_faces(tmp_path)) == (21, 21, 0)


def test_a_linked_class_folder_is_read(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "faces", ("train", "validation"))
    (root / "train" / "happy").rename(tmp_path / "elsewhere")
    (root / "train" / "happy").symlink_to(tmp_path / "elsewhere")
    assert load_faces(root).train.counts(FER2013)["happy"] == 3


def test_names_in_any_script_are_read(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "Gesichter été 表情", ("train", "validation"), prefix="größe 笑_")
    data = load_faces(root)
    assert sizes(data) == (21, 21, 0)
    assert "größe 笑_0.png" in data.train.sources[0]


def test_images_of_other_sizes_and_colours_become_grey_faces_of_the_size(tmp_path: Path) -> None:
    from PIL import Image

    root = write_folders(tmp_path / "faces", ("train", "validation"))
    Image.new("RGB", (200, 120), (255, 0, 0)).save(root / "train" / "sad" / "big.jpg")
    data = load_faces(root, size=64)
    assert data.train.faces.shape == (22, 64, 64)
    red = data.train.faces[[source.endswith("big.jpg") for source in data.train.sources]][0]
    assert abs(int(red.mean()) - 76) <= 2  # the luma of red: 0.299 * 255


def test_the_working_directory_is_searched_when_nothing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_folders(tmp_path / "fer2013", ("train", "validation"))
    data = load_faces()
    assert data.source == str(tmp_path / "fer2013")
    assert sizes(data) == (21, 21, 0)


def test_fingerprint_depends_on_faces_labels_and_splits_alone(tmp_path: Path) -> None:
    first = write_folders(tmp_path / "a", ("train", "validation"))
    second = write_folders(tmp_path / "b" / "c", ("TRAIN", "val"), ALIASES, prefix="other_")
    expected = load_faces(first).fingerprint()
    assert load_faces(second).fingerprint() == expected
    (second / "TRAIN" / "Anger" / "other_0.png").rename(second / "TRAIN" / "sadness" / "moved.png")
    assert load_faces(second).fingerprint() != expected  # another label
    (second / "TRAIN" / "sadness" / "moved.png").rename(second / "val" / "Anger" / "moved.png")
    assert load_faces(second).fingerprint() != expected  # another split
