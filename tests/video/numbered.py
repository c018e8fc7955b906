"""Videos whose pictures show their own numbers, in stripes, made by PyAV."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

BITS = 6
SIZE = WIDTH, HEIGHT = 96, 64


NOISE = np.random.default_rng(0).integers(0, 255, (HEIGHT // 2, WIDTH, 3), np.uint8)


def picture(number: int) -> NDArray[np.uint8]:
    """The number's bits as stripes, above noise that moves, so that a picture takes some bytes."""
    stripes = np.array([200 if number >> bit & 1 else 60 for bit in range(BITS)], np.uint8)
    above = stripes.repeat(WIDTH // BITS)[None, :, None].repeat(HEIGHT // 2, 0).repeat(3, 2)
    return np.concatenate([above, np.roll(NOISE, number, axis=1)])


def number_of(pixels: NDArray[np.uint8]) -> int:
    stripes = np.array_split(pixels[: len(pixels) * 3 // 8].mean(axis=(0, 2)), BITS)
    return sum(1 << bit for bit, stripe in enumerate(stripes) if np.median(stripe) > 130)


def write(
    path: Path,
    times_s: Iterable[float],
    *,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    pictures: Callable[[int], NDArray[np.uint8]] = picture,
    clock: Fraction = Fraction(1, 1000),
    aspect: Fraction | None = None,
    pixel_format: str = "yuv420p",
) -> None:
    av = pytest.importorskip("av")
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=20, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *SIZE, pixel_format
        stream.codec_context.time_base = clock
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for number, time_s in enumerate(times_s):
            frame = av.VideoFrame.from_ndarray(pictures(number), format="rgb24")
            frame.pts, frame.time_base = round(time_s / clock), clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def keys(path: Path) -> tuple[list[int], int]:
    """Places of the packets with key pictures, and how many packets there are."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as opened:
        packets = [packet.is_keyframe for packet in opened.demux(video=0) if packet.size]
    return [place for place, is_key in enumerate(packets) if is_key], len(packets)


def copy(source: Path, target: Path, start: int) -> None:
    """Copy the packets from ``start`` on, as an editor trims without decoding."""
    av = pytest.importorskip("av")
    with av.open(str(source)) as opened, av.open(str(target), "w") as container:
        stream = container.add_stream_from_template(opened.streams.video[0])
        for place, packet in enumerate(packet for packet in opened.demux(video=0) if packet.size):
            if place >= start:
                packet.stream = stream
                container.mux(packet)
