"""What apps that make a usual mistake feed a model, each from the inputs of a kit; ``mistakes`` names them.

Each function returns or is a ``Make``. Images are uint8 (N, H, W, C).
"""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_edge.backends.contract import ModelBackend
from fer_edge.golden.vectors import Vector
from fer_edge.metadata import NORMALISED, PIXELS, ModelMetadata
from fer_edge.runtime.crops import Framing, crop_face
from fer_edge.runtime.foreign import ForeignMetadata
from fer_edge.runtime.foreign_pixels import foreign_feed
from fer_edge.runtime.images import decode_image

Pixels: TypeAlias = NDArray[np.uint8]
Feed: TypeAlias = NDArray[np.generic]
Make: TypeAlias = Callable[[Vector, ModelBackend], Feed | None]
"""What the model's input is given for a vector; None where the mistake changes nothing, or cannot be made."""

WRONG_MARGIN = 1.5


def of_pixels(make: Callable[[Pixels], Pixels | None]) -> Make:
    """A mistake with the pixels (N, H, W, C), before what the right app does with them."""

    def feed(vector: Vector, backend: ModelBackend) -> Feed | None:
        pixels = make(vector.pixels)
        return None if pixels is None else _prepared(pixels, vector, backend)

    return feed


def of_file(make: Callable[[Vector], Pixels | None]) -> Make:
    """A mistake in reading a file to pixels (H, W, C)."""

    def feed(vector: Vector, backend: ModelBackend) -> Feed | None:
        pixels = make(vector)
        if pixels is None:
            return None
        return _prepared(np.repeat(pixels[np.newaxis], len(vector.pixels), axis=0), vector, backend)

    return feed


def _prepared(pixels: Pixels, vector: Vector, backend: ModelBackend) -> Feed | None:
    """The input for other pixels than the vector's; None where it is the same."""
    if pixels.shape == vector.pixels.shape and np.array_equal(pixels, vector.pixels):
        return None
    if not backend.accepts(pixels.shape[3]):
        return None
    return np.asarray(backend.prepare(pixels))


def swapped(pixels: Pixels) -> Pixels | None:
    """Red and blue exchanged, of RGB and RGBA."""
    return pixels[..., [2, 1, 0, *range(3, pixels.shape[3])]] if pixels.shape[3] >= 3 else None


def swapped_and(make: Make) -> Make:
    """Another mistake with pixels whose red and blue are exchanged, where there are any."""
    swapping = of_pixels(swapped)

    def feed(vector: Vector, backend: ModelBackend) -> Feed | None:
        pixels = swapped(vector.pixels)
        both = make(vector if pixels is None else replace(vector, pixels=pixels), backend)
        return swapping(vector, backend) if both is None else both

    return feed


def grey_by(weights: tuple[float, ...]) -> Make:
    """Grey by other weights than ITU-R BT.601's, by the app itself."""

    def feed(vector: Vector, backend: ModelBackend) -> Feed | None:
        metadata = backend.metadata
        if vector.pixels.shape[3] < 3 or (isinstance(metadata, ForeignMetadata) and metadata.description.channels != 1):
            return None
        grey = np.rint(vector.pixels[..., :3] @ np.asarray(weights)).astype(np.uint8)[..., np.newaxis]
        return _prepared(grey, vector, backend)

    return feed


def resized(method: Callable[[Pixels, tuple[int, int], str], Pixels], place: str) -> Make:
    """The app resizes to the network's size itself, by another method."""

    def feed(vector: Vector, backend: ModelBackend) -> Feed | None:
        sides = _network_sides(backend.metadata)
        if sides is None or vector.pixels.shape[1:3] == sides:
            return None
        return _prepared(method(vector.pixels, sides, place), vector, backend)

    return feed


def _network_sides(metadata: ModelMetadata) -> tuple[int, int] | None:
    """Height and width that images are resized to; None where the shorter side is, and the middle taken."""
    if not isinstance(metadata, ForeignMetadata):
        return metadata.image_size, metadata.image_size
    return None if metadata.description.shortest else metadata.description.size


def as_stored(vector: Vector) -> Pixels | None:
    """What lies in a file, its EXIF orientation ignored."""
    if vector.image is None:
        return None
    with Image.open(io.BytesIO(vector.image.data)) as image:
        if image.has_transparency_data:
            return None
        pixels = np.asarray(image)
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def without_alpha(on_black: bool) -> Callable[[Vector], Pixels | None]:
    """A transparent file's colours as they lie in it, or on black."""

    def pixels(vector: Vector) -> Pixels | None:
        if vector.image is None:
            return None
        with Image.open(io.BytesIO(vector.image.data)) as image:
            if not image.has_transparency_data:
                return None
            rgba = np.asarray(image.convert("RGBA"))
        if not on_black:
            return rgba[..., :3]
        return np.rint(rgba[..., :3] * (rgba[..., 3:] / 255)).astype(np.uint8)

    return pixels


def too_wide(vector: Vector) -> Pixels | None:
    """A face cropped with WRONG_MARGIN."""
    if vector.photo is None:
        return None
    photo = decode_image(vector.photo.image.data, name=vector.name)
    return crop_face(photo, vector.photo.face, Framing(margin=WRONG_MARGIN))


def exchanged_sides(vector: Vector, backend: ModelBackend) -> Feed | None:
    """Height said to be width, of the same bytes."""
    count, height, width, channels = vector.pixels.shape
    return _prepared(vector.pixels.reshape(count, width, height, channels), vector, backend)


def planes(vector: Vector, backend: ModelBackend) -> Feed | None:
    """All of the red, then all of the green, then all of the blue."""
    planes = np.ascontiguousarray(vector.pixels.transpose(0, 3, 1, 2)).reshape(vector.pixels.shape)
    return _prepared(planes, vector, backend)


def of_bytes(make: Callable[[NDArray[Any], ModelMetadata], NDArray[Any]]) -> Make:
    """A mistake with the values of an input of uint8 that this project's graphs normalise."""

    def feed(vector: Vector, backend: ModelBackend) -> Feed | None:
        if backend.metadata.input.kind == NORMALISED:
            return None
        return make(np.asarray(backend.prepare(vector.pixels)), backend.metadata)

    return feed


def divided(feed: NDArray[Any], metadata: ModelMetadata) -> NDArray[Any]:
    """Divided by 255, and cast to bytes."""
    return np.asarray((feed / np.float32(255)).astype(np.uint8))


def normalised(feed: NDArray[Any], metadata: ModelMetadata) -> NDArray[Any]:
    """As a cast to a byte wraps in C#, Java and JavaScript: -1 is 255."""
    values = (feed / np.float32(255) - metadata.mean) / metadata.std
    return np.asarray(values.astype(np.int32) & 255, np.uint8)


def float_bytes(scale: float) -> Callable[[NDArray[Any], ModelMetadata], NDArray[Any]]:
    """The first bytes of a buffer of float32."""

    def make(feed: NDArray[Any], metadata: ModelMetadata) -> NDArray[Any]:
        stored = (feed * np.float32(scale)).astype("<f4").tobytes()
        return np.frombuffer(stored[: feed.size], np.uint8).reshape(feed.shape)

    return make


def of_floats(
    make: Callable[[NDArray[Any], float, float], NDArray[Any]],
) -> Make:
    """A mistake with grey levels 0-255 of faces on the way to a raw model's float input, given its mean and std."""

    def feed(vector: Vector, backend: ModelBackend) -> Feed | None:
        metadata = backend.metadata
        if metadata.input.kind != NORMALISED or isinstance(metadata, ForeignMetadata):
            return None
        right = np.asarray(backend.prepare(vector.pixels))
        levels = np.rint((right.astype(np.float64) * metadata.std + metadata.mean) * 255)
        return make(levels, metadata.mean, metadata.std).astype(right.dtype)

    return feed


def of_description(**others: Any) -> Make:
    """Another maker's model fed by another description: ``range`` for that of 0-1 or 0-255, no mean and std."""

    def feed(vector: Vector, backend: ModelBackend) -> Feed | None:
        metadata = backend.metadata
        if not isinstance(metadata, ForeignMetadata) or metadata.input.dtype == "uint8":
            return None
        description = metadata.description
        told = {name: value for name, value in others.items() if getattr(description, name) != value}
        if not told or (others.get("range") == "0-1" and description.range != "0-255"):
            return None
        return foreign_feed(vector.pixels, replace(description, **told), metadata.input.dtype)

    return feed


def only_pixels(make: Make) -> Make:
    """For models that take pixels of any size: others take squares that somebody prepared."""
    return lambda vector, backend: make(vector, backend) if backend.metadata.input.kind == PIXELS else None
