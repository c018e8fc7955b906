"""Reads image files into one array a split, in threads: Pillow decodes outside the interpreter's lock."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np

from fer_edge.data.faces import FaceSet
from fer_edge.data.folders import ImageFile
from fer_edge.data.problems import ProblemList
from fer_edge.data.splits import SPLITS
from fer_edge.errors import ImageError
from fer_edge.runtime.images import decode_image, face_pixels
from fer_edge.text import shown_name

FILES_PER_TASK = 256
"""Files a thread takes at once: enough that handing them out costs nothing."""


def read_images(files: Sequence[ImageFile], size: int, problems: ProblemList) -> dict[str, FaceSet]:
    """Decode every file to a face, uint8 (size, size), and gather the faces by split, in the order of ``files``.

    Files that cannot be decoded become problems and are left out.
    """
    faces = np.zeros((len(files), size, size), np.uint8)
    reasons: list[str | None] = [None] * len(files)

    is_stopped = Event()

    def read(start: int) -> None:
        for place in range(start, min(start + FILES_PER_TASK, len(files))):
            if is_stopped.is_set():
                return
            name = shown_name(files[place].path)
            try:
                faces[place] = face_pixels(decode_image(files[place].path, name=name), size)
            except ImageError as error:
                reasons[place] = str(error).removeprefix(f"{name}: ")

    pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")
    try:
        list(pool.map(read, range(0, len(files), FILES_PER_TASK)))
    finally:  # after Ctrl-C nobody waits for files that are not read yet
        is_stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)

    for file, reason in zip(files, reasons, strict=True):
        if reason:
            problems.add(file.path, reason)
    places = {split: [i for i, file in enumerate(files) if file.split == split and not reasons[i]] for split in SPLITS}
    return {
        split: FaceSet(
            faces[chosen],
            np.array([files[i].label for i in chosen], np.int64),
            tuple(shown_name(files[i].path) for i in chosen),
        )
        for split, chosen in places.items()
    }
