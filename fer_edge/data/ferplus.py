"""FER+: its own folder layout, and its votes beside ``fer2013.csv``.

The layout is that of github.com/microsoft/FERPlus: ``FER2013Train/``, ``FER2013Valid/``, ``FER2013Test/`` hold the
images, and ``fer2013new.csv`` beside them says which images these are and what ten annotators saw. The FER-2013 labels
come from ``rows.csv``, where it is there; without it the faces have votes alone.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from fer_edge.data.faces import NO_LABEL, FaceSet
from fer_edge.data.folders import ImageFile
from fer_edge.data.headings import way_out
from fer_edge.data.problems import ProblemList
from fer_edge.data.reading import read_images
from fer_edge.data.splits import SPLIT_OF_USAGE, SPLITS
from fer_edge.data.votes import COLUMNS
from fer_edge.errors import DataError
from fer_edge.labels import FER2013
from fer_edge.text import printable

VOTES_TABLE = "fer2013new.csv"
ROWS_TABLE = "rows.csv"
SPLIT_OF_FERPLUS_FOLDER = {"FER2013Train": "train", "FER2013Valid": "validation", "FER2013Test": "test"}
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
"""Other files in the image folders (FER+'s own ``label.csv``) are no faces."""


class _Named(Protocol):
    @property
    def path(self) -> Path: ...


@dataclass(frozen=True)
class VotesRow:
    """One row of ``fer2013new.csv``."""

    where: str
    split: str
    image: str
    """Empty where FER+ has no image for it."""
    votes: tuple[float, ...]
    """As many as COLUMNS."""

    @property
    def is_no_face(self) -> bool:
        """Whether FER+ leaves it out: without an image, or with more votes for "no face" than for anything else."""
        return not self.image or self.votes[-1] == max(self.votes)


def is_ferplus_layout(entries: Iterable[_Named]) -> bool:
    """Whether a folder with these ``entries`` is FER+'s: the votes and at least one of its image folders."""
    names = {entry.path.name for entry in entries}
    return VOTES_TABLE in names and not names.isdisjoint(SPLIT_OF_FERPLUS_FOLDER)


def read_ferplus(root: Path, size: int, problems: ProblemList) -> tuple[dict[str, FaceSet], str]:
    """Read FER+'s layout at ``root`` as faces with votes by split, and the layout in words.

    Images that are in the table and not in their folder, or the other way round, rows that are none, and files that
    cannot be decoded become problems.
    """
    rows = {row.image: row for row in read_votes(root / VOTES_TABLE, problems) if row is not None and row.image}
    labels = _read_labels(root / ROWS_TABLE, problems) if (root / ROWS_TABLE).is_file() else None
    files: list[ImageFile] = []
    for folder, split in SPLIT_OF_FERPLUS_FOLDER.items():
        if (root / folder).is_dir():
            files += _files_of(root / folder, split, rows, labels, problems)
    splits = read_images(files, size, problems)
    with_votes = {
        split: replace(faces, votes=_votes_of([rows[Path(source).name] for source in faces.sources]))
        for split, faces in splits.items()
    }
    folders = ", ".join(f"{name}/" for name in SPLIT_OF_FERPLUS_FOLDER if (root / name).is_dir())
    source = f"FER-2013's labels from {ROWS_TABLE}" if labels is not None else "no FER-2013 labels"
    return with_votes, f"FER+ folders {folders}; votes from {VOTES_TABLE}; {source}; split: by folder"


def _files_of(
    folder: Path,
    split: str,
    rows: Mapping[str, VotesRow],
    labels: Mapping[str, int] | None,
    problems: ProblemList,
) -> list[ImageFile]:
    """The images in ``folder`` that the tables know, by name."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.casefold() in IMAGE_SUFFIXES)
    except OSError as error:
        problems.add(folder, f"cannot be read: {error.strerror}")
        return []
    files = []
    for path in paths:
        row = rows.get(path.name)
        if row is None:
            problems.add(path, f"an image without a row in {VOTES_TABLE}")
        elif row.split != split:
            problems.add(path, f"expected an image of {split}, found one of {row.split} in {VOTES_TABLE}")
        elif labels is not None and path.name not in labels:
            problems.add(path, f"an image without a row in {ROWS_TABLE}")
        else:
            files.append(ImageFile(path, NO_LABEL if labels is None else labels[path.name], split))
    there = {path.name for path in paths}
    for row in rows.values():
        expected = not row.is_no_face if labels is None else row.image in labels  # rows.csv says which images there are
        if row.split == split and row.image not in there and expected:
            problems.add(row.where, f"expected the image {printable(row.image)} in {folder.name}/, found none")
    return files


def with_votes_by_row(
    splits: Mapping[str, FaceSet], table: Path, num_rows: int, problems: ProblemList
) -> dict[str, FaceSet]:
    """Give faces that were read from ``fer2013.csv`` the votes of the same row in ``table``.

    Row i of one is row i of the other; a face's row is in its source, ``file.csv:LINE``. Raises DataError where the
    tables have not ``num_rows`` rows both, or say different things of a row's split: then they do not belong together.
    """
    rows = list(read_votes(table, problems))
    if len(rows) != num_rows:
        raise DataError(
            f"{printable(table)}: expected as many rows as beside it, {num_rows}, found {len(rows)}; "
            "row i of one must be row i of the other: get both unchanged, or take the votes away"
        )
    joined = {}
    for split in SPLITS:
        faces = splits[split]
        chosen, keep = [], []
        for place, source in enumerate(faces.sources):
            row = rows[int(source.rpartition(":")[2]) - 2]  # the header is line 1
            if row is None:
                continue  # a problem already
            if row.split != split:
                raise DataError(
                    f"{row.where}: expected the Usage that {source} has ({split}), found {row.split}; "
                    "the two tables do not belong together: get both unchanged, or take the votes away"
                )
            chosen.append(row)
            keep.append(place)
        joined[split] = replace(faces.take(keep), votes=_votes_of(chosen))
    return joined


def count_rows(table: Path) -> int:
    """Rows of a CSV behind its header. Raises DataError where it cannot be read."""
    try:
        with table.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            return sum(1 for line in stream if line.strip()) - 1
    except OSError as error:
        raise DataError(f"{printable(table)}: expected a CSV file, found one that cannot be read: {error}") from error


def _votes_of(rows: list[VotesRow]) -> np.ndarray:
    return np.array([row.votes for row in rows], np.float32).reshape(len(rows), len(COLUMNS))


def read_votes(path: Path, problems: ProblemList) -> Iterator[VotesRow | None]:
    """The rows of ``fer2013new.csv`` in their order; None, with the problem noted, for one that cannot be used.

    Raises DataError where it is no such table.
    """
    for where, fields in _rows_of(path, ("Usage", "Image name", *COLUMNS)):
        usage, image, counts = fields["Usage"], fields["Image name"], [fields[column] for column in COLUMNS]
        split = SPLIT_OF_USAGE.get(usage.casefold())
        wrong = next(
            (count for count in counts if not (count.isascii() and count.isdecimal() and len(count) <= 6)), None
        )
        if split is None:
            problems.add(where, f"expected the Usage Training, PublicTest or PrivateTest, found {usage[:20]!r}")
        elif wrong is not None:
            problems.add(where, f"expected numbers of votes, found {wrong[:20]!r}")
        elif image != Path(image).name:
            problems.add(where, f"expected the name of an image, found {image[:40]!r}")
        else:
            yield VotesRow(where, split, image, tuple(map(float, counts)))
            continue
        yield None


def _read_labels(path: Path, problems: ProblemList) -> dict[str, int]:
    """The FER-2013 label of each image."""
    labels = {}
    for where, fields in _rows_of(path, ("image", "fer2013_label")):
        name = FER2013.resolve(fields["fer2013_label"])
        if name is None:
            problems.add(where, f"expected one of {', '.join(FER2013.names)}, found {fields['fer2013_label'][:20]!r}")
        else:
            labels[fields["image"]] = FER2013.index(name)
    return labels


def _rows_of(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each row is and its fields, blanks around them taken off. Raises DataError for another header."""
    name = printable(path)
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            reader = csv.DictReader(stream)
            header = [field.strip() for field in reader.fieldnames or []]
            missing = [column for column in columns if column not in header]
            if missing:
                expected = f"{name}: expected the columns {', '.join(columns)}"
                raise DataError(f"{expected}, found none called {missing[0]}{way_out(header)}")
            reader.fieldnames = header
            for row in reader:
                yield f"{name}:{reader.line_num}", {column: (row[column] or "").strip() for column in columns}
    except (OSError, csv.Error) as error:
        raise DataError(f"{name}: expected a CSV file, found one that cannot be read: {error}") from error
