"""What ``--skip-bad`` left out of a data set, counted by kind: so many unreadable images, HEIC photos, rows."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from fer_edge.data.problems import Problem
from fer_edge.runtime.file_kind import ANIMATION, JSON, PICTURE, TEXT, kind_of
from fer_edge.runtime.left_out import counted, in_words

DAMAGED, ROW, HIDDEN = "damaged image", "row", "hidden file"
OTHER = "other"
_ROW = re.compile(r"\.csv:\d+\Z|\.txt:\d+\Z")


def left_out_of(problems: Iterable[Problem]) -> dict[str, int]:
    """How many ``problems`` are of which kind, in the singular (``HEIC photo``, ``damaged image``, ``row``, ``other``).

    The most frequent is first, and ``other`` last. Classes without a face are none of them: no option leaves those out.
    """
    return counted(Counter(_kind(problem.where) for problem in problems if problem.emptied is None))


def left_out_in_words(kinds: Mapping[str, int]) -> str:
    """``left out: 3 files or rows that cannot be used (2 HEIC photos, 1 other)``; empty where there is none."""
    total = sum(kinds.values())
    what = "file or row" if total == 1 else "files or rows"
    return f"left out: {total:,} {what} that cannot be used ({in_words(kinds)})" if total else ""


def _kind(where: str) -> str:
    if _ROW.search(where):
        return ROW
    path = Path(where)
    if path.name.startswith("."):
        return HIDDEN
    found = kind_of(path)
    if found in (None, JSON, TEXT):
        return OTHER
    return DAMAGED if found in (PICTURE, ANIMATION) else found.words.removeprefix("an ").removeprefix("a ")
