"""Whatever the bytes are: a prediction, or one line that names the file. Shown on thousands of damaged images."""

import io
import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from fer_edge.errors import ImageError
from fer_edge.labels import FER2013
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.images import decode_image

INPUTS_PER_FORMAT = 1000

RGB = Image.fromarray(np.random.default_rng(3).integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize((24, 20))


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def with_orientation() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


DEEP_GREY = Image.fromarray(np.arange(480, dtype=np.uint16).reshape(20, 24) * 100)

SEEDS: dict[str, list[bytes]] = {
    "JPEG": [
        encoded(RGB, "JPEG", exif=with_orientation()),
        encoded(RGB, "JPEG", progressive=True),
        encoded(RGB.convert("CMYK"), "JPEG"),
        encoded(RGB.convert("L"), "JPEG"),
    ],
    "PNG": [
        encoded(RGB.convert("RGBA"), "PNG"),
        encoded(RGB.quantize(8), "PNG", transparency=1),
        encoded(DEEP_GREY, "PNG"),
        encoded(RGB, "PNG", save_all=True, append_images=[RGB.rotate(90)]),
    ],
    "GIF": [encoded(RGB, "GIF"), encoded(RGB, "GIF", save_all=True, append_images=[RGB.rotate(90)], transparency=2)],
    "BMP": [encoded(RGB, "BMP"), encoded(RGB.quantize(8), "BMP"), encoded(RGB.convert("1"), "BMP")],
    "WEBP": [encoded(RGB, "WEBP"), encoded(RGB.convert("RGBA"), "WEBP", lossless=True, exif=with_orientation())],
    "TIFF": [
        encoded(RGB, "TIFF"),
        encoded(RGB, "TIFF", compression="tiff_lzw"),
        encoded(RGB, "TIFF", compression="jpeg"),
        encoded(RGB.convert("1"), "TIFF", compression="group4"),
        encoded(DEEP_GREY, "TIFF", compression="tiff_adobe_deflate"),
        encoded(RGB.convert("F"), "TIFF"),
    ],
    "PPM": [encoded(RGB, "PPM"), encoded(RGB.convert("L"), "PPM"), b"P3 2 2 255 " + b"1 2 3 " * 4],
}


def flip_bits(data: bytearray, generator: random.Random) -> None:
    for _ in range(generator.randint(1, 12)):
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)


def lie_in_the_header(data: bytearray, generator: random.Random) -> None:
    """Extreme values where sizes, counts and offsets stand."""
    for _ in range(generator.randint(1, 3)):
        start = generator.randrange(min(len(data), 120))
        value = generator.choice((b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"))
        data[start : start + 4] = value[: generator.choice((1, 2, 4))]


def truncate(data: bytearray, generator: random.Random) -> None:
    del data[generator.randrange(len(data)) :]


def splice(data: bytearray, generator: random.Random) -> None:
    """A piece of another image, of this or another format, put in or over."""
    other = generator.choice(SEEDS[generator.choice(list(SEEDS))])
    start, size = generator.randrange(len(other)), generator.randint(1, 64)
    at = generator.randrange(len(data))
    data[at : at + generator.choice((0, size))] = other[start : start + size]


def repeat_a_piece(data: bytearray, generator: random.Random) -> None:
    start = generator.randrange(len(data))
    data[start:start] = data[start : start + generator.randint(1, 64)] * generator.randint(1, 20)


MUTATIONS: list[Callable[[bytearray, random.Random], None]] = [
    flip_bits,
    flip_bits,
    lie_in_the_header,
    truncate,
    splice,
    repeat_a_piece,
]


def mutants(format: str, count: int) -> list[bytes]:
    generator = random.Random(f"fer-edge {format}")
    found = []
    for _ in range(count):
        data = bytearray(generator.choice(SEEDS[format]))
        for mutate in generator.sample(MUTATIONS, generator.randint(1, 2)):
            if data:
                mutate(data, generator)
        found.append(bytes(data))
    return found


@pytest.mark.parametrize("format", SEEDS)
def test_undamaged_seeds_are_predicted(format: str, classifier: Classifier) -> None:
    for data in SEEDS[format]:
        if Image.open(io.BytesIO(data)).mode == "F":
            continue  # floats of 0-255: refused by their range, and a way into the decoder all the same
        assert classifier.predict(data).label in FER2013.names


@pytest.mark.filterwarnings("ignore")  # Pillow warns about odd metadata in images that it opens all the same
@pytest.mark.parametrize("format", SEEDS)
def test_damaged_images_give_a_prediction_or_one_line_with_their_name(format: str, classifier: Classifier) -> None:
    found: Counter[str] = Counter()
    for at, data in enumerate(mutants(format, INPUTS_PER_FORMAT)):
        name = f"{format}-{at}"
        try:
            pixels = decode_image(data, name=name)
        except ImageError as error:
            message = str(error)
            assert message.startswith(f"{name}: "), message  # either end is right, so raises() cannot say it
            assert message.isprintable(), message  # as above
            found["refused"] += 1
            continue
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] in (1, 3)
        probabilities = classifier.probabilities(pixels[np.newaxis])[0]
        assert probabilities.sum() == pytest.approx(1, abs=1e-4)
        found["predicted"] += 1
    # Both ends were reached: the mutants are neither harmless nor hopeless.
    assert found["refused"] > INPUTS_PER_FORMAT / 20
    assert found["predicted"] > INPUTS_PER_FORMAT / 20


def test_there_are_at_least_two_thousand_of_them() -> None:
    assert len(SEEDS) * INPUTS_PER_FORMAT >= 2000
