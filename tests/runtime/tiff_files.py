"""Writes TIFFs of every layout that the format has, from samples that are known: Pillow writes few of them."""

import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

UINT, INT, FLOAT = 1, 2, 3
NONE, LZW, DEFLATE, PACKBITS = 1, 5, 8, 32773
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK = 0, 1, 2, 3, 5


@dataclass(frozen=True)
class Layout:
    """How samples lie in a file."""

    bits: int = 8
    format: int = UINT
    photometric: int = RGB
    extra: tuple[int, ...] = ()
    """What the samples beyond the colours are: 0 unspecified, 1 premultiplied alpha, 2 alpha."""
    planar: bool = False
    compression: int = NONE
    predictor: int = 1
    tile: int = 0
    """Side of the tiles, a multiple of 16; 0: strips."""
    order: str = "<"
    big: bool = False
    more_tags: dict[int, tuple[int, tuple[int, ...]]] = field(default_factory=dict)

    @property
    def colours(self) -> int:
        return {RGB: 3, CMYK: 4}.get(self.photometric, 1)


def made(layout: Layout, rng: np.random.Generator, height: int = 21, width: int = 18) -> tuple[np.ndarray, np.ndarray]:
    """Random samples (H, W, S) for a layout, and the pixels (H, W, 1 | 3) of 0 to 255 that they stand for, on white."""
    count = layout.colours + len(layout.extra)
    shape = (height, width, count)
    if layout.format == FLOAT:
        samples = rng.random(shape).astype(f"f{layout.bits // 8}")
        full: float = 1.0
    else:
        dtype = np.dtype(f"{'i' if layout.format == INT else 'u'}{max(1, layout.bits // 8)}")
        full = 2 ** (layout.bits - (layout.format == INT)) - 1
        samples = rng.integers(0, full, shape, dtype=dtype, endpoint=True)
    values = samples * (255.0 / full)
    alpha = values[:, :, layout.colours :][:, :, :1] / 255
    if layout.extra[:1] == (1,):  # premultiplied: no colour is above its alpha
        samples[:, :, : layout.colours] = np.floor(samples[:, :, : layout.colours] * alpha)
        values = samples * (255.0 / full)
    colours = values[:, :, : layout.colours]
    if layout.photometric == WHITE_IS_ZERO:
        colours = 255 - colours
    if layout.photometric == CMYK:
        colours = (255 - colours[:, :, :3]) * (255 - colours[:, :, 3:]) / 255
    if layout.photometric == PALETTE and layout.bits <= 16 and layout.format == UINT:
        colours = palette(layout.bits)[samples[:, :, 0]].astype(float)
    if layout.extra[:1] == (2,):
        colours = colours * alpha + 255 * (1 - alpha)
    if layout.extra[:1] == (1,):
        colours = colours + 255 * (1 - alpha)
    return samples, colours


def written(samples: np.ndarray, layout: Layout) -> bytes:
    """A TIFF of samples (H, W, S), stored as they are; of fewer than 8 bits each row begins at a byte."""
    height, width, count = samples.shape
    side = layout.tile
    rows = side or 16
    planes = [samples[:, :, i : i + 1] for i in range(count)] if layout.planar else [samples]
    pieces = []
    for plane in planes:
        for top in range(0, height, rows):
            if not side:
                pieces.append(_packed(plane[top : top + rows], layout))
                continue
            for left in range(0, width, side):
                tile = np.zeros((side, side, plane.shape[2]), plane.dtype)
                part = plane[top : top + side, left : left + side]
                tile[: part.shape[0], : part.shape[1]] = part
                pieces.append(_packed(tile, layout))
    tags: dict[int, tuple[int, tuple[int, ...]]] = {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (layout.bits,) * count),
        259: (3, (layout.compression,)),
        262: (3, (layout.photometric,)),
        277: (3, (count,)),
        284: (3, (2 if layout.planar else 1,)),
        339: (3, (layout.format,) * count),
    }
    if layout.predictor != 1:
        tags[317] = (3, (layout.predictor,))
    if layout.extra:
        tags[338] = (3, layout.extra)
    if layout.photometric == PALETTE:
        tags[320] = (3, tuple(int(v) for v in palette(layout.bits).T.ravel() * 257))
    if side:
        tags |= {322: (3, (side,)), 323: (3, (side,))}
    else:
        tags[278] = (3, (rows,))
    tags |= layout.more_tags
    return _file(pieces, tags, layout, 324 if side else 273)


def palette(bits: int) -> np.ndarray:
    """The colours (2**bits, 3), uint16 of at most 255, of a file with a palette."""
    index = np.arange(2 ** min(bits, 16))
    return np.stack([(index * 37) % 256, (index * 91 + 5) % 256, 255 - index % 256], axis=1).astype(np.uint16)


def _packed(block: np.ndarray, layout: Layout) -> bytes:
    rows, columns, count = block.shape
    if layout.bits < 8:
        flat = block.reshape(rows, columns * count)
        shifts = np.arange(layout.bits - 1, -1, -1)
        data = np.packbits(((flat[:, :, None] >> shifts) & 1).reshape(rows, -1).astype(np.uint8), axis=1).tobytes()
    else:
        if layout.predictor == 2:
            block = np.concatenate([block[:, :1], block[:, 1:] - block[:, :-1]], axis=1)
        data = block.astype(block.dtype.newbyteorder(layout.order)).tobytes()
        if layout.predictor == 3:
            data = b"".join(_float_differences(row) for row in block)
    if layout.compression == DEFLATE:
        return zlib.compress(data)
    if layout.compression == LZW:
        return _lzw(data)
    if layout.compression == PACKBITS:
        row = len(data) // rows
        return b"".join(_packbits(data[i * row : (i + 1) * row]) for i in range(rows))
    return data


def _float_differences(row: np.ndarray) -> bytes:
    """The predictor for floats (Adobe's Photoshop TIFF Technical Note 3): bytes by significance, then differences."""
    count = row.shape[1]
    by_byte = row.astype(row.dtype.newbyteorder(">")).reshape(-1, 1).view(np.uint8).T.ravel()
    differences = by_byte.copy()
    differences[count:] = by_byte[count:] - by_byte[:-count]
    return differences.tobytes()


def _packbits(data: bytes) -> bytes:
    return b"".join(bytes([len(data[i : i + 128]) - 1]) + data[i : i + 128] for i in range(0, len(data), 128))


def _lzw(data: bytes) -> bytes:
    """Codes of 9 bits, the table cleared before it could need 10."""
    codes = [c for i in range(0, len(data), 200) for c in (256, *data[i : i + 200])] + [257]
    bits = "".join(f"{code:09b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _file(pieces: list[bytes], tags: dict[int, tuple[int, tuple[int, ...]]], layout: Layout, offsets_tag: int) -> bytes:
    order, wide = layout.order, "Q" if layout.big else "I"
    head_size, entry_size, inline = (16, 20, 8) if layout.big else (8, 12, 4)
    offsets, position = [], head_size
    for piece in pieces:
        offsets.append(position)
        position += len(piece) + len(piece) % 2
    tags = {
        **tags,
        offsets_tag: (4, tuple(offsets)),
        offsets_tag + (1 if offsets_tag == 324 else 6): (4, tuple(map(len, pieces))),
    }
    start = position
    outside = start + (8 if layout.big else 2) + entry_size * len(tags) + inline
    entries, values = [], b""
    for tag, (kind, numbers) in sorted(tags.items()):
        data: Any = struct.pack(f"{order}{len(numbers)}{'_BBHI'[kind]}", *numbers)
        if len(data) > inline:
            place, values = outside + len(values), values + data + b"\0" * (len(data) % 2)
            data = struct.pack(order + wide, place)
        entries.append(struct.pack(f"{order}HH{wide}", tag, kind, len(numbers)) + data.ljust(inline, b"\0"))
    mark = b"II" if order == "<" else b"MM"
    head = mark + (struct.pack(f"{order}HHHQ", 43, 8, 0, start) if layout.big else struct.pack(f"{order}HI", 42, start))
    body = b"".join(piece + b"\0" * (len(piece) % 2) for piece in pieces)
    count = struct.pack(order + ("Q" if layout.big else "H"), len(entries))
    return head + body + count + b"".join(entries) + b"\0" * inline + values
