"""Make fer_edge/data/fer2013_names.npz: which row of fer2013.csv each file of the popular folder of FER-2013 is.

The folder that most people download (train/angry/Training_3908.jpg, ...) has FER-2013's faces under numbers of its own.
The names of the same faces were found by matching pixels; this keeps their numbers by row, and nothing else: no pixels,
no labels, no votes.

    python tools/make_name_table.py fer2013new.csv rows.csv fer2013-private-names.csv

The first file is FER+'s, whose row i is row i of fer2013.csv. The others have the columns ``image`` (FER+'s name of the
image, by which its row is found: the number in it leaves out what FER+ calls no face, so it is not the row) and
``kaggle_name``. A name that two images were matched with is left out.
"""

import csv
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from fer_edge.data.names import NAMES_TABLE, parse_name

_USAGE = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}


def numbers_by_row(votes: Path, matches: list[Path]) -> np.ndarray:
    """uint32 (rows of ``votes``,): the number in the name of each row's face, 0 where it is not known."""
    with votes.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    row_of = {row["Image name"]: number for number, row in enumerate(rows) if row["Image name"]}
    found = []
    for path in matches:
        with path.open(newline="") as stream:
            found += [(row["image"], row["kaggle_name"]) for row in csv.DictReader(stream) if row["kaggle_name"]]
    times = Counter(name for _, name in found)
    numbers = np.zeros(len(rows), np.uint32)
    for image, name in found:
        if times[name] > 1:
            print(f"left out: {name}, matched with {times[name]} images", file=sys.stderr)
            continue
        parsed = parse_name(name)
        if parsed is None or _USAGE[parsed[0]] != rows[row_of[image]]["Usage"]:
            raise SystemExit(f"{name}: expected a face of {rows[row_of[image]]['Usage']}, the usage of {image}")
        numbers[row_of[image]] = parsed[1]
    return numbers


def main() -> None:
    """Write the table from the files that are named."""
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    votes, *matches = map(Path, sys.argv[1:])
    numbers = numbers_by_row(votes, matches)
    np.savez_compressed(NAMES_TABLE, numbers=numbers)
    known = int((numbers > 0).sum())
    print(f"{NAMES_TABLE}: {known:,} of {len(numbers):,} rows have a name, {NAMES_TABLE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
