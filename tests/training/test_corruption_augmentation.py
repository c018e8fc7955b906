import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from fer_edge.data.load import load_faces
from fer_edge.training.batches import TrainingBatches
from fer_edge.training.config import AugmentConfig
from fer_edge.training.corruptions import (
    Corruptions,
    corrupt,
    corrupts,
    draw_corruptions,
    equalisation,
    jpeg,
    lose_resolution,
)
from fer_edge.training.distributed import Processes

ALL = AugmentConfig(equalise=0.5, gamma=0.6, jpeg=0.5, resolution=0.5)


@pytest.fixture(scope="module")
def faces():
    return load_faces("sample:70").train.faces[:12]


def draws(number, **changes):
    still = {
        "equalise": np.zeros(number, bool),
        "gamma": np.ones(number, np.float32),
        "side": np.zeros(number, np.int64),
        "quality": np.zeros(number, np.int64),
    }
    return Corruptions(**{**still, **{name: np.asarray(value) for name, value in changes.items()}})


def test_equalisation_is_pillows(faces):
    flat = np.full((1, 48, 48), 7, np.uint8)
    low = (faces // 4 + 100).astype(np.uint8)
    for each in (*faces, *low, *flat):
        expected = np.asarray(ImageOps.equalize(Image.fromarray(each)))
        table = equalisation(torch.from_numpy(each)[None])[0].numpy()
        np.testing.assert_array_equal(table[each], expected)


@pytest.mark.parametrize("quality", [30, 50, 75, 95])
def test_a_jpeg_is_pillows_but_for_rounding(faces, quality):
    ours = jpeg(torch.from_numpy(faces).float(), torch.full((len(faces),), quality)).numpy()
    for mine, face in zip(ours, faces, strict=True):
        stream = io.BytesIO()
        Image.fromarray(face).save(stream, "JPEG", quality=quality)
        theirs = np.asarray(Image.open(stream)).astype(float)
        # libjpeg transforms in eighths: here and there a frequency is rounded to the next step
        assert (np.abs(mine - theirs) <= 1).mean() > 0.9
        assert np.abs(mine - theirs).mean() < 0.5
        assert quality == 95 or np.abs(face - theirs).mean() > 5 * np.abs(mine - theirs).mean()


def test_a_face_that_is_no_whole_number_of_blocks_is_compressed_too(faces):
    odd = torch.from_numpy(faces[:, :45, :45].copy()).float()
    changed = jpeg(odd, torch.full((len(odd),), 60))
    assert changed.shape == odd.shape
    assert 0 < (changed - odd).abs().mean() < 10


def test_a_lower_resolution_is_that_of_an_interpolation_down_and_up(faces):
    images = torch.from_numpy(faces).float()
    for side in (8, 16, 37):
        options = {"mode": "bilinear", "align_corners": False}
        small = torch.nn.functional.interpolate(images[:, None], size=(side, side), antialias=True, **options)
        expected = torch.nn.functional.interpolate(small, size=(48, 48), **options)[:, 0]
        found = lose_resolution(images, torch.full((len(images),), side))
        torch.testing.assert_close(found, expected, rtol=0, atol=0.01)
    torch.testing.assert_close(lose_resolution(images, torch.full((len(images),), 48)), images, rtol=0, atol=1e-3)


def test_each_face_is_changed_on_its_own_and_the_others_stay(faces):
    images = torch.from_numpy(faces)
    before = images.clone()
    place = np.arange(len(faces))
    for number, change in enumerate(
        (
            {"equalise": place == 3},
            {"gamma": np.where(place == 3, 1.5, 1).astype(np.float32)},
            {"side": np.where(place == 3, 20, 0)},
            {"quality": np.where(place == 3, 40, 0)},
        )
    ):
        changed = corrupt(images, draws(len(faces), **change))
        assert changed.dtype == torch.uint8
        different = (changed != images).flatten(1).any(dim=1)
        assert different.tolist() == [n == 3 for n in place], number
        assert torch.equal(images, before)
    darker = corrupt(images, draws(len(faces), gamma=np.full(len(faces), 1.5, np.float32)))
    expected = np.round((faces / 255) ** 1.5 * 255)
    np.testing.assert_allclose(darker.numpy(), expected, atol=1)
    assert torch.equal(corrupt(images, draws(len(faces))), images)


def test_draws_stay_within_the_settings():
    drawn = draw_corruptions(np.random.default_rng(0), 4000, 48, ALL)
    assert drawn.equalise.mean() == pytest.approx(0.5, abs=0.05)
    assert 1 / 1.6 <= drawn.gamma.min() < 0.65
    assert 1.55 < drawn.gamma.max() <= 1.6
    assert np.log(drawn.gamma).mean() == pytest.approx(0, abs=0.02)
    for values, low, high in ((drawn.side, 16, 40), (drawn.quality, 30, 95)):
        assert (values > 0).mean() == pytest.approx(0.5, abs=0.05)
        assert (values[values > 0].min(), values.max()) == (low, high)
    off = draw_corruptions(np.random.default_rng(0), 100, 48, AugmentConfig())
    assert [bool(values.any()) for values in (off.equalise, off.side, off.quality, off.gamma != 1)] == [False] * 4
    assert not corrupts(AugmentConfig())
    assert corrupts(AugmentConfig(jpeg=0.1))
    assert not corrupts(ALL.scaled(0))


def test_corruptions_depend_on_the_place_alone_and_leave_the_other_variations_as_they_are(drawn, tiny_config):
    where = {"mean": 0.5, "std": 0.25, "device": torch.device("cpu")}

    def batches(augment):
        return TrainingBatches(drawn.train, replace(tiny_config, augment=augment), processes=Processes(), **where)

    plain, corrupted, again = batches(AugmentConfig()), batches(replace(ALL)), batches(replace(ALL))
    corrupted.batch(0, 0)
    assert torch.equal(corrupted.batch(1, 1).faces, again.batch(1, 1).faces)
    assert not torch.equal(corrupted.batch(1, 1).faces, plain.batch(1, 1).faces)
    gamma_alone = batches(AugmentConfig(gamma=1e-6))  # corrupts nothing, so what is left are the variations
    torch.testing.assert_close(gamma_alone.batch(1, 1).faces, plain.batch(1, 1).faces)
