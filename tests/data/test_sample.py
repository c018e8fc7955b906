"""Synthetic faces: the same for a seed, honest about being synthetic, and told apart by what an expression moves."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_edge.data.action_units import ACTION_UNITS, PROTOTYPES, choose_intensities
from fer_edge.data.load import load_faces
from fer_edge.data.sample import synthetic_face, synthetic_faces, write_sample
from fer_edge.errors import DataError, StorageError
from fer_edge.labels import FER2013


def test_a_face_depends_on_seed_and_number_alone() -> None:
    few, many = load_faces("sample:42", seed=3), synthetic_faces(range(60), seed=3)
    np.testing.assert_array_equal(few.train.faces, many.faces[:28])
    np.testing.assert_array_equal(synthetic_face(17, seed=3), many.faces[17])
    assert not np.array_equal(synthetic_face(17, seed=4), many.faces[17])
    face = synthetic_face(17, seed=3)
    face[:] = 0  # it is the caller's own
    np.testing.assert_array_equal(synthetic_face(17, seed=3), many.faces[17])
    assert load_faces("sample:42").fingerprint() == load_faces("sample:42").fingerprint()


def test_splits_are_balanced_and_share_no_face() -> None:
    data = load_faces("sample:210")
    assert data.train.counts(FER2013) == dict.fromkeys(FER2013.names, 20)
    assert data.validation.counts(FER2013) == data.test.counts(FER2013) == dict.fromkeys(FER2013.names, 5)
    digests = [digest for faces in data.splits.values() for digest in faces.digests()]
    assert len(set(digests)) == 210
    assert data.source == "sample:210"
    assert data.layout == "210 synthetic faces from seed 0, no photos"
    assert load_faces("sample:42", size=32).train.faces.shape == (28, 32, 32)


@pytest.mark.parametrize(
    "source", ["sample:", "sample:41", "sample:-7", "sample:many", "sample:1000001", "sample:" + "9" * 99]
)
def test_a_number_that_cannot_be_drawn_is_refused(source: str) -> None:
    with pytest.raises(
        DataError, match=r"expected sample or sample:N with N from 42 to 1000000, found '.*write \./sample"
    ):
        load_faces(source)


def test_every_expression_moves_its_own_action_units() -> None:
    generator = np.random.default_rng(0)
    assert set(PROTOTYPES) == set(FER2013.names)
    assert len(set(PROTOTYPES.values())) == len(FER2013.names)
    for expression, units in PROTOTYPES.items():
        drawn = [choose_intensities(expression, generator) for _ in range(50)]
        for unit in ACTION_UNITS:
            mean = np.mean([intensities[unit] for intensities in drawn])
            assert (mean > 0.5) if unit in units else (mean < 0.5), (expression, unit)


def test_a_linear_model_separates_held_out_faces() -> None:
    data = load_faces("sample:1260")

    def inputs(faces: np.ndarray) -> np.ndarray:
        small = faces[:, 8:44, 6:42].reshape(-1, 18, 2, 18, 2).mean(axis=(2, 4)).reshape(len(faces), -1)
        return (small - small.mean(1, keepdims=True)) / small.std(1, keepdims=True)

    x, held_out = inputs(data.train.faces), inputs(data.validation.faces)
    targets = np.eye(7)[data.train.labels] - 1 / 7
    weights = np.linalg.solve(x.T @ x + 300 * np.eye(x.shape[1]), x.T @ targets)  # ridge regression
    accuracy = ((held_out @ weights).argmax(1) == data.validation.labels).mean()
    assert accuracy > 0.4  # chance: 0.14; a small convolutional net passes 0.9
    shuffled = np.random.default_rng(0).permutation(data.train.labels)
    weights = np.linalg.solve(x.T @ x + 300 * np.eye(x.shape[1]), x.T @ (np.eye(7)[shuffled] - 1 / 7))
    assert ((held_out @ weights).argmax(1) == data.validation.labels).mean() < 0.3  # the test itself can fail


def test_written_faces_read_back_the_same_and_say_that_they_are_synthetic(tmp_path: Path) -> None:
    out = tmp_path / "new" / "faces"
    assert write_sample(out, 42, seed=5) == 42
    written = load_faces(out)
    assert written.fingerprint() == load_faces("sample:42", seed=5).fingerprint()
    with Image.open(written.train.sources[0]) as picture:
        assert picture.text["Description"].startswith("A synthetic face (fer_edge, seed 5, number ")


def test_writing_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(StorageError, match="expected a new or empty folder, found something there"):
        write_sample(tmp_path, 42)
    with pytest.raises(StorageError, match="expected a new or empty folder"):
        write_sample(tmp_path / "kept.txt", 42)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_a_folder_called_sample_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_sample(Path("sample"), 49)
    assert load_faces("./sample").layout.startswith("split folders")


def test_writing_many_faces_flushes_no_more_often_than_writing_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushes: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: flushes.append("fsync"))
    monkeypatch.setattr(os, "sync", lambda: flushes.append("sync"))
    write_sample(tmp_path / "many", 210)
    assert flushes == ["sync", "fsync"]  # every file at once, then the folder that names them


def test_a_write_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="faces: cannot be written: the disk is full"):
        write_sample(tmp_path / "faces", 42)
    assert list(tmp_path.iterdir()) == []
