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

from fer_edge.data.faces import FaceSet
from fer_edge.data.ferplus import read_votes
from fer_edge.data.problems import ProblemList, printable
from fer_edge.data.splits import SPLIT_OF_USAGE
from fer_edge.data.votes import COLUMNS
from fer_edge.errors import DataError

NAMES_TABLE = Path(__file__).with_name("fer2013_names.npz")

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


def with_votes_by_name(splits: Mapping[str, FaceSet], votes: Path, problems: ProblemList) -> dict[str, FaceSet]:
    """Give faces, whose sources are paths, the votes in ``votes`` by their files' names; none where one is not known.

    Raises DataError where the table is not FER+'s, or fewer than MIN_KNOWN of the names are in ``fer2013_names.npz``:
    then these are other faces, or the folder has numbers of its own.
    """
    rows = list(read_votes(votes, problems))
    numbers = number_of_each_row()
    if len(rows) != len(numbers):
        raise DataError(
            f"{printable(votes)}: expected FER+'s table of {len(numbers)} rows, found {len(rows)}; get it with "
            "'python cli.py data fetch --votes'"
        )
    place = {(row.split, int(number)): row for row, number in zip(rows, numbers, strict=True) if row and number}
    names = {split: [Path(source).name for source in faces.sources] for split, faces in splits.items()}
    times = Counter(parse_name(name) for each in names.values() for name in each)
    found = {
        split: [place.get(key) if (key := parse_name(name)) and times[key] == 1 else None for name in names[split]]
        for split in splits
    }
    number_of_names = sum(map(len, names.values()))
    known = sum(row is not None for each in found.values() for row in each)
    if known < MIN_KNOWN * number_of_names:
        unknown = next(
            name for split in splits for name, row in zip(names[split], found[split], strict=True) if row is None
        )
        raise DataError(
            f"{problems.source}: expected the file names of FER-2013's popular folder (Training_3908.jpg, ...), found "
            f"{known:,} of {number_of_names:,} that are known (not {printable(unknown)[:60]}), so votes cannot be "
            "joined; leave out --votes, or take FER+'s own layout or fer2013.csv"
        )
    nothing = (0.0,) * len(COLUMNS)
    return {
        split: replace(
            faces,
            votes=np.array([row.votes if row else nothing for row in found[split]], np.float32).reshape(
                -1, len(COLUMNS)
            ),
        )
        for split, faces in splits.items()
    }
