"""Small sets of made-up faces on disk, for the tests of the readers."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fer_edge.data.tables import CLASSES_BY_CODE
from fer_edge.labels import FER2013, LabelSet

USAGES = ("Training", "PublicTest", "PrivateTest")


def face_of(name: str, number: int, labels: LabelSet = FER2013) -> np.ndarray:
    """A face, uint8 (48, 48), whose first pixel is ten times its label: tests see the class in the pixels."""
    label = labels.index(name)
    face = np.random.default_rng([label, number]).integers(0, 256, (48, 48)).astype(np.uint8)
    face[0, 0] = 10 * label
    return face


def write_face(path: Path, name: str, number: int = 0, labels: LabelSet = FER2013) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(face_of(name, number, labels)).save(path)
    return path


def write_folders(
    root: Path,
    splits: Sequence[str] = ("train", "test"),
    classes: Iterable[str] = FER2013.names,
    per_class: int = 3,
    prefix: str = "face_",
    labels: LabelSet = FER2013,
) -> Path:
    """Write ``root[/SPLIT]/CLASS/PREFIXnumber.png``, other faces in every split."""
    for order, split in enumerate(splits):
        for name in classes:
            known = labels.resolve(name)
            assert known
            for number in range(per_class):
                write_face(root / split / name / f"{prefix}{number}.png", known, 100 * order + number, labels)
    return root


def pixels_of(code: int, number: int) -> str:
    return " ".join(map(str, face_of(CLASSES_BY_CODE[code], number).ravel()))


def row(code: int, number: int, usage: str) -> str:
    return f"{code},{pixels_of(code, number)},{usage}"


def all_rows() -> list[str]:
    """One row of each class and usage: rows 0-6 from Training, 7-13 from PublicTest, 14-20 from PrivateTest."""
    return [row(code, number, usage) for number, usage in enumerate(USAGES) for code in range(7)]


def write_table(path: Path, lines: Iterable[str] | None = None, header: str = "emotion,pixels,Usage") -> Path:
    path.write_text("\n".join([header, *(all_rows() if lines is None else lines)]) + "\n")
    return path


def tree_hash(root: Path) -> str:
    """Everything under ``root``: names, kinds, bytes and times of change."""
    found = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        found.update(f"{path} {status.st_mode} {status.st_mtime_ns}".encode())
        if path.is_file() and not path.is_symlink():
            found.update(path.read_bytes())
    return found.hexdigest()
