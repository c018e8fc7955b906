"""One run of a model: what its input is given for images, and what its outputs mean."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.errors import ModelError
from fer_edge.metadata import FACES, PIXELS, ModelMetadata
from fer_edge.runtime.foreign import ForeignMetadata
from fer_edge.runtime.foreign_pixels import foreign_feed
from fer_edge.runtime.images import face_pixels

_SUM_TOLERANCE = 1e-2
"""Of a row of probabilities, from one: several times the rounding of half precision."""
_SMALLEST = float(np.finfo(np.float32).tiny)
"""Stands for a probability of 0, whose logarithm is none."""


def model_feed(pixels: NDArray[np.uint8], metadata: ModelMetadata) -> NDArray[np.generic]:
    """What a model's input is given for images (N, H, W, C): these pixels; of a model of faces, grey uint8 faces
    (N, size, size, 1); of a raw one normalised faces, (pixel/255 less the mean) over the std, (N, 1, size, size)."""
    if metadata.input.kind == PIXELS:
        return pixels
    if isinstance(metadata, ForeignMetadata):
        return foreign_feed(pixels, metadata.description, metadata.input.dtype)
    faces = np.stack([face_pixels(image, metadata.image_size) for image in pixels])
    if metadata.input.kind == FACES:
        return faces[..., np.newaxis]
    faces = faces[:, np.newaxis]
    return ((faces / 255.0 - metadata.mean) / metadata.std).astype(metadata.input.dtype)


def answers_of(
    found: Mapping[str, NDArray[np.generic]], metadata: ModelMetadata
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Probabilities and logits, float32 (N, classes), from a model's outputs by name; a raw model has logits alone."""
    if isinstance(metadata, ForeignMetadata):
        values = np.asarray(found[metadata.outputs[0].name], np.float32)
        values = values.reshape(len(values), -1)
        if metadata.description.outputs == "probabilities":
            return values, np.log(np.maximum(values, _SMALLEST))
        return softmax(values), values
    logits = np.asarray(found["logits"], dtype=np.float32)
    probabilities = found["probabilities"] if "probabilities" in found else softmax(logits)
    return np.asarray(probabilities, dtype=np.float32), logits


def run_in_fixed_batches(
    run: Callable[[NDArray[Any]], dict[str, NDArray[np.float32]]], feed: NDArray[Any], metadata: ModelMetadata
) -> dict[str, NDArray[np.float32]]:
    """What ``run`` gives for ``feed`` (N, ...), all outputs by name.

    A model of a fixed batch is run as often as it takes; its last batch is filled up by repeating an image.
    """
    size = metadata.input.fixed_batch
    if size is None or len(feed) == size:
        return run(feed)
    found: list[dict[str, NDArray[np.float32]]] = []
    for start in range(0, len(feed), size):
        part = feed[start : start + size]
        filled = np.concatenate([part, np.repeat(part[:1], size - len(part), axis=0)]) if len(part) < size else part
        found.append({name: value[: len(part)] for name, value in run(filled).items()})
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}


def check_outputs(path: Path, probabilities: NDArray[np.float32], logits: NDArray[np.float32], *, images: int) -> None:
    """Refuse (ModelError) outputs without one row for each of so many ``images``, logits that are not finite, and
    probabilities that are none."""
    for name, rows in (("logits", logits), ("probabilities", probabilities)):
        if rows.ndim != 2 or rows.shape != (images, probabilities.shape[-1]):
            raise ModelError(
                f"{path}: expected {name} of shape {images} images, classes, found {rows.shape}; export it again"
            )
    if not np.isfinite(logits).all():  # a half-precision network overflows without an error
        raise ModelError(
            f"{path}: expected finite logits, found infinite ones or NaN; "
            "export it again, in fp32 if this is half precision"
        )
    if not are_probabilities(probabilities):
        raise ModelError(
            f"{path}: expected probabilities that add up to 1 for every image, found others; export it again"
        )


def are_probabilities(rows: NDArray[np.floating[Any]]) -> bool:
    """Whether none of the values (N, classes) is below 0 and each row adds up to 1, but for rounding."""
    is_whole = np.abs(rows.sum(axis=1) - 1) <= _SUM_TOLERANCE  # False for NaN too
    return bool(is_whole.all() and (rows >= 0).all())


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row by row; the row's largest is subtracted first so that nothing overflows."""
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), dtype=np.float32)
