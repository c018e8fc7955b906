"""The images that a parity check is made with: files as bytes, of many sizes, modes and formats."""

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_edge.runtime.images import decode_image

BATCH = 64
"""Images in a full probe."""
BATCHES = (1, 5, BATCH)
"""Batch sizes that a probe is checked with: the one of a live camera, an odd one, and a large one."""
MANY_BATCHES = (1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 128)
"""Those of one probe, whose images are small: what the commands here use, and their neighbours."""
FEW = 5
TINT = (1.0, 0.86, 0.74)
"""Warm light on a face, so that the three channels differ as they do in photos."""
_STRONG_COLOURS = ((37, -7, -61), (-37, 7, 61), (-45, 27, -21), (45, -27, 21))
"""Added to grey, they change the colour and leave the luma as it was, exactly: 299 R + 587 G + 114 B = 0."""
_LEVELS = (0, 1, 127, 128, 254, 255)
_COLOURS = ((0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 64, 32))
_RANDOM_SIZES, _RANDOM_SIZE = 3, 900
"""How many sizes are drawn, and below how many pixels a side."""
_PATCHES = 4
"""Patches of one colour along a face's side."""


@dataclass(frozen=True)
class Probe:
    """Images of one size and mode."""

    name: str
    files: tuple[bytes, ...]
    """Encoded images."""
    is_face: bool
    keeps_alpha: bool = False
    """Hand the model four channels, as a browser's canvas does, instead of compositing them first."""
    by_columns: bool = False
    """Hand them over in Fortran's order of memory, as a transposed array has it."""

    batches: tuple[int, ...] = BATCHES
    """How many of the images are handed over at a time, where there are as many."""

    def batch_sizes(self) -> tuple[int, ...]:
        """``batches`` and all images at once, which comes last: none is left out."""
        count = len(self.files)
        return (*(size for size in self.batches if size < count), count)

    def pixels(self) -> NDArray[np.uint8]:
        """The decoded images, uint8 (N, H, W, C)."""
        stacked = np.stack(
            [_rgba(file) if self.keeps_alpha else decode_image(file, name=self.name) for file in self.files]
        )
        return np.asfortranarray(stacked) if self.by_columns else stacked


def make_probes(faces: NDArray[np.uint8], seed: int = 0) -> tuple[Probe, ...]:
    """Probes from ``faces`` (uint8 (N, S, S), the first 128 are used), noise and sizes drawn from ``seed``."""
    rng = np.random.default_rng(seed)
    first, faces = faces[: max(MANY_BATCHES)], faces[:BATCH]
    few = faces[:FEW]

    def noise(count: int, *shape: int) -> list[Image.Image]:
        return [Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)) for _ in range(count)]

    size = faces.shape[1]
    return (
        Probe(f"faces {size}x{size}, grey PNG", _png(map(Image.fromarray, first)), is_face=True, batches=MANY_BATCHES),
        Probe("faces enlarged to 120x160 and tinted, RGB JPEG", _jpeg(_photo(face, 160, 120) for face in faces), True),
        Probe("faces enlarged to 640x480 and tinted, RGB JPEG", _jpeg(_photo(face, 640, 480) for face in few), True),
        # A network of 8 bits may be far from its checkpoint where colours are weak, as in photos, whether its luma is
        # right or not. These faces are, by a right luma, the very faces that it was calibrated for, and by a wrong one
        # (red and blue swapped, a plain average) patchwork.
        Probe("faces in strong colours of the same luma, RGB PNG", _png(_coloured(face, rng) for face in faces), True),
        Probe(
            "faces in strong colours of the same luma, RGBA PNG, four channels",
            _png(_coloured(face, rng).convert("RGBA") for face in few),
            is_face=True,
            keeps_alpha=True,
        ),
        Probe(
            "faces enlarged to 224x224 and tinted, RGB PNG, by columns",
            _png(_photo(face, 224, 224) for face in few),
            is_face=True,
            by_columns=True,
        ),
        Probe(
            "faces enlarged to 1280x720 and tinted, RGB JPEG", _jpeg(_photo(face, 1280, 720) for face in few[:2]), True
        ),
        *(
            Probe(
                f"faces {width}x{height} and tinted, RGB PNG", _png(_photo(face, width, height) for face in few), True
            )
            for width, height in rng.integers(size, _RANDOM_SIZE, (_RANDOM_SIZES, 2)).tolist()
        ),
        Probe("faces shrunk to 20x24, grey PNG", _png(_resized(face, 20, 24) for face in few), is_face=True),
        Probe("noise 48x48, grey PNG", _png(noise(BATCH, 48, 48)), is_face=False),
        Probe("noise 67x31, RGB PNG", _png(noise(BATCH, 31, 67, 3)), is_face=False),
        Probe("noise 90x75, RGBA PNG, four channels", _png(noise(FEW, 75, 90, 4)), is_face=False, keeps_alpha=True),
        Probe("noise 300x7, RGB PNG", _png(noise(FEW, 7, 300, 3)), is_face=False),
        Probe(
            "one colour, black to white, 48x48, grey PNG", _png(_flat(level, "L") for level in _LEVELS), is_face=False
        ),
        Probe("one colour, 64x64, RGB PNG", _png(_flat(colour, "RGB") for colour in _COLOURS), is_face=False),
        Probe("gradients 64x64, RGB PNG", _png(map(_gradient, range(4))), is_face=False),
        Probe("one pixel, RGB PNG", _png(noise(FEW, 1, 1, 3)), is_face=False),
        Probe("faces 96x96, CMYK JPEG", _jpeg(_photo(face, 96, 96).convert("CMYK") for face in few), is_face=True),
        Probe("faces 96x96, palette PNG", _png(_photo(face, 96, 96).convert("P") for face in few), is_face=True),
        Probe("faces 96x96, 16-bit grey PNG", _png(_sixteen_bit(face) for face in few), is_face=True),
        Probe("noise 50x50, black and white PNG", _png(n.convert("1") for n in noise(FEW, 50, 50)), is_face=False),
    )


def _rgba(file: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(file)) as image:
        return np.array(image.convert("RGBA"))


def _resized(face: NDArray[np.uint8], width: int, height: int) -> Image.Image:
    return Image.fromarray(face).resize((width, height), Image.Resampling.BICUBIC)


def _photo(face: NDArray[np.uint8], width: int, height: int) -> Image.Image:
    grey = np.asarray(_resized(face, width, height), np.float32)
    return Image.fromarray((grey[:, :, np.newaxis] * np.array(TINT, np.float32)).astype(np.uint8))


def _coloured(face: NDArray[np.uint8], rng: np.random.Generator) -> Image.Image:
    """``face`` in patches of strong colours, each pixel coloured as far as its grey level leaves room."""
    patches = rng.integers(0, len(_STRONG_COLOURS), (_PATCHES, _PATCHES))
    of_pixels = np.arange(len(face)) * _PATCHES // len(face)
    colours = np.array(_STRONG_COLOURS)[patches[np.ix_(of_pixels, of_pixels)]]
    pixels = np.repeat(face[:, :, np.newaxis].astype(np.int64), 3, axis=2)
    for _ in range(2):
        further = pixels + colours
        fits = ((further >= 0) & (further <= 255)).all(axis=2, keepdims=True)
        pixels = np.where(fits, further, pixels)
    return Image.fromarray(pixels.astype(np.uint8))


def _flat(colour: int | tuple[int, ...], mode: str) -> Image.Image:
    return Image.new(mode, (48, 48) if mode == "L" else (64, 64), colour)


def _gradient(quarter_turns: int) -> Image.Image:
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    return Image.fromarray(np.stack([np.rot90(ramp, quarter_turns), ramp, ramp.T], axis=2))


def _sixteen_bit(face: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.asarray(_resized(face, 96, 96)).astype(np.uint16) * 257)


def _png(images: Iterable[Image.Image]) -> tuple[bytes, ...]:
    return _encoded(images, "PNG")


def _jpeg(images: Iterable[Image.Image]) -> tuple[bytes, ...]:
    return _encoded(images, "JPEG")


def _encoded(images: Iterable[Image.Image], file_format: str) -> tuple[bytes, ...]:
    files = []
    for image in images:
        stream = io.BytesIO()
        image.save(stream, file_format, quality=92, compress_level=1)  # each format takes its own option
        files.append(stream.getvalue())
    return tuple(files)
