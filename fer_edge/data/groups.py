"""A table of groups: what else is known of faces, such as age, sex or light; for ``evaluate --groups``."""

import csv
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fer_edge.data.headings import SAVE_AS_UTF8, way_out
from fer_edge.errors import DataError
from fer_edge.text import listed, printable

PATH = "path"
MAX_GROUPS = 20
"""Different values of a column. More are figures, such as an age, and each group would be too small to say anything."""
_MOST_NAMED = 6


@dataclass(frozen=True)
class GroupColumn:
    """One column of the table, for the faces that are evaluated."""

    name: str
    values: tuple[str, ...]
    """Of each face; empty where the table has none."""

    @property
    def groups(self) -> list[str]:
        """Every value that a face has, sorted; the empty one is none."""
        return sorted(set(self.values) - {""})


@dataclass(frozen=True)
class GroupTable:
    """What the table says of the faces that are evaluated."""

    path: Path
    columns: tuple[GroupColumn, ...]
    num_without_row: int
    """Faces that the table does not name."""


@dataclass(frozen=True)
class GroupRows:
    """The rows of a table of groups, of whatever faces."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, str, tuple[str, ...]], ...]
    """The line of each, what it says of the path, and the values of its columns."""


def read_groups(path: Path) -> GroupRows:
    """Read the CSV file at ``path`` (UTF-8, a heading with ``path`` and one or more columns of groups).

    Raises DataError for a file that is no such table: to ask before long work.
    """
    shown = printable(path)
    expected = f"{shown}: expected a CSV file with a column '{PATH}' and one or more of groups"
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            heading = [(name or "").strip() for name in reader.fieldnames or ()]
            reader.fieldnames = heading
            read = [(reader.line_num, row) for row in reader]
    except FileNotFoundError as error:
        raise DataError(f"{expected}, found no file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        is_text = not isinstance(error, UnicodeDecodeError)
        reason = printable(str(error)) if is_text else f"bytes that are not UTF-8{SAVE_AS_UTF8}"
        raise DataError(f"{expected}, found {reason}") from error
    if PATH not in heading or len(heading) < 2 or "" in heading or len(set(heading)) < len(heading):
        found = printable(", ".join(heading)) or "nothing"
        raise DataError(f"{expected}, each with a name of its own; found {found}{way_out(heading)}")
    for line, row in read:
        # DictReader keeps what is beyond the heading under None, and fills what is missing with None.
        if None in row or None in row.values():
            raise DataError(
                f"{shown}, line {line}: expected {len(heading)} columns as in the heading, found another number"
            )
    names = tuple(name for name in heading if name != PATH)
    rows = tuple((line, row[PATH], tuple(row[name].strip() for name in names)) for line, row in read)
    return GroupRows(path, names, rows)


def groups_of(table: GroupRows, sources: Sequence[str]) -> GroupTable:
    """What ``table`` says of the faces that are from ``sources``, as a FaceSet has them.

    The column ``path`` names a face by the end of its path, as long as it takes to be the only one: ``7.png``,
    ``happy/7.png`` or all of it; every other column is one of groups. Rows of other faces (another split's) do not
    count. Raises DataError for a row that could mean several faces, two rows of one face that say different things, a
    column of more than MAX_GROUPS values, and where no row is of these faces.
    """
    shown = printable(table.path)
    places = _Places(sources)
    found: dict[int, tuple[int, tuple[str, ...]]] = {}
    for line, text, values in table.rows:
        place = places.of(text, f"{shown}, line {line}")
        if place is None:
            continue
        if place in found and found[place][1] != values:
            raise DataError(
                f"{shown}, line {line}: expected one row a face, found another of {printable(sources[place])} in line "
                f"{found[place][0]}; leave one out"
            )
        found[place] = line, values
    if not found:
        raise DataError(
            f"{shown}: expected paths of faces that are evaluated, such as {printable(sources[0])}, found none of "
            f"{len(sources):,}; write paths as 'fer-edge data inspect' names files, or choose their split with --split"
        )
    empty = ("",) * len(table.columns)
    by_face = [found[place][1] if place in found else empty for place in range(len(sources))]
    columns = tuple(
        GroupColumn(name, tuple(values[index] for values in by_face)) for index, name in enumerate(table.columns)
    )
    for column in columns:
        if len(column.groups) > MAX_GROUPS:
            raise DataError(
                f"{shown}: expected at most {MAX_GROUPS} groups in the column {printable(column.name)}, found "
                f"{len(column.groups)} ({printable(listed(column.groups, _MOST_NAMED))}); put its values into ranges"
            )
    return GroupTable(table.path, columns, len(sources) - len(found))


class _Places:
    """Finds faces by the ends of their paths: however many share a file name, each in the time of a search."""

    def __init__(self, sources: Sequence[str]) -> None:
        found = sorted((_parts_of(source)[::-1], place) for place, source in enumerate(sources))
        self._from_the_end = [parts for parts, _ in found]
        self._places = [place for _, place in found]

    def of(self, text: str, where: str) -> int | None:
        """The place of the one face whose path ends so; None for no face. Raises DataError where several do."""
        wanted = _parts_of(text.strip())[::-1]
        if not wanted:
            raise DataError(f"{where}: expected a path, found none; leave the row out")
        first = bisect_left(self._from_the_end, wanted)
        end = bisect_right(self._from_the_end, wanted, first, key=lambda parts: parts[: len(wanted)])
        if end - first > 1:
            raise DataError(
                f"{where}: expected a path of one face, found {end - first} that end in {printable(text.strip())}; "
                "write more of its folders"
            )
        return self._places[first] if end > first else None


def _parts_of(path: str) -> tuple[str, ...]:
    return tuple(part for part in PurePosixPath(path.replace("\\", "/")).parts if part != ".")
