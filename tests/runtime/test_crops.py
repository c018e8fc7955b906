import numpy as np
import pytest
from PIL import Image

from fer_edge.errors import UsageError
from fer_edge.runtime.crops import MAX_CROP_SIDE, Framing, crop_face
from fer_edge.runtime.detector import Box, Face


def face(x: float, y: float, width: float, height: float, *, tilt: float = 0.0) -> Face:
    """A face in a box whose eyes are on a line tilted by ``tilt`` degrees (clockwise, as y points down)."""
    cx, cy = x + width / 2, y + height / 2
    dx, dy = np.cos(np.radians(tilt)) * width / 4, np.sin(np.radians(tilt)) * width / 4
    eyes = ((cx - dx, cy - dy), (cx + dx, cy + dy))
    return Face(Box(x, y, width, height), (*eyes, (cx, cy), (cx, cy), (cx, cy)), 0.9)


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def test_crop_is_the_square_around_the_box(photo: np.ndarray) -> None:
    crop = crop_face(photo, face(20, 10, 10, 20), Framing(margin=1.5))
    np.testing.assert_array_equal(crop, photo[5:35, 10:40])


@pytest.mark.parametrize(
    ("box", "margin", "expected"),  # left, top, size by the rule of the module
    [
        ((10.2, 10.2, 9.6, 9.6), 1.0, (10, 10, 10)),
        ((10, 10, 9, 9), 1.0, (10, 10, 9)),
        ((10.5, 10.5, 10, 10), 1.0, (11, 11, 10)),  # a half goes up, not to the even number
        ((9.5, 9.5, 10, 10), 1.0, (10, 10, 10)),
        ((10, 10, 10, 10), 1.05, (10, 10, 11)),  # 10.5 px become 11; 9.5 becomes 10
        ((10, 10, 0.2, 0.1), 1.0, (10, 10, 1)),
    ],
)
def test_rounding_is_that_of_the_rule(
    photo: np.ndarray, box: tuple[float, ...], margin: float, expected: tuple[int, int, int]
) -> None:
    left, top, size = expected
    crop = crop_face(photo, face(*box), Framing(margin=margin))
    np.testing.assert_array_equal(crop, photo[top : top + size, left : left + size])


def test_beyond_the_border_the_last_pixel_is_repeated(photo: np.ndarray) -> None:
    crop = crop_face(photo, face(-5, 50, 20, 20), Framing(margin=1.0))
    expected = np.pad(photo, ((0, 20), (5, 0), (0, 0)), mode="edge")[50:70, :20]
    np.testing.assert_array_equal(crop, expected)
    far_out = crop_face(photo, face(500, 500, 10, 10), Framing(margin=1.0))
    assert (far_out == photo[-1, -1]).all()


def test_crop_does_not_share_the_photo(photo: np.ndarray) -> None:
    before = photo.copy()
    crop_face(photo, face(10, 10, 10, 10), Framing())[:] = 0
    np.testing.assert_array_equal(photo, before)


def test_level_eyes_align_to_the_plain_crop(photo: np.ndarray) -> None:
    one = face(20, 10, 13, 17)
    plain, aligned = (crop_face(photo, one, Framing(align=align)) for align in (False, True))
    np.testing.assert_array_equal(aligned, plain)


def test_alignment_turns_the_eyes_level() -> None:
    upright = np.zeros((200, 200, 1), dtype=np.uint8)
    upright[85:95, 60:140] = 255  # a bar where the eyes are
    upright[120:150, 95:105] = 128  # and a nose below them
    tilt = 25
    tilted = np.asarray(Image.fromarray(upright[:, :, 0]).rotate(-tilt, Image.Resampling.BILINEAR))[:, :, np.newaxis]
    framing = Framing(margin=1.0, align=True)
    aligned = crop_face(tilted, face(40, 40, 120, 120, tilt=tilt), framing)
    expected = crop_face(upright, face(40, 40, 120, 120), framing)
    difference = np.abs(aligned.astype(int) - expected)
    assert difference.mean() < 4
    unaligned = crop_face(tilted, face(40, 40, 120, 120, tilt=tilt), Framing(margin=1.0))
    assert np.abs(unaligned.astype(int) - expected).mean() > 20


def test_a_half_turn_is_exact_and_eyes_in_one_point_turn_nothing(photo: np.ndarray) -> None:
    plain = crop_face(photo, face(20, 10, 20, 20), Framing())
    turned = crop_face(photo, face(20, 10, 20, 20, tilt=180), Framing(align=True))
    np.testing.assert_array_equal(turned, plain[::-1, ::-1])
    blind = Face(Box(20, 10, 20, 20), ((30.0, 20.0),) * 5, 0.9)
    np.testing.assert_array_equal(crop_face(photo, blind, Framing(align=True)), plain)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_very_large_face_is_cut_from_a_smaller_photo(channels: int) -> None:
    rows, columns = np.mgrid[:3000, :3000]
    photo = np.repeat((rows // 24 + columns // 24)[:, :, np.newaxis] % 256, channels, axis=2).astype(np.uint8)
    crop = crop_face(photo, face(300, 600, 2000, 2100), Framing(margin=1.0))
    assert crop.shape == (700, 700, channels)  # 2100 / 3, the least that makes it at most MAX_CROP_SIDE
    assert max(crop.shape) <= MAX_CROP_SIDE
    blocks = photo[600:2700, 250:2350].reshape(700, 3, 700, 3, channels).mean(axis=(1, 3))
    assert np.abs(crop.astype(float) - blocks).mean() < 0.5


@pytest.mark.parametrize("margin", [0.4, 3.1, float("nan"), -1])
def test_a_margin_that_makes_no_sense_is_refused(margin: float) -> None:
    with pytest.raises(UsageError, match=r"expected a margin from 0\.5 to 3\.0 .*, found"):
        Framing(margin=margin)
