"""One way in for every layout: from what the user names to faces in three splits, or one report of what is wrong."""

import stat
from dataclasses import replace
from pathlib import Path

from fer_edge.data.archives import is_archive
from fer_edge.data.faces import FaceData, FaceSet
from fer_edge.data.folders import Entry, is_layout, list_entries, list_images
from fer_edge.data.leaks import without_leaks
from fer_edge.data.problems import ProblemList, printable
from fer_edge.data.reading import read_images
from fer_edge.data.sample import draw_sample, is_sample
from fer_edge.data.splits import choose_validation
from fer_edge.data.tables import find_tables, read_tables
from fer_edge.errors import DataError
from fer_edge.runtime.images import FACE_SIZE

DEFAULT_SOURCES = ("fer2013", "fer2013.csv")
"""What is looked for in the working directory when no source is named."""

MAX_NESTING = 4
"""How many folders that hold nothing but one folder are descended through (``archive/fer2013/train``)."""


def load_faces(
    source: str | Path | None = None,
    *,
    size: int = FACE_SIZE,
    skip_bad: bool = False,
    drop_leaks: bool = False,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> FaceData:
    """Read a set of labelled faces, whatever its layout, as uint8 (N, size, size) a split.

    ``source`` is a folder (split folders, class folders, or one that holds the CSVs of FER-2013), a CSV file,
    ``sample`` or ``sample:N`` for drawn faces (a folder of that name is ``./sample``), or None for ``fer2013`` in the
    working directory.
    Where no face is from validation, a stratified ``validation_fraction`` of train, chosen by ``seed``, becomes it.
    ``drop_leaks`` leaves faces out of validation and test that are byte-identical to one in an earlier split.

    Raises DataError with every path or row that cannot be used; under ``skip_bad`` these are left out and kept in
    ``FaceData.problems``. Also raises it when there is nothing at ``source`` or nothing usable is left.
    """
    if not 0 < validation_fraction < 1:
        raise ValueError(f"validation_fraction: expected a number between 0 and 1, found {validation_fraction}")
    if is_sample(source):
        data = draw_sample(str(source), size=size, seed=seed)
    else:
        data = _read(_existing(source), size, skip_bad)
    if not len(data.validation) and len(data.train):
        data = _with_validation_from_train(data, validation_fraction, seed)
    return without_leaks(data) if drop_leaks else data


def _existing(source: str | Path | None) -> Path:
    """The path behind ``source``. Raises DataError where there is none."""
    if source is None:
        for name in DEFAULT_SOURCES:
            if Path(name).exists():
                return Path(name)
        raise DataError(
            f"expected {' or '.join(DEFAULT_SOURCES)} in {Path.cwd()}, found neither; name your faces with --data "
            "PATH, take drawn ones with --data sample, or get FER-2013 with 'python cli.py data fetch'"
        )
    path = Path(source)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"{printable(path)}: expected a folder of faces or a CSV file, found none that can be opened ({reason}); "
            "check --data, or take drawn faces with --data sample"
        ) from error
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise DataError(
            f"{printable(path)}: expected a folder of faces or a CSV file, found a pipe, socket or device; check --data"
        )
    if stat.S_ISREG(mode) and is_archive(path):
        raise DataError(
            f"{printable(path)}: expected a folder of faces or a CSV file, found an archive; unpack it and name the "
            "folder with --data"
        )
    return path


def _read(path: Path, size: int, skip_bad: bool) -> FaceData:
    problems = ProblemList(printable(path))
    if path.is_dir():
        splits, layout = _read_folder(path, size, problems)
    else:
        splits, layout = read_tables([path], size, problems)
    if not any(splits.values()):
        raise problems.nothing_usable()
    if not skip_bad:
        problems.raise_if_any()
    absolute = path.absolute()
    return FaceData(
        printable(absolute),
        layout,
        **splits,
        problems=tuple(problems.found),
        draws_validation=False,
        path=str(absolute),
    )


def _read_folder(path: Path, size: int, problems: ProblemList) -> tuple[dict[str, FaceSet], str]:
    root = path
    for _ in range(MAX_NESTING):
        entries = list_entries(root, problems)
        if is_layout(entries):
            files, layout = list_images(root, entries, problems)
            return read_images(files, size, problems), layout
        tables = find_tables(entry.path for entry in entries if not entry.is_folder)
        if tables:
            return read_tables(tables, size, problems)
        folders = [entry.path for entry in entries if entry.is_folder]
        if len(folders) != 1:
            break
        root = folders[0]
    raise DataError(_unknown_layout(root, entries))


def _unknown_layout(root: Path, entries: list[Entry]) -> str:
    archives = [entry.path.name for entry in entries if not entry.is_folder and is_archive(entry.path)]
    if archives:
        return f"{printable(root)}: expected faces, found an archive ({printable(archives[0])}); unpack it there first"
    names = [f"{entry.path.name}/" if entry.is_folder else entry.path.name for entry in entries]
    found = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return (
        f"{printable(root)}: expected split folders (train/, validation/, test/), class folders (angry/, ...), "
        f"fer2013.csv, icml_face_data.csv or train.csv, found {printable(found) or 'an empty folder'}; "
        "name the folder that holds one of these with --data PATH"
    )


def _with_validation_from_train(data: FaceData, fraction: float, seed: int) -> FaceData:
    chosen = choose_validation(data.train.labels, data.train.digests(), fraction=fraction, seed=seed)
    return replace(
        data,
        train=data.train.take(~chosen),
        validation=data.train.take(chosen),
        layout=f"{data.layout}; validation: a stratified {fraction:.0%} of train, seed {seed}",
        draws_validation=True,
    )
