"""Faces in folders of images: finds every image with its class and split, and every oddity.

Two shapes are read: ``ROOT/train|validation|test/CLASS/IMAGE`` and plain ImageFolder, ``ROOT/CLASS/IMAGE``.
"""

import errno
import stat
from dataclasses import dataclass
from pathlib import Path

from fer_edge.data.class_map import ClassMap
from fer_edge.data.classes import is_known_class, labels_of_folders
from fer_edge.data.problems import ProblemList
from fer_edge.data.splits import SPLIT_OF_FOLDER, split_of_file_name, split_of_folder
from fer_edge.errors import ImageError, StorageError
from fer_edge.files import contents, require_writable, storage_errors
from fer_edge.labels import LabelSet
from fer_edge.runtime.file_kind import is_unread_photo
from fer_edge.runtime.images import SUFFIXES, decode_image
from fer_edge.text import printable


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


LITTER = frozenset(
    {
        *("__macosx", ".ds_store"),
        *("thumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
        *("lost+found", "@eadir", "#recycle"),
    }
)
"""What macOS, Windows, Linux and network drives leave in folders and archives by themselves, in lower case: no data,
and nobody's mistake."""


def list_entries(folder: Path, problems: ProblemList, above: frozenset[tuple[int, int]] = frozenset()) -> list[Entry]:
    """What is in ``folder``, by name, without LITTER.

    Hidden entries, broken and looping links and special files become problems.
    ``above`` holds the identities of the folder and of those it was reached through.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.name.casefold() not in LITTER)
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
            if status.st_ino and identity in above:  # some network drives number nothing, seen from Windows
                problems.add(path, "a symbolic link that loops back to a folder above it")
            else:
                entries.append(Entry(path, True, identity))
        elif stat.S_ISREG(status.st_mode):
            entries.append(Entry(path, False, identity))
        else:
            problems.add(path, "neither a file nor a folder (a pipe, socket or device)")
    return entries


FERPLUS_FOLDERS = frozenset(("fer2013train", "fer2013valid", "fer2013test"))
"""Folders of FER+'s own layout, in lower case: images without classes."""


@dataclass(frozen=True)
class SplitFolder:
    """A folder that holds class folders, and what is in it."""

    path: Path
    split: str
    entries: list[Entry]
    above: frozenset[tuple[int, int]]
    """Identities of this folder and of those it was reached through."""
    problems: ProblemList
    """Found while it was listed."""


def is_layout(entries: list[Entry], wanted: LabelSet | None, class_map: ClassMap) -> bool:
    """Whether a folder with these ``entries`` holds split folders, or class folders whose names are known.

    Known are those of the ``class_map``, and of the ``wanted`` label set, or of the built-in ones where it is None.
    """
    return any(
        entry.is_folder
        and (
            split_of_folder(entry.path.name) or entry.path.name in class_map or is_known_class(entry.path.name, wanted)
        )
        for entry in entries
    )


def has_own_classes(entries: list[Entry]) -> bool:
    """Whether these ``entries`` have two or more folders of images: classes, whatever they are called."""
    folders = [entry.path for entry in entries if entry.is_folder and entry.path.name.casefold() not in FERPLUS_FOLDERS]
    return sum(_holds_images(folder) for folder in folders) >= 2


def _holds_images(folder: Path) -> bool:
    try:
        return any(path.suffix.casefold() in SUFFIXES for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return False


def list_images(
    root: Path, entries: list[Entry], wanted: LabelSet | None, problems: ProblemList, class_map: ClassMap
) -> tuple[list[ImageFile], str, LabelSet]:
    """Every image under ``root``, whose ``entries`` are given, the layout in words, and the label set.

    A file name with a FER-2013 prefix decides its own split; for others the split folder does, and without split
    folders they are all from train. Raises DataError where the class folders, those of all splits together, are not
    the ones of the ``wanted`` label set (None: see ``labels_of_folders``).
    """
    identity = _identity(root)
    split_folders = [entry for entry in entries if entry.is_folder and split_of_folder(entry.path.name)]
    if not split_folders:
        labels = _labels_of(_class_names(entries), wanted, root, class_map)
        alone = SplitFolder(root, "train", entries, frozenset([identity]), problems)
        images = _list_classes(alone, labels, problems, class_map)
        return images, _in_words("class folders", images, "all train"), labels

    found = []
    for entry in entries:
        split = split_of_folder(entry.path.name)
        if not entry.is_folder:
            _check_stray_file(entry.path, problems)
        elif split is None:
            names = ", ".join(SPLIT_OF_FOLDER)
            problems.add(entry.path, f"an extra folder beside the split folders; expected only {names}")
        else:
            above, noted = frozenset([identity, entry.identity]), ProblemList(problems.source)
            found.append(SplitFolder(entry.path, split, list_entries(entry.path, noted, above), above, noted))
    names_of_all = [name for folder in found for name in _class_names(folder.entries)]
    labels = _labels_of(names_of_all, wanted, root, class_map)
    images = []
    for folder in found:
        problems.found.extend(folder.problems.found)
        images.extend(_list_classes(folder, labels, problems, class_map))
    names = ", ".join(f"{entry.path.name}/" for entry in split_folders)
    return images, _in_words(f"split folders {names}", images, "by folder"), labels


def _labels_of(names: list[str], wanted: LabelSet | None, root: Path, class_map: ClassMap) -> LabelSet:
    """The label set of folders called ``names``, mapped. Raises DataError where map, folders and classes do not fit."""
    class_map.refuse_unused(names, printable(root))
    if wanted is not None:
        class_map.refuse_unknown(wanted, printable(root))
    is_mapped = any(name in class_map for name in names)
    return labels_of_folders([class_map.class_of(name) for name in names], wanted, root, is_mapped=is_mapped)


def _class_names(entries: list[Entry]) -> list[str]:
    return [entry.path.name for entry in entries if entry.is_folder]


def _in_words(folders: str, images: list[ImageFile], otherwise: str) -> str:
    prefixed = sum(split_of_file_name(image.path.name) is not None for image in images)
    if not prefixed:
        return f"{folders}; split: {otherwise}"
    if prefixed == len(images):
        return f"{folders}; split: by the prefix of each file name (Training_, PublicTest_, PrivateTest_)"
    return f"{folders}; split: {prefixed} images by the prefix of their name, {len(images) - prefixed} {otherwise}"


def _list_classes(folder: SplitFolder, labels: LabelSet, problems: ProblemList, class_map: ClassMap) -> list[ImageFile]:
    """The images of every class folder of ``folder``; names that mean the same class are merged."""
    images: list[ImageFile] = []
    missing = set(labels.names)
    of_train = folder.split == "train"
    for entry in folder.entries:
        if not entry.is_folder:
            _check_stray_file(entry.path, problems)
            continue
        name = labels.resolve(class_map.class_of(entry.path.name))
        assert name is not None, "labels_of_folders refuses folders of other classes"
        missing.discard(name)
        inside = _list_class(entry, labels.index(name), folder.split, problems, folder.above)
        if not inside:
            problems.add(entry.path, "a class folder without images", emptied=name if of_train else None)
        images.extend(inside)
    for name in labels.names:
        if name in missing:
            problems.add(folder.path / name, "a missing class folder", emptied=name if of_train else None)
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
    """An image beside the class folders has no class: a problem, also where its format is not read (HEIC, AVIF).

    Other files there (a README, a CSV) do no harm.
    """
    try:
        decode_image(path)
    except ImageError:
        if not is_unread_photo(path):
            return
    problems.add(path, "an image outside the class folders, so without a class")


def refuse_filled(folder: Path) -> None:
    """Raise StorageError where ``folder`` is a file or holds anything: what is there is never overwritten. Also where
    nothing can be written there."""
    with storage_errors(folder):
        filled = folder.exists() and (not folder.is_dir() or bool(contents(folder)))
    if filled:
        raise StorageError(
            f"{folder}: expected a new or empty folder, found something there; choose another with --out"
        )
    require_writable(folder)


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
