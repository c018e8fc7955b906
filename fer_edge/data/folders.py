"""FER-2013 and other sets as folders of images: finds every image with its class and split, and every oddity.

Two shapes are read: ``ROOT/train|validation|test/CLASS/IMAGE`` and plain ImageFolder, ``ROOT/CLASS/IMAGE``.
"""

import errno
import stat
from dataclasses import dataclass
from pathlib import Path

from fer_edge.data.problems import ProblemList
from fer_edge.data.splits import SPLIT_OF_FOLDER, split_of_file_name, split_of_folder
from fer_edge.errors import ImageError, StorageError
from fer_edge.files import storage_errors
from fer_edge.labels import EXPRESSIONS, expression_named, label_of
from fer_edge.runtime.images import decode_image


@dataclass(frozen=True)
class Entry:
    """A file or folder of which at least the kind is known to be good."""

    path: Path
    is_folder: bool
    identity: tuple[int, int]
    """Device and inode: two paths with the same identity are the same thing."""


@dataclass(frozen=True)
class ImageFile:
    """A file that ought to be an image of a face."""

    path: Path
    label: int
    split: str


LITTER = frozenset(("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"))
"""What macOS and Windows leave in folders and archives by themselves: no data, and nobody's mistake."""


def list_entries(folder: Path, problems: ProblemList, above: frozenset[tuple[int, int]] = frozenset()) -> list[Entry]:
    """What is in ``folder``, by name, without LITTER.

    Hidden entries, broken and looping links and special files become problems.
    ``above`` holds the identities of the folder and of those it was reached through.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.name not in LITTER)
    except OSError as error:
        problems.add(folder, f"cannot be read: {error.strerror}")
        return []
    entries = []
    for path in paths:
        if path.name.startswith("."):
            problems.add(path, "hidden, so not meant as a face or a class")
            continue
        try:
            status = path.stat()
        except OSError as error:
            problems.add(path, _link_problem(path, error))
            continue
        identity = (status.st_dev, status.st_ino)
        if stat.S_ISDIR(status.st_mode):
            if identity in above:
                problems.add(path, "a symbolic link that loops back to a folder above it")
            else:
                entries.append(Entry(path, True, identity))
        elif stat.S_ISREG(status.st_mode):
            entries.append(Entry(path, False, identity))
        else:
            problems.add(path, "neither a file nor a folder (a pipe, socket or device)")
    return entries


def is_layout(entries: list[Entry]) -> bool:
    """Whether a folder with these ``entries`` is a set of face folders: it has a split folder or a class folder."""
    return any(
        entry.is_folder and (split_of_folder(entry.path.name) or expression_named(entry.path.name)) for entry in entries
    )


def list_images(root: Path, entries: list[Entry], problems: ProblemList) -> tuple[list[ImageFile], str]:
    """Every image under ``root``, whose ``entries`` are given, and the layout in words.

    A file name with a FER-2013 prefix decides its own split; for others the split folder does, and without split
    folders they are all from train.
    """
    identity = _identity(root)
    split_folders = [entry for entry in entries if entry.is_folder and split_of_folder(entry.path.name)]
    if not split_folders:
        images = _list_classes(root, entries, "train", problems, frozenset([identity]))
        return images, _in_words("class folders", images, "all train")

    images = []
    for entry in entries:
        split = split_of_folder(entry.path.name)
        if not entry.is_folder:
            _check_stray_file(entry.path, problems)
        elif split is None:
            names = ", ".join(SPLIT_OF_FOLDER)
            problems.add(entry.path, f"an extra folder beside the split folders; expected only {names}")
        else:
            above = frozenset([identity, entry.identity])
            images.extend(_list_classes(entry.path, list_entries(entry.path, problems, above), split, problems, above))
    names = ", ".join(f"{entry.path.name}/" for entry in split_folders)
    return images, _in_words(f"split folders {names}", images, "by folder")


def _in_words(folders: str, images: list[ImageFile], otherwise: str) -> str:
    prefixed = sum(split_of_file_name(image.path.name) is not None for image in images)
    if not prefixed:
        return f"{folders}; split: {otherwise}"
    if prefixed == len(images):
        return f"{folders}; split: by the prefix of each file name (Training_, PublicTest_, PrivateTest_)"
    return f"{folders}; split: {prefixed} images by the prefix of their name, {len(images) - prefixed} {otherwise}"


def _list_classes(
    folder: Path, entries: list[Entry], split: str, problems: ProblemList, above: frozenset[tuple[int, int]]
) -> list[ImageFile]:
    """The images of every class folder of ``folder``; names that mean the same class are merged."""
    images: list[ImageFile] = []
    missing = set(EXPRESSIONS)
    for entry in entries:
        if not entry.is_folder:
            _check_stray_file(entry.path, problems)
            continue
        expression = expression_named(entry.path.name)
        if expression is None:
            problems.add(entry.path, f"an extra class folder; expected only {', '.join(EXPRESSIONS)}")
            continue
        missing.discard(expression)
        inside = _list_class(entry, label_of(expression), split, problems, above)
        if not inside:
            problems.add(entry.path, "a class folder without images")
        images.extend(inside)
    for expression in EXPRESSIONS:
        if expression in missing:
            problems.add(folder / expression, "a missing class folder")
    return images


def _list_class(
    folder: Entry, label: int, split: str, problems: ProblemList, above: frozenset[tuple[int, int]]
) -> list[ImageFile]:
    images = []
    for entry in list_entries(folder.path, problems, above | {folder.identity}):
        if entry.is_folder:
            problems.add(entry.path, "a folder inside a class folder, which is not read; expected images")
        else:
            images.append(ImageFile(entry.path, label, split_of_file_name(entry.path.name) or split))
    return images


def _check_stray_file(path: Path, problems: ProblemList) -> None:
    """An image beside the class folders has no class: a problem. Other files there (a README, a CSV) do no harm."""
    try:
        decode_image(path)
    except ImageError:
        return
    problems.add(path, "an image outside the class folders, so without a class")


def refuse_filled(folder: Path) -> None:
    """Raise StorageError where ``folder`` is a file or holds anything: what is there is never overwritten."""
    with storage_errors(folder):
        filled = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if filled:
        raise StorageError(
            f"{folder}: expected a new or empty folder, found something there; choose another with --out"
        )


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _link_problem(path: Path, error: OSError) -> str:
    """Why ``path`` could not be looked at."""
    if error.errno == errno.ELOOP:
        return "a symbolic link that loops"
    if path.is_symlink() and error.errno == errno.ENOENT:
        return "a symbolic link to something that is not there"
    return f"cannot be read: {error.strerror}"
