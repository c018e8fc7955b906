"""TIFFs of every layout are read right or refused, never read wrongly: their samples are known, for we wrote them."""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from tiff_files import (
    BLACK_IS_ZERO,
    CMYK,
    DEFLATE,
    FLOAT,
    INT,
    LZW,
    NONE,
    PACKBITS,
    PALETTE,
    RGB,
    UINT,
    WHITE_IS_ZERO,
    Layout,
    made,
    written,
)

from fer_edge.errors import ImageError
from fer_edge.runtime.images import decode_image

KINDS = ((1, UINT), (4, UINT), (8, UINT), (16, UINT), (32, UINT), (8, INT), (16, INT), (32, INT), (32, FLOAT))
ROUNDING = 3
"""Of 255: 16 bits are cut to 8, and alpha is then applied to whole numbers."""


def layouts(photometric: int) -> Iterator[Layout]:
    for (bits, format), planar, compression, tile, order in itertools.product(
        KINDS, (False, True), (NONE, LZW, DEFLATE, PACKBITS), (0, 16), "<>"
    ):
        for extra in ((), (0,), (1,), (2,), (0, 0)):
            layout = Layout(bits, format, photometric, extra, planar, compression, tile=tile, order=order)
            if photometric == PALETTE and (bits > 8 or format != UINT):
                continue
            if planar and layout.colours + len(extra) == 1:
                continue
            if compression == PACKBITS and tile:  # as LZW, which has both
                continue
            yield layout
            if compression == DEFLATE and format == UINT and bits >= 8:
                yield dataclasses.replace(layout, predictor=2)
            if compression == DEFLATE and format == FLOAT:
                yield dataclasses.replace(layout, predictor=3)


@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK])
def test_no_layout_is_read_wrongly(photometric: int) -> None:
    rng = np.random.default_rng(photometric)
    read = set()
    for layout in layouts(photometric):
        samples, expected = made(layout, rng)
        try:
            pixels = decode_image(written(samples, layout), name="made.tif")
        except ImageError:
            continue
        assert np.abs(pixels - expected).max() <= ROUNDING, layout
        read.add((layout.bits, layout.format, layout.planar))
    assert (8, UINT, False) in read  # that it refuses everything would be no answer
    assert photometric not in (RGB, CMYK) or (8, UINT, True) in read


@pytest.mark.parametrize("compression", [NONE, LZW, DEFLATE, PACKBITS])
@pytest.mark.parametrize(
    "layout",
    [
        Layout(8, UINT, RGB),
        Layout(8, UINT, RGB, (2,)),
        Layout(8, UINT, RGB, (1,)),
        Layout(8, UINT, RGB, planar=True),
        Layout(16, UINT, RGB),
        Layout(16, UINT, RGB, (2,)),
        Layout(8, UINT, CMYK),
        Layout(8, UINT, BLACK_IS_ZERO, (2,)),
        Layout(16, UINT, BLACK_IS_ZERO, order=">"),
        Layout(16, UINT, WHITE_IS_ZERO),
        Layout(32, FLOAT, BLACK_IS_ZERO),
        Layout(1, UINT, WHITE_IS_ZERO),
        Layout(4, UINT, PALETTE),
    ],
    ids=str,
)
def test_what_cameras_scanners_and_editors_write_is_read(layout: Layout, compression: int) -> None:
    layout = dataclasses.replace(layout, compression=compression)
    samples, expected = made(layout, np.random.default_rng(1))
    assert np.abs(decode_image(written(samples, layout)) - expected).max() <= ROUNDING


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (Layout(16, UINT, RGB, planar=True), r"channels are interleaved, found separate planes \(RGB, 16 bits\)"),
        (
            Layout(8, UINT, BLACK_IS_ZERO, (2,), planar=True, compression=LZW),
            r"channels are interleaved, found separate planes \(LA, 8 bits\); save it with PlanarConfiguration 1",
        ),
        (Layout(8, INT, BLACK_IS_ZERO), "of unsigned or float values, found signed; save it with unsigned ones"),
        (Layout(16, INT, BLACK_IS_ZERO), "of unsigned or float values, found signed"),
        (
            Layout(8, UINT, RGB, planar=True, more_tags={266: (3, (2,))}),
            r"found separate planes \(RGB, 8 bits, reversed\)",
        ),
        (Layout(8, UINT, PALETTE, more_tags={320: (3, (*range(256),) * 3)}), "has colours of 16 bits, found 8 bits"),
        (Layout(8, UINT, BLACK_IS_ZERO, more_tags={278: (4, (1,))}), "strips of 1 rows, found 2 for 21"),
        (
            Layout(8, UINT, 6, (0, 0), more_tags={530: (3, (1, 1)), 532: (3, (16, 235, 128, 240, 128, 240))}),
            "of YCbCr from 0 to 255, found another ReferenceBlackWhite",
        ),
        (Layout(8, UINT, 6, (0, 0)), "of complete or compressed YCbCr, found subsampled chroma; save it as RGB"),
    ],
    ids=str,
)
def test_what_would_be_read_wrongly_is_refused_in_one_line(layout: Layout, message: str) -> None:
    samples, _ = made(layout, np.random.default_rng(2))
    if layout.photometric == 6:  # three samples of which none is extra
        layout = dataclasses.replace(layout, extra=())
    with pytest.raises(ImageError, match=f"^scan.tif: expected a TIFF .*{message}"):
        decode_image(written(samples, layout), name="scan.tif")
