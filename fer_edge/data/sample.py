"""The built-in sample: drawn faces, so that every command can be tried without any data. They are no photos of anyone.

Face number ``index`` of a seed is the same whatever the number of faces drawn with it.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fer_edge.data.faces import FaceData, FaceSet
from fer_edge.data.folders import refuse_filled
from fer_edge.data.portrait import draw_portrait
from fer_edge.errors import DataError
from fer_edge.files import fill_folder, make_folder
from fer_edge.labels import EXPRESSIONS, NUM_EXPRESSIONS
from fer_edge.runtime.images import FACE_SIZE, face_pixels

NAME = "sample"
DEFAULT_COUNT = 2100
HELD_OUT_PART = 6
"""One face in this many is from validation, as many are from test, the rest are from train."""

MIN_COUNT = HELD_OUT_PART * NUM_EXPRESSIONS
MAX_COUNT = 1_000_000


def is_sample(source: str | Path | None) -> bool:
    """Whether ``source`` asks for drawn faces: ``sample`` or ``sample:N``."""
    return isinstance(source, str) and source.partition(":")[0] == NAME


def draw_sample(source: str = NAME, *, size: int = FACE_SIZE, seed: int = 0) -> FaceData:
    """Draw ``sample`` or ``sample:N`` as faces of uint8 (size, size), as many of each expression as the number allows.

    Raises DataError where N is no number from MIN_COUNT (one face of each expression in each split) to MAX_COUNT.
    """
    count = _count_in(source)
    faces = draw_faces(range(count), size=size, seed=seed)
    held_out = count // HELD_OUT_PART
    ends = np.cumsum([count - 2 * held_out, held_out, held_out])
    train, validation, test = (
        faces.take(np.arange(start, end)) for start, end in zip((0, *ends[:-1]), ends, strict=True)
    )
    layout = f"{count} faces drawn by code from seed {seed}, no photos"
    return FaceData(f"{NAME}:{count}", layout, train, validation, test)


def draw_faces(indices: range, *, size: int = FACE_SIZE, seed: int = 0) -> FaceSet:
    """Draw the faces numbered ``indices``; each depends on its number and the seed alone."""

    return FaceSet(
        np.stack([face_pixels(draw_face(index, seed=seed), size) for index in indices]),
        np.array([index % NUM_EXPRESSIONS for index in indices], np.int64),
        tuple(f"{NAME}:{index}" for index in indices),
    )


def draw_face(index: int, *, seed: int = 0) -> np.ndarray:
    """Draw face number ``index`` of ``seed``: uint8 (48, 48), of expression ``index % 7``."""
    return draw_portrait(EXPRESSIONS[index % NUM_EXPRESSIONS], np.random.default_rng([seed, index]))


def _count_in(source: str) -> int:
    _, colon, number = source.partition(":")
    if not colon:
        return DEFAULT_COUNT
    if not (number.isascii() and number.isdecimal() and MIN_COUNT <= int(number[:9]) <= MAX_COUNT):
        raise DataError(
            f"{source}: expected {NAME} or {NAME}:N with N from {MIN_COUNT} to {MAX_COUNT}, found '{number[:20]}'; "
            f"for a folder of that name write ./{source}"
        )
    return int(number[:9])


def write_sample(out: Path, count: int = DEFAULT_COUNT, *, seed: int = 0) -> int:
    """Write the faces of ``sample:count`` as PNG files in the folder layout, ``out/SPLIT/EXPRESSION/drawn_INDEX.png``.

    Each file says in its metadata that it is drawn. Returns the number of files. Raises StorageError where ``out``
    holds something already or cannot be written, DataError for a number that ``draw_sample`` refuses.
    """
    refuse_filled(out)
    data = draw_sample(f"{NAME}:{count}", seed=seed)
    with fill_folder(out) as stage:  # one flush for all: thousands of small files that can be drawn again
        for split, faces in data.splits.items():
            for expression in EXPRESSIONS:
                make_folder(stage / split / expression)
            for face, label, source in zip(faces.faces, faces.labels, faces.sources, strict=True):
                index = int(source.partition(":")[2])
                about = f"A face drawn by code (fer_edge, seed {seed}, number {index}); no photo"
                (stage / split / EXPRESSIONS[label] / f"drawn_{index:06d}.png").write_bytes(_as_png(face, about))
    return count


def _as_png(face: np.ndarray, description: str) -> bytes:
    about = PngInfo()
    about.add_text("Description", description)
    stream = io.BytesIO()
    Image.fromarray(face).save(stream, "PNG", pnginfo=about)
    return stream.getvalue()
