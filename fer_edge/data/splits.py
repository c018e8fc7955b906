"""Which split a face is from, and a fair validation split where a data set has none.

FER-2013 says it in every file name and in the CSV's ``Usage`` column: Training, PublicTest (validation here: choose
epochs and settings on it) and PrivateTest (test here: look once).
"""

import re
from collections.abc import Sequence

import numpy as np

SPLITS: tuple[str, ...] = ("train", "validation", "test")
"""Every split, in the order in which an image that is in several of them counts as leaked from the earlier one."""

SPLIT_OF_USAGE = {"training": "train", "publictest": "validation", "privatetest": "test"}
"""Values of the ``Usage`` column and prefixes of file names, in lower case."""

SPLIT_OF_FOLDER = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}
"""Names of split folders, in lower case."""

_PREFIX = re.compile(r"(Training|PublicTest|PrivateTest)_\d")


def split_of_file_name(name: str) -> str | None:
    """The split that a FER-2013 file name such as ``PublicTest_10130075.jpg`` states, or None."""
    match = _PREFIX.match(name)
    return SPLIT_OF_USAGE[match[1].casefold()] if match else None


def split_of_folder(name: str) -> str | None:
    """The split that a folder name such as ``Train`` or ``val`` stands for, or None."""
    return SPLIT_OF_FOLDER.get(name.casefold())


def choose_validation(
    labels: np.ndarray, digests: Sequence[bytes], *, fraction: float = 0.1, seed: int = 0
) -> np.ndarray:
    """Choose a stratified fraction of a training set for validation: bool (N,), True where a face is chosen.

    ``labels`` is int64 (N,), ``digests`` the N hashes of the pixels. Faces with the same pixels stay on the same side,
    so that the choice leaks nothing; it depends on the seed and on the faces, not on the order they were read in.
    A class with at least two different faces gives at least one and keeps at least one.
    """
    places: dict[bytes, list[int]] = {}
    for place, digest in enumerate(digests):
        places.setdefault(digest, []).append(place)
    groups_of_label: dict[int, list[bytes]] = {}
    for digest in sorted(places):
        groups_of_label.setdefault(int(min(labels[places[digest]])), []).append(digest)

    chosen = np.zeros(len(labels), bool)
    generator = np.random.default_rng(seed)
    for label in sorted(groups_of_label):
        groups = groups_of_label[label]
        number = min(max(round(fraction * len(groups)), 1), len(groups) - 1)
        for group in generator.permutation(len(groups))[:number]:
            chosen[places[groups[group]]] = True
    return chosen
