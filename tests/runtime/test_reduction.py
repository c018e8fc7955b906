"""Large images are made smaller while they are opened; answers and places stay those of the whole image."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_edge.runtime import reduction
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.images import decode_image, open_image

RNG = np.random.default_rng(5)
SMOOTH = Image.fromarray(RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)).resize((181, 121), Image.Resampling.BICUBIC)


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> int:
    """Images of more than 4,000 pixels are large here: those of 181x121 are made three times smaller."""
    monkeypatch.setattr(reduction, "REDUCED_PIXELS", 4000)
    monkeypatch.setattr(reduction, "_BAND_PIXELS", 181 * 9)  # several bands
    return 4000


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("image", "format"),
    [
        (SMOOTH, "PNG"),
        (SMOOTH.convert("L"), "PNG"),
        (SMOOTH.convert("RGBA").rotate(20), "PNG"),
        (SMOOTH.quantize(30), "GIF"),
        (SMOOTH, "TIFF"),
        (SMOOTH, "WEBP"),
        (Image.fromarray(np.asarray(SMOOTH.convert("L")).astype(np.uint16) * 257), "PNG"),
    ],
    ids=["rgb", "grey", "alpha", "palette", "tiff", "webp", "16 bits"],
)
def test_large_images_are_the_mean_of_their_pixels(image: Image.Image, format: str, limit: int) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(image, format, **options)
    whole = decode_image(data)
    assert whole.shape[:2] == (121, 181)
    opened = open_image(data)
    assert (opened.width, opened.height, opened.factor) == (181, 121, 3)
    flat = Image.fromarray(whole[:, :, 0] if whole.shape[2] == 1 else whole)
    expected = np.asarray(flat.reduce(3))
    assert np.array_equal(opened.pixels.squeeze(), expected)
    assert opened.pixels.shape[0] * opened.pixels.shape[1] <= limit
    from_memory = open_image(whole)
    assert np.array_equal(from_memory.pixels, opened.pixels)
    assert (from_memory.width, from_memory.factor) == (181, 3)


def test_a_large_jpeg_is_decoded_smaller(limit: int) -> None:
    data = encoded(SMOOTH, "JPEG", quality=95)
    opened = open_image(data)
    assert (opened.width, opened.height, opened.factor, opened.pixels.shape) == (181, 121, 4, (31, 46, 3))
    expected = np.asarray(SMOOTH.resize((46, 31), Image.Resampling.BOX), dtype=int)
    assert np.abs(opened.pixels - expected).mean() < 12  # its right edge lies elsewhere: 46 * 4 is not 181


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_sizes_are_those_of_the_upright_image(format: str, orientation: int, limit: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(SMOOTH, format, exif=exif)
    height, width = decode_image(data).shape[:2]
    opened = open_image(data)
    assert (opened.width, opened.height) == (width, height)
    rows, columns = opened.pixels.shape[:2]
    assert (rows, columns) == (-(-height // opened.factor), -(-width // opened.factor))


def test_sides_are_swapped_where_only_the_reduced_image_is_square(limit: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    opened = open_image(encoded(SMOOTH.crop((0, 0, 110, 109)), "PNG", exif=exif))
    assert opened.pixels.shape == (55, 55, 3)
    assert (opened.width, opened.height) == (109, 110)


def test_small_images_are_opened_as_they_are() -> None:
    data = encoded(SMOOTH, "PNG")
    opened = open_image(data)
    assert (opened.factor, opened.width, opened.height) == (1, 181, 121)
    assert np.array_equal(opened.pixels, decode_image(data))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_places_are_those_in_the_whole_photo(
    classifier: Classifier, astronaut: Path, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"photo{suffix}"
    Image.open(astronaut).convert("RGB").crop((0, 0, 512, 400)).save(path, quality=95)
    whole = classifier.predict_faces(path)
    monkeypatch.setattr(reduction, "REDUCED_PIXELS", 60_000)
    photo = classifier.predict_faces(path)
    assert (photo.width, photo.height) == (512, 400)
    (found,), (expected,) = photo.faces, whole.faces
    assert found.face is not None
    assert expected.face is not None
    for side in ("x", "y", "width", "height"):
        assert getattr(found.face.box, side) == pytest.approx(getattr(expected.face.box, side), abs=10)
    for (x, y), (expected_x, expected_y) in zip(found.face.landmarks, expected.face.landmarks, strict=True):
        assert (x, y) == (pytest.approx(expected_x, abs=10), pytest.approx(expected_y, abs=10))
    (drawn,) = classifier.predict_photos([("drawn", path)], batch_size=1, keep_pixels=True)
    assert drawn.pixels is not None
    assert drawn.pixels.shape == (400, 512, 3)  # to be drawn on, so whole
    assert drawn.photo is not None
    assert drawn.photo.faces[0].face == expected.face


PEAK = """
import sys
from pathlib import Path
from fer_edge.runtime.images import open_image
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
open_image(sys.argv[1])
before = peak()
assert open_image(sys.argv[2]).factor > 1
print((peak() - before) / 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc: the peak is read there")
@pytest.mark.parametrize(("suffix", "bytes_per_pixel"), [(".jpg", 3), (".png", 7)])
def test_the_peak_of_a_large_image_is_bounded(tmp_path: Path, suffix: str, bytes_per_pixel: float) -> None:
    small, large = tmp_path / f"small{suffix}", tmp_path / f"large{suffix}"
    Image.new("RGB", (640, 480), (200, 100, 50)).save(small)
    Image.new("RGB", (8000, 5000), (200, 100, 50)).save(large)
    command = [sys.executable, "-c", PEAK, str(small), str(large)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert float(done.stdout) * 2**20 < bytes_per_pixel * 8000 * 5000
