"""The built-in sample: synthetic faces, so that every command can be tried without any data. No photos of anyone.

They have the classes of FER2013. Face number ``index`` of a seed is the same whatever the number of faces made with it.
"""

import functools
import io
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fer_edge.data.faces import FaceData, FaceSet
from fer_edge.data.folders import refuse_filled
from fer_edge.data.portrait import draw_portrait
from fer_edge.errors import SourceError
from fer_edge.files import fill_folder, make_folder
from fer_edge.labels import FER2013
from fer_edge.runtime.images import FACE_SIZE, face_pixels

NAME = "sample"
DEFAULT_COUNT = 2100
FACES_PER_HELD_OUT = 6
"""One face in this many is from validation, as many are from test, the rest are from train."""

MIN_COUNT = FACES_PER_HELD_OUT * len(FER2013)
MAX_COUNT = 1_000_000


def is_sample(source: str | Path | None) -> bool:
    """Whether ``source`` asks for synthetic faces: ``sample`` or ``sample:N``."""
    return isinstance(source, str) and source.partition(":")[0] == NAME


def synthetic_data(source: str = NAME, *, size: int = FACE_SIZE, seed: int = 0) -> FaceData:
    """Make the faces of ``sample`` or ``sample:N``, uint8 (size, size), as many of each class as the number allows.

    Raises DataError where N is no number from MIN_COUNT (one face of each class in each split) to MAX_COUNT.
    """
    count = _count_in(source)
    faces = synthetic_faces(range(count), size=size, seed=seed)
    held_out = count // FACES_PER_HELD_OUT
    ends = np.cumsum([count - 2 * held_out, held_out, held_out])
    train, validation, test = (
        faces.take(np.arange(start, end)) for start, end in zip((0, *ends[:-1]), ends, strict=True)
    )
    layout = f"{count} synthetic faces from seed {seed}, no photos"
    return FaceData(f"{NAME}:{count}", layout, train, validation, test)


def synthetic_faces(indices: range, *, size: int = FACE_SIZE, seed: int = 0) -> FaceSet:
    """Make the faces numbered ``indices``; each depends on its number and the seed alone."""

    return FaceSet(
        np.stack([face_pixels(synthetic_face(index, seed=seed), size) for index in indices]),
        np.array([index % len(FER2013) for index in indices], np.int64),
        tuple(f"{NAME}:{index}" for index in indices),
    )


def synthetic_face(index: int, *, seed: int = 0) -> np.ndarray:
    """Make face number ``index`` of ``seed``: uint8 (48, 48), of the class ``index % 7`` of FER2013."""
    return _drawn(index, seed).copy()


@functools.lru_cache(maxsize=DEFAULT_COUNT)
def _drawn(index: int, seed: int) -> np.ndarray:
    """Drawing takes milliseconds, and export, verify and benchmark need the same faces several times: 5 MB are kept."""
    return draw_portrait(FER2013.names[index % len(FER2013)], np.random.default_rng([seed, index]))


def _count_in(source: str) -> int:
    _, colon, number = source.partition(":")
    if not colon:
        return DEFAULT_COUNT
    if not (number.isascii() and number.isdecimal() and MIN_COUNT <= int(number[:9]) <= MAX_COUNT):
        raise SourceError(
            f"{source}: expected {NAME} or {NAME}:N with N from {MIN_COUNT} to {MAX_COUNT}, found '{number[:20]}'; "
            f"for a folder of that name write ./{source}"
        )
    return int(number[:9])


def write_sample(out: Path, count: int = DEFAULT_COUNT, *, seed: int = 0) -> int:
    """Write the faces of ``sample:count`` as PNG files in the folder layout, ``out/SPLIT/CLASS/synthetic_INDEX.png``.

    Each file says in its metadata that it is synthetic. Returns the number of files. Raises StorageError where ``out``
    holds something already or cannot be written, DataError for a number that ``synthetic_data`` refuses.
    """
    refuse_filled(out)
    data = synthetic_data(f"{NAME}:{count}", seed=seed)
    with fill_folder(out) as stage:  # one flush for all: thousands of small files that can be made again
        for split, faces in data.splits.items():
            for name in FER2013.names:
                make_folder(stage / split / name)
            for face, label, source in zip(faces.faces, faces.labels, faces.sources, strict=True):
                index = int(source.partition(":")[2])
                about = f"A synthetic face (fer_edge, seed {seed}, number {index}); no photo"
                (stage / split / FER2013.names[label] / f"synthetic_{index:06d}.png").write_bytes(_as_png(face, about))
    return count


def _as_png(face: np.ndarray, description: str) -> bytes:
    about = PngInfo()
    about.add_text("Description", description)
    stream = io.BytesIO()
    Image.fromarray(face).save(stream, "PNG", pnginfo=about)
    return stream.getvalue()
