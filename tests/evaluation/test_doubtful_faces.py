"""Faces that are covered, turned, or none: what changes, and that nothing else does."""

import numpy as np
import pytest

from fer_edge.data.sample import synthetic_faces
from fer_edge.evaluation.doubtful_faces import DOUBTFUL, NOT_A_FACE, cover, noise, scramble, turn

FACES = synthetic_faces(range(6), seed=2).faces


@pytest.mark.parametrize("one", DOUBTFUL, ids=lambda one: one.name)
def test_each_changes_every_face_the_same_way_twice_and_leaves_the_originals(one) -> None:
    before = FACES.copy()
    changed = one.apply(FACES)
    assert (before == FACES).all()
    assert changed.dtype == np.uint8
    assert changed.shape[0] == len(FACES)
    assert changed.shape[1] == changed.shape[2]
    assert (one.apply(FACES) == changed).all()
    if changed.shape == FACES.shape:
        assert (changed != FACES).any(axis=(1, 2)).all()


def test_names_differ() -> None:
    assert len({one.name for one in DOUBTFUL}) == len(DOUBTFUL)
    assert sum(one.kind == NOT_A_FACE for one in DOUBTFUL) == 2


def test_only_the_covered_part_changes() -> None:
    for part, rows, columns in (("mouth", slice(28, 48), slice(None)), ("left half", slice(None), slice(0, 24))):
        covered = cover(FACES, part)
        assert (covered[:, rows, columns] == 96).all()
        covered[:, rows, columns] = FACES[:, rows, columns]
        assert (covered == FACES).all()


def test_four_quarter_turns_are_none() -> None:
    turned = FACES
    for _ in range(4):
        turned = turn(turned, 90)
    assert (turned == FACES).all()


def test_a_scrambled_face_has_the_same_pixels_elsewhere() -> None:
    scrambled = scramble(FACES)
    assert (np.sort(scrambled.reshape(6, -1)) == np.sort(FACES.reshape(6, -1))).all()
    assert (noise(FACES)[0] != noise(FACES)[1]).mean() > 0.9
