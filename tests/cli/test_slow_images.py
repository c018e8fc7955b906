"""A small file of a large image takes seconds at most, and Ctrl-C is heard meanwhile."""

import io
import os
import resource
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

SIDE = 9000


def interlaced_png() -> bytes:
    """81 megapixels of zeros in 80 KB, in seven passes."""
    packed = zlib.compress(bytes(SIDE * (SIDE + 8)), 9)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 1)), (b"IDAT", packed), (b"IEND", b""))
    parts = (
        struct.pack(">I", len(one)) + kind + one + struct.pack(">I", zlib.crc32(kind + one)) for kind, one in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def saved(kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (SIDE, SIDE)).save(stream, kind, **options)
    return stream.getvalue()


KINDS = {"png": interlaced_png, "gif": lambda: saved("GIF")}


@pytest.mark.parametrize("suffix", KINDS)
def test_ctrl_c_is_heard_while_a_large_image_is_decoded(suffix: str, repository: Path, tmp_path: Path) -> None:
    image = tmp_path / f"large.{suffix}"
    image.write_bytes(KINDS[suffix]())
    assert image.stat().st_size < 1_000_000
    command = [sys.executable, str(repository / "cli.py"), "predict", *[str(image)] * 30, "--threads", "1"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert process.stderr is not None
    assert process.stdout is not None
    try:
        assert "model " in process.stderr.readline()  # what follows is decoding
        time.sleep(0.3)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
        assert time.monotonic() - start < 1.5
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in stderr


def test_a_small_file_takes_seconds_of_processor_time_at_most(model_of_one_thread) -> None:
    data = interlaced_png()
    start = resource.getrusage(resource.RUSAGE_SELF)
    model_of_one_thread.predict_faces(data)
    end = resource.getrusage(resource.RUSAGE_SELF)
    assert end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime < 8


@pytest.fixture(scope="module")
def model_of_one_thread():
    from fer_edge.runtime.classifier import Classifier

    return Classifier.load("fer-tiny", threads=1)


def test_a_reader_of_a_data_set_hears_it_too(repository: Path, tmp_path: Path) -> None:
    data = interlaced_png()
    for number in range(40):
        path = tmp_path / "faces" / ("happy", "sad")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    command = [
        sys.executable,
        str(repository / "cli.py"),
        "data",
        "inspect",
        "--data",
        "faces",
        "--labels",
        "happy,sad",
    ]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(3)  # of the minute that it would take
        assert process.poll() is None
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        assert time.monotonic() - start < 1.5
    assert process.returncode == 130
    assert "Traceback" not in stderr
