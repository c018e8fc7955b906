"""FER+'s votes for the popular folder of FER-2013, whose file names are numbers of their own.

``fer2013_names.npz`` says which row of ``fer2013.csv`` each name is (made by tools/make_name_table.py, which tells how
they were found); row i of ``fer2013new.csv`` has the votes of row i. Some 230 of 35,887 names are not known: mostly
what FER+ calls no face. These faces keep their label and have no votes. Nor have those that share a name with another
one: the folder has two names in two classes each, of different faces.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from fer_edge.data.faces import FaceData, FaceSet
from fer_edge.data.ferplus import read_votes
from fer_edge.data.problems import ProblemList
from fer_edge.data.splits import SPLIT_OF_USAGE, SPLITS
from fer_edge.data.votes import COLUMNS
from fer_edge.errors import DataError
from fer_edge.text import printable

NAMES_TABLE = Path(__file__).with_name("fer2013_names.npz")

NUM_ROWS = (28709, 3589, 3589)
"""Rows of Training, PublicTest and PrivateTest, which follow each other in ``fer2013.csv``."""

MIN_KNOWN = 0.99
"""Fraction of a folder's names that must be in the table. The folder itself has 99.3 %, other numbers about 0.04 %."""

_NAME = re.compile(r"(Training|PublicTest|PrivateTest)_(\d{1,9})\.[A-Za-z]+")


def parse_name(name: str) -> tuple[str, int] | None:
    """Split and number of a file name such as ``PublicTest_10130075.jpg``; None for any other."""
    match = _NAME.fullmatch(name)
    return (SPLIT_OF_USAGE[match[1].casefold()], int(match[2])) if match else None


@cache
def number_of_each_row() -> np.ndarray:
    """uint32 (35887,): the number in the popular folder's name of each row of ``fer2013.csv``, 0 where unknown."""
    with np.load(NAMES_TABLE, allow_pickle=False) as table:
        return np.asarray(table["numbers"])


@cache
def _row_of_each_name() -> dict[tuple[str, int], int]:
    """The row of each known name, by what ``parse_name`` gives for it."""
    splits = np.repeat(SPLITS, NUM_ROWS).tolist()
    numbers = number_of_each_row().tolist()
    return {(split, number): row for row, (split, number) in enumerate(zip(splits, numbers, strict=True)) if number}


def rows_of_names(splits: Mapping[str, FaceSet]) -> dict[str, list[int | None]]:
    """The row of ``fer2013.csv`` of each face, by split; None where its name is unknown or another face's too."""
    names = {split: [parse_name(Path(source).name) for source in faces.sources] for split, faces in splits.items()}
    times = Counter(name for each in names.values() for name in each)
    table = _row_of_each_name()
    return {
        split: [table.get(name) if name and times[name] == 1 else None for name in each]
        for split, each in names.items()
    }


def has_known_names(splits: Mapping[str, FaceSet]) -> bool:
    """Whether these faces, some at least, are the popular folder's: MIN_KNOWN of the names are known."""
    rows = [row for each in rows_of_names(splits).values() for row in each]
    return bool(rows) and sum(row is not None for row in rows) >= MIN_KNOWN * len(rows)


def is_fer2013(data: FaceData) -> bool:
    """Whether these are FER-2013's faces: they have FER+'s votes, which are of no others, names of the popular folder,
    or as many rows as ``fer2013.csv``."""
    return data.train.votes is not None or has_known_names(data.splits) or len(data.train) == NUM_ROWS[0]


def with_votes_by_name(splits: Mapping[str, FaceSet], votes: Path, problems: ProblemList) -> dict[str, FaceSet]:
    """Give faces, whose sources are paths, the votes in ``votes`` by their files' names; none where one is not known.

    Raises DataError where the table is not FER+'s, or fewer than MIN_KNOWN of the names are in ``fer2013_names.npz``:
    then these are other faces, or the folder has numbers of its own.
    """
    table = list(read_votes(votes, problems))
    usages = [row.split if row else split for row, split in zip(table, np.repeat(SPLITS, NUM_ROWS), strict=False)]
    if len(table) != sum(NUM_ROWS) or usages != np.repeat(SPLITS, NUM_ROWS).tolist():
        found = f"{len(table)}" if len(table) != sum(NUM_ROWS) else "rows in another order"
        raise DataError(
            f"{printable(votes)}: expected FER+'s table of {sum(NUM_ROWS)} rows, found {found}; get it with "
            "'fer-edge data fetch --votes'"
        )
    rows = rows_of_names(splits)
    if not has_known_names(splits):
        places = [
            (source, row) for split in splits for source, row in zip(splits[split].sources, rows[split], strict=True)
        ]
        unknown = [Path(source).name for source, row in places if row is None]
        raise DataError(
            f"{problems.source}: expected the file names of FER-2013's popular folder (Training_3908.jpg, ...), found "
            f"{len(places) - len(unknown):,} of {len(places):,} that are known (not {printable(unknown[0])[:60]}), so "
            "votes cannot be joined; leave out --votes, or take FER+'s own layout or fer2013.csv"
        )
    counts = np.array(
        [row.votes if row else (0.0,) * len(COLUMNS) for row in table] + [(0.0,) * len(COLUMNS)], np.float32
    )
    last = len(table)  # all zeros, for a face without a row
    return {
        split: replace(faces, votes=counts[np.array([last if row is None else row for row in rows[split]], np.int64)])
        for split, faces in splits.items()
    }
