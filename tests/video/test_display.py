from fractions import Fraction
from pathlib import Path

import numbered
import numpy as np
import pytest
from numpy.typing import NDArray

from fer_edge.video.source import VideoSource

ONE = 1 << 16
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


def quarters(_number: int) -> NDArray[np.uint8]:
    """Red, green / blue, white."""
    width, height = numbered.SIZE
    return np.array(list(COLOURS.values()), np.uint8).reshape(2, 2, 3).repeat(height // 2, 0).repeat(width // 2, 1)


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), "red green blue white"),
        ((0, 1, -1, 0), "blue red white green"),
        ((-1, 0, 0, -1), "white blue green red"),
        ((0, -1, 1, 0), "green white red blue"),
        ((-1, 0, 0, 1), "green red white blue"),
        ((1, 0, 0, -1), "blue white red green"),
        ((0, 1, 1, 0), "red blue green white"),
        ((0, -1, -1, 0), "white green blue red"),
    ],
    ids=["as it is", "clockwise", "half", "counter-clockwise", "mirrored", "upside down", "transposed", "both"],
)
def test_pictures_are_turned_and_mirrored_as_the_file_says(
    tmp_path: Path, matrix: tuple[int, int, int, int], shown: str
) -> None:
    path = tmp_path / "phone.mp4"
    numbered.write(path, [0.0, 0.1], pictures=quarters)
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # ISO/IEC 14496-12, track header, version 0
    a, b, c, d = matrix
    data[place : place + 36] = np.array([a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30], ">i4").tobytes()
    path.write_bytes(data)
    with VideoSource(path) as source:
        pixels = next(iter(source)).pixels
    height, width = pixels.shape[:2]
    assert (width, height) == (numbered.SIZE if a else numbered.SIZE[::-1])
    names = {
        (value > (128, 128, 128)).tobytes(): name for name, value in ((n, np.array(c)) for n, c in COLOURS.items())
    }
    places = [(y, x) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    assert " ".join(names[(pixels[place] > 128).tobytes()] for place in places) == shown


@pytest.mark.parametrize("name", ["wide.mp4", "wide.mkv"])
@pytest.mark.parametrize(("aspect", "size"), [("16/11", (140, 64)), ("3/4", (96, 85)), ("9/1", (96, 64))])
def test_pixels_that_are_not_square_are_stretched(
    tmp_path: Path, name: str, aspect: str, size: tuple[int, int]
) -> None:
    numbered.write(tmp_path / name, [0.0, 0.1], aspect=Fraction(aspect))
    with VideoSource(tmp_path / name) as source:
        assert next(iter(source)).pixels.shape == (size[1], size[0], 3)


def test_colours_of_hd_that_are_not_named_are_those_of_hd(tmp_path: Path) -> None:
    """As browsers take them, and as cameras mean them."""
    av = pytest.importorskip("av")
    colour = (200, 60, 30)
    with av.open(str(tmp_path / "camera.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast", "qp": "4"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.full((720, 1280, 3), colour, np.uint8), format="rgb24")
        container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
        container.mux(stream.encode(None))
    with VideoSource(tmp_path / "camera.mkv") as source:
        np.testing.assert_allclose(next(iter(source)).pixels.mean(axis=(0, 1)), colour, atol=3)
