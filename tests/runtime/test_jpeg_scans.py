"""The search for a JPEG's markers takes time that grows with the file, not with its square."""

import io
import time

import pytest
from PIL import Image

from fer_edge.errors import ImageError
from fer_edge.runtime import jpeg_scans
from fer_edge.runtime.images import MAX_JPEG_SCANS, decode_image
from fer_edge.runtime.jpeg_scans import has_more_scans

SCANS = b"\xff\xda\x00\x02" * (MAX_JPEG_SCANS + 6)


def whole_jpeg() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (48, 48), 90).save(stream, "JPEG")
    return stream.getvalue()


def seconds(data: bytes) -> float:
    """The least of three, which noise can only lengthen."""
    times = []
    for _ in range(3):
        start = time.process_time()
        has_more_scans(data, MAX_JPEG_SCANS)
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize("piece", [b"\xff", b"\xff\x00", b"\xff\xd0", b"\xff\x01", b"\xff\xe1\x00\x02", b"\x00"])
def test_time_grows_with_the_input(piece: bytes) -> None:
    times = [seconds(b"\xff\xd8" + piece * (size // len(piece)) + b"\x00" + SCANS) for size in (2**16, 2**18, 2**20)]
    assert times[2] < 40 * max(times[0], 1e-4)  # 16 times the input: a quadratic search takes 256 times as long
    assert times[2] < 5


def test_a_megabyte_of_fill_bytes_is_answered() -> None:
    whole = whole_jpeg()
    start = time.process_time()
    with pytest.raises(ImageError, match="expected a JPEG of at most 64 scans, found more"):
        decode_image(whole[:-2] + b"\xff" * 2**20 + b"\x00" + SCANS + whole[-2:])
    assert time.process_time() - start < 10


@pytest.mark.parametrize("fill", [0, 1, 5, 6, 7, 8, 9, 64])
def test_a_marker_counts_wherever_the_windows_meet(fill: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg_scans, "_WINDOW", 8)
    data = b"\xff\xd8" + b"\x00" * fill + b"\xff\xff\xff\xda\x00\x02" * 3
    assert has_more_scans(data, 2)
    assert not has_more_scans(data, 3)
