"""The inputs of a kit: synthetic faces, noise and image files in the shapes that apps get wrong. No photo of anyone."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_edge.data.sample import synthetic_face
from fer_edge.labels import FER2013
from fer_edge.runtime.crops import DEFAULT_FRAMING, crop_face
from fer_edge.runtime.detector import Box, Face
from fer_edge.runtime.images import decode_image

SEED = 2013

_EXIF_ORIENTATION, _ON_ITS_LEFT_SIDE = 0x0112, 6
_LAMP_LIGHT = np.array((1.0, 0.6, 0.25), np.float32)
"""Tints grey faces strongly, so that red for blue moves an answer further than rounding to 8 bits does."""


@dataclass(frozen=True)
class ImageBytes:
    """An image file, for apps that decode files themselves."""

    suffix: str
    data: bytes
    max_mean_level_difference: float
    """How many grey levels another decoder's pixels may differ on average: none for PNG, JPEG leaves some freedom."""


@dataclass(frozen=True)
class Photo:
    """A photo with a face in it, for apps that crop faces themselves."""

    image: ImageBytes
    face: Face


@dataclass(frozen=True)
class Vector:
    """One input of a kit."""

    name: str
    """Names its files."""
    about: str
    pixels: NDArray[np.uint8]
    """(N, H, W, C); of an image file: what this project decodes it to."""
    image: ImageBytes | None = None
    photo: Photo | None = None
    """Where ``pixels`` are the face that this project crops from it."""


def make_vectors() -> tuple[Vector, ...]:
    """All inputs, the same on every machine (but for what its Pillow makes of the JPEG files)."""
    noise = np.random.default_rng(SEED)

    def noisy(*shape: int) -> NDArray[np.uint8]:
        return noise.integers(0, 256, shape, dtype=np.uint8)

    alpha = noisy(2, 60, 50, 1)
    return (
        Vector(
            "grey-faces", "a drawn face of each expression, 48x48, grey", _faces(range(len(FER2013)))[..., np.newaxis]
        ),
        Vector("rgb-faces", "two tinted faces, 66 high, 60 wide, RGB", _photos(range(7, 9), 60, 66)),
        Vector(
            "rgba-faces",
            "two tinted faces, 60 high, 50 wide, RGBA; alpha is noise, which the model drops",
            np.concatenate([_photos(range(9, 11), 50, 60), alpha], axis=3),
        ),
        Vector("small-faces", "two faces smaller than the network's, 24 high, 20 wide, grey", _small(range(11, 13))),
        Vector("grey-noise", "noise, 33 high, 90 wide, grey", noisy(1, 33, 90, 1)),
        Vector("rgb-noise", "two of noise, 31 high, 67 wide, RGB", noisy(2, 31, 67, 3)),
        Vector("rgba-noise", "noise, 50 high, 40 wide, RGBA", noisy(1, 50, 40, 4)),
        Vector("wide-noise", "noise, 5 high, 150 wide, RGB", noisy(1, 5, 150, 3)),
        Vector("one-pixel", "three images of one pixel, RGB", noisy(3, 1, 1, 3)),
        *_files(),
        _cropped("face-in-photo", "a tinted face in a larger photo, cropped to its box"),
    )


def _files() -> Iterator[Vector]:
    (photo,) = _photos(range(13, 14), 96, 112)
    (turned,) = _photos(range(14, 15), 60, 80)
    (grey,) = _faces(range(15, 16))
    (transparent,) = _photos(range(16, 17), 48, 64)
    exif = Image.Exif()
    exif[_EXIF_ORIENTATION] = _ON_ITS_LEFT_SIDE
    lying = np.rot90(turned)  # what a camera held on its side stores: to be turned clockwise
    columns = np.broadcast_to(np.linspace(0, 255, 48).astype(np.uint8), (64, 48))
    yield _file("jpeg-rgb", "a tinted face as JPEG, 112 high, 96 wide", photo, quality=90)
    yield _file(
        "jpeg-turned",
        "a JPEG with EXIF orientation 6: stored 60 high, 80 wide, upright 80 high, 60 wide",
        lying,
        quality=90,
        exif=exif,
    )
    yield _file("jpeg-grey", "a face as grey JPEG, 48x48", grey, quality=95)
    yield _file(
        "png-transparent",
        "a face as PNG that fades to transparent at the left; transparent pixels lie on white",
        np.dstack([transparent, columns]),
    )


def _cropped(name: str, about: str) -> Vector:
    (face,) = _photos(range(17, 18), 72, 72)
    rows, columns = np.mgrid[0:120, 0:150]
    background = np.stack([rows, 200 - columns, 60 + (rows + columns) // 2], axis=2).astype(np.uint8)
    background[30:102, 40:112] = face
    stream = io.BytesIO()
    Image.fromarray(background).save(stream, "JPEG", quality=90)
    photo = Photo(ImageBytes(".jpg", stream.getvalue(), 2.0), Face(Box(40, 30, 72, 72), (), 1.0))
    crop = crop_face(decode_image(photo.image.data, name=name), photo.face, DEFAULT_FRAMING)
    return Vector(name, about, crop[np.newaxis], photo=photo)


def _file(name: str, about: str, pixels: NDArray[np.uint8], **options: object) -> Vector:
    suffix = ".jpg" if name.startswith("jpeg") else ".png"
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "JPEG" if suffix == ".jpg" else "PNG", **options)
    image = ImageBytes(suffix, stream.getvalue(), 2.0 if suffix == ".jpg" else 0.5)
    return Vector(name, about, decode_image(image.data, name=name)[np.newaxis], image)


def _faces(indices: range) -> NDArray[np.uint8]:
    """Synthetic faces, uint8 (N, 48, 48)."""
    return np.stack([synthetic_face(index, seed=SEED) for index in indices])


def _photos(indices: range, width: int, height: int) -> NDArray[np.uint8]:
    """Synthetic faces enlarged and tinted, uint8 (N, height, width, 3)."""
    grey = np.stack([_resized(face, width, height) for face in _faces(indices)]).astype(np.float32)
    return np.asarray(np.rint(grey[..., np.newaxis] * _LAMP_LIGHT), np.uint8)


def _small(indices: range) -> NDArray[np.uint8]:
    return np.stack([_resized(face, 20, 24) for face in _faces(indices)])[..., np.newaxis]


def _resized(face: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(face).resize((width, height), Image.Resampling.BICUBIC))
