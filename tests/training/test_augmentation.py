from dataclasses import replace

import numpy as np
import pytest
import torch

from fer_edge.training.augmentation import augment, draw_variations, normalise
from fer_edge.training.config import AugmentConfig

STILL = AugmentConfig().scaled(0)

MEAN, STD = 0.5, 0.25


def varied(faces, config, seed=0):
    variations = draw_variations(np.random.default_rng(seed), len(faces), faces.shape[-1], config)
    return augment(faces, variations, MEAN, STD)


@pytest.fixture
def faces():
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (16, 48, 48), dtype=np.uint8))


def test_without_variations_a_face_is_only_normalised(faces):
    torch.testing.assert_close(varied(faces, STILL), normalise(faces, MEAN, STD), rtol=0, atol=1e-4)
    expected = (faces.double() / 255 - MEAN) / STD
    torch.testing.assert_close(normalise(faces, MEAN, STD)[:, 0].double(), expected, rtol=0, atol=1e-5)


def test_a_certain_flip_mirrors_every_face(faces):
    flipped = varied(faces, replace(STILL, flip=1.0))
    torch.testing.assert_close(flipped, normalise(faces, MEAN, STD).flip(-1), rtol=0, atol=1e-4)


def test_a_flip_of_one_half_mirrors_some_faces_and_not_others(faces):
    flipped, straight = varied(faces, replace(STILL, flip=0.5)), normalise(faces, MEAN, STD)
    unchanged = [torch.allclose(a, b, atol=1e-3) for a, b in zip(flipped, straight, strict=True)]
    mirrored = [torch.allclose(a, b.flip(-1), atol=1e-3) for a, b in zip(flipped, straight, strict=True)]
    assert all(a != b for a, b in zip(unchanged, mirrored, strict=True))
    assert 3 < sum(mirrored) < 13


def test_crop_moves_by_whole_pixels_without_blurring(faces):
    moved = varied(faces, replace(STILL, crop=4))
    straight = normalise(faces, MEAN, STD)
    for face, original in zip(moved, straight, strict=True):
        inner = face[:, 4:-4, 4:-4]
        matches = [
            torch.allclose(inner, original[:, top : top + 40, left : left + 40], atol=2e-3)
            for top in range(9)
            for left in range(9)
        ]
        assert sum(matches) == 1


def test_a_quarter_turn_turns_the_picture():
    face = torch.zeros(1, 48, 48, dtype=torch.uint8)
    face[0, :10, 20:28] = 255  # a mark at the top
    generator = np.random.default_rng(0)
    variations = draw_variations(generator, 1, 48, STILL)
    quarter = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]])
    turned = augment(face, replace(variations, affine=quarter), 0.0, 1.0)[0, 0]
    torch.testing.assert_close(turned, torch.rot90(face[0], k=1).float() / 255, rtol=0, atol=1e-4)


def test_rotations_are_rigid_and_within_their_setting():
    variations = draw_variations(np.random.default_rng(0), 1000, 48, replace(STILL, rotation=30.0, flip=0.5))
    maps = variations.affine[:, :, :2].double()  # (N, 2, 2)
    torch.testing.assert_close(maps @ maps.mT, torch.eye(2).double().expand(1000, 2, 2), rtol=0, atol=1e-6)
    mirrored = torch.linalg.det(maps) < 0
    assert 400 < int(mirrored.sum()) < 600
    degrees = torch.rad2deg(torch.atan2(-maps[:, 0, 1], maps[:, 1, 1]))
    assert 29 < float(degrees.max()) <= 30
    assert -30 <= float(degrees.min()) < -29


def test_scale_enlarges_and_reduces():
    face = torch.zeros(200, 48, 48, dtype=torch.uint8)
    face[:, 18:30, 18:30] = 255
    lit = (varied(face, replace(STILL, scale=0.3)) > 0).sum(dim=(1, 2, 3))  # pixels of the square, 144 as drawn
    assert lit.min() < 144 * 0.65
    assert lit.max() > 144 * 1.45


def test_brightness_and_contrast_stay_within_their_settings():
    face = torch.full((500, 16, 16), 128, dtype=torch.uint8)
    brighter = varied(face, replace(STILL, brightness=0.2))[:, 0, 0, 0] * STD + MEAN
    assert 0.30 < brighter.min() < 0.32
    assert 0.69 < brighter.max() < 0.71
    face[:, :, :8] = 64
    stretched = varied(face, replace(STILL, contrast=0.5))
    spread = (stretched[:, 0, 0, -1] - stretched[:, 0, 0, 0]) * STD * 255
    assert 64 * 0.5 <= spread.min() < 64 * 0.52
    assert 64 * 1.48 < spread.max() <= 64 * 1.5
    assert torch.allclose(stretched.mean(dim=(1, 2, 3)), stretched.mean(), atol=1e-4)  # contrast keeps the mean


def test_erasing_fills_a_rectangle_of_bounded_area_with_the_mean():
    face = torch.full((500, 48, 48), 250, dtype=torch.uint8)
    erased = varied(face, replace(STILL, erasing=0.5, erasing_area=0.25))[:, 0] == 0
    parts = erased.float().mean(dim=(1, 2))
    hit = parts > 0
    assert 0.4 < hit.float().mean() < 0.6
    assert parts[hit].max() < 0.30
    assert parts[hit].min() > 0.01
    for mask in erased[hit]:
        rows, columns = mask.any(dim=1), mask.any(dim=0)
        assert mask.sum() == rows.sum() * columns.sum()  # one full rectangle


def test_faces_are_varied_each_on_their_own_and_by_the_seed_alone(faces):
    same = faces[:1].repeat(8, 1, 1)
    once, again, other = varied(same, AugmentConfig()), varied(same, AugmentConfig()), varied(same, AugmentConfig(), 1)
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert len({tuple(face.flatten().tolist()) for face in once}) == 8
