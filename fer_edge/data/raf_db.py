"""RAF-DB as it comes: a list of file names and classes (``train_00001.jpg 5``), and aligned faces in another folder.

Li, Deng and Du, "Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression Recognition in the Wild",
CVPR 2017: the basic expressions are ``EmoLabel/list_patition_label.txt`` (so spelled) with numbers from 1 to 7, and the
faces ``Image/aligned/train_00001_aligned.jpg``. Copies with a folder for each number are read by ``--class-map
raf-db``.
"""

from collections.abc import Iterable
from pathlib import Path

from fer_edge.data.class_map import RAF_DB, ClassMap
from fer_edge.data.faces import FaceSet
from fer_edge.data.folders import Entry, ImageFile
from fer_edge.data.problems import ProblemList
from fer_edge.data.reading import read_images
from fer_edge.errors import DataError
from fer_edge.labels import FER2013, folded
from fer_edge.runtime.images import SUFFIXES
from fer_edge.text import printable

LISTS = ("list_patition_label.txt", "list_partition_label.txt")
"""Names of the list, in small letters: as RAF-DB spells it, and as people mend it."""
LIST_FOLDER, BASIC_FOLDER = "EmoLabel", "basic"
FACES_FOLDERS = ("Image/aligned", "aligned", "")
"""Where the faces may lie, seen from what holds the list's folder; the last: beside it."""
ORIGINALS = "Image/original"
_SPLITS = ("train", "test")
_ALIGNED = "_aligned"


def find_list(root: Path, entries: Iterable[Entry]) -> Path | None:
    """RAF-DB's list in a folder with these ``entries``, in its ``EmoLabel`` or in its ``basic``; None elsewhere."""
    named = {entry.path.name.casefold(): entry.path for entry in entries}
    for name in LISTS:
        if name in named:
            return named[name]
    for folder in (LIST_FOLDER, f"{BASIC_FOLDER}/{LIST_FOLDER}"):
        if folder.split("/")[0].casefold() in named and (root / folder).is_dir():
            for path in sorted((root / folder).iterdir()):
                if path.name.casefold() in LISTS:
                    return path
    return None


def is_list(path: Path) -> bool:
    """Whether the file ``path`` is called as RAF-DB's list."""
    return path.name.casefold() in LISTS and path.is_file()


def read_raf_db(
    table: Path, size: int, problems: ProblemList, class_map: ClassMap, votes: Path | None = None
) -> tuple[dict[str, FaceSet], str]:
    """Read the faces that the list ``table`` names, by split, and the layout in words; labels are FER2013's.

    ``class_map`` stands for RAF-DB's own meaning of its numbers where it has entries. Lines that are none, images that
    are not there and images that the list has not become problems. Raises DataError where there are no aligned faces,
    and for ``votes``, which are of FER-2013's images.
    """
    if votes is not None:
        raise DataError(f"{printable(table)}: expected faces of FER-2013 with --votes, found RAF-DB; leave out --votes")
    meaning = class_map if class_map.is_strict and class_map.entries else RAF_DB
    meaning.refuse_unknown(FER2013, printable(table))
    folder = _faces_folder(table)
    there = {path.name: path for path in sorted(folder.iterdir()) if path.suffix.casefold() in SUFFIXES}
    files: list[ImageFile] = []
    listed: set[str] = set()
    found: set[str] = set()
    for where, line in _lines(table):
        fields = line.split()
        if len(fields) != 2:
            problems.add(where, f"expected an image and its class (train_00001.jpg 5), found {line[:40]!r}")
            continue
        image, code = fields
        found.add(folded(code))
        name = FER2013.resolve(meaning.class_of(code)) if code in meaning else None
        split = image.partition("_")[0]
        path = there.get(_aligned(image)) or there.get(image)
        if name is None:
            problems.add(where, f"expected a class of {', '.join(meaning.entries)}, found {code[:20]!r}")
        elif split not in _SPLITS:
            problems.add(where, f"expected an image called train_... or test_..., found {image[:40]!r}")
        elif image in listed:
            problems.add(where, f"expected each image once, found {image[:40]!r} again")
        elif path is None:
            problems.add(where, f"expected the image {_aligned(image)[:60]!r} in {printable(folder.name)}/, found none")
        else:
            files.append(ImageFile(path, FER2013.index(name), split))
        listed.update((image, _aligned(image)))
    if class_map.entries and class_map.is_strict:
        class_map.refuse_unused(found, printable(table))
    for name, path in there.items():
        if name not in listed:
            problems.add(path, f"an image without a line in {table.name}")
    return read_images(files, size, problems), f"RAF-DB: {table.name} and {folder.name}/; split: by the images' names"


def _aligned(image: str) -> str:
    stem, dot, suffix = image.rpartition(".")
    return f"{stem}{_ALIGNED}{dot}{suffix}"


def _faces_folder(table: Path) -> Path:
    """Where the images of ``table`` lie. Raises DataError where it is not there."""
    above = table.parent.parent if table.parent.name.casefold() == LIST_FOLDER.casefold() else table.parent
    for name in FACES_FOLDERS:
        folder = above / name
        if folder.is_dir() and (name or any(path.suffix.casefold() in SUFFIXES for path in folder.iterdir())):
            return folder
    found = f"{ORIGINALS} alone, whole photos" if (above / ORIGINALS).is_dir() else "none"
    raise DataError(
        f"{printable(above)}: expected RAF-DB's aligned faces in {FACES_FOLDERS[0]}/, found {found}; "
        "unpack aligned.zip there"
    )


def _lines(table: Path) -> list[tuple[str, str]]:
    """Each line that is not empty, with where it is. Raises DataError for a file that cannot be read."""
    try:
        text = table.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(f"{printable(table)}: cannot be read: {error.strerror or error}") from error
    return [
        (f"{printable(table)}:{number}", line.strip())
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip()
    ]
