"""FER-2013 as CSV: ``fer2013.csv``, ``icml_face_data.csv`` and the ``train.csv``/``test.csv`` pair.

One row is one face: a class number (see CLASSES_BY_CODE, mapped by name), 48 x 48 grey levels separated by
spaces, and in most files the split it is from (``Usage``).
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_edge.data.class_map import ClassMap
from fer_edge.data.faces import FaceSet, empty_face_set
from fer_edge.data.headings import way_out
from fer_edge.data.problems import ProblemList
from fer_edge.data.splits import SPLIT_OF_USAGE, SPLITS
from fer_edge.labels import FER2013, folded
from fer_edge.runtime.images import FACE_SIZE, face_pixels
from fer_edge.text import printable

WHOLE_TABLES = ("fer2013.csv", "icml_face_data.csv")
"""Files that hold every split; the first that is there is read alone."""

TABLE_PAIR = ("train.csv", "test.csv")

_MOST_VALUES = 1000  # of a column that holds no labels, no more are kept for the message

NUM_PIXELS = FACE_SIZE * FACE_SIZE

CLASSES_BY_CODE = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The class of each number in the column ``emotion``: FER2013's names in another order."""


@dataclass(frozen=True)
class Row:
    """One row that can be used."""

    where: str
    split: str
    label: int
    face: np.ndarray


@dataclass(frozen=True)
class Columns:
    """Where the columns are in a file, and which split its rows are from when it has no ``Usage`` column."""

    emotion: int
    pixels: int
    usage: int | None
    split: str

    @property
    def width(self) -> int:
        """Number of fields that a row must have."""
        return max(self.emotion, self.pixels, self.usage or 0) + 1


def label_of_code(code: int) -> int:
    """Index in FER2013 of class ``code`` of the column ``emotion``. Raises IndexError for a code that is none."""
    if not 0 <= code < len(CLASSES_BY_CODE):
        raise IndexError(code)
    return FER2013.index(CLASSES_BY_CODE[code])


def find_tables(files: Iterable[Path]) -> list[Path]:
    """Those of ``files`` that together are FER-2013: one whole table, or the pair (or train.csv alone); else none."""
    named = {path.name.casefold(): path for path in files}
    for name in WHOLE_TABLES:
        if name in named:
            return [named[name]]
    return [named[name] for name in TABLE_PAIR if name in named] if TABLE_PAIR[0] in named else []


def read_tables(
    paths: list[Path], size: int, problems: ProblemList, class_map: ClassMap
) -> tuple[dict[str, FaceSet], str]:
    """Read the rows of ``paths`` as faces, uint8 (size, size), by split, and the layout in words.

    Rows that cannot be used become problems. A file without an emotion column (the competition's test.csv) has no
    labels and is left out, which the layout says. Raises DataError where ``class_map`` does not fit the rows.
    """
    class_map.refuse_unknown(FER2013, problems.source)
    # Numbers of a table mean FER-2013's classes, so a map that was recorded for other faces must not change them.
    labels = _Labels(class_map if class_map.is_strict else ClassMap())
    rows: list[Row] = []
    layouts = []
    for path in paths:
        found, layout = _read_table(path, problems, labels, may_lack_labels=len(paths) > 1)
        rows.extend(found)
        layouts.append(layout)
    class_map.refuse_unused(labels.found, problems.source)
    trained = {row.label for row in rows if row.split == "train"}
    for code, name in enumerate(CLASSES_BY_CODE):
        if trained and FER2013.index(name) not in trained:
            problems.add(paths[0], f"no row of class {code} ({name}) from train that can be used", emptied=name)
    return {split: _gather([row for row in rows if row.split == split], size) for split in SPLITS}, "; ".join(layouts)


def _gather(rows: list[Row], size: int) -> FaceSet:
    if not rows:
        return empty_face_set(size)
    faces = np.stack([row.face if size == FACE_SIZE else face_pixels(row.face, size) for row in rows])
    return FaceSet(faces, np.array([row.label for row in rows], np.int64), tuple(row.where for row in rows))


def _read_table(
    path: Path, problems: ProblemList, labels: "_Labels", *, may_lack_labels: bool
) -> tuple[list[Row], str]:
    name = printable(path)
    try:
        # utf-8-sig drops the byte-order mark that spreadsheets write; what is no UTF-8 shows up as a bad field.
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            lines = _numbered_rows(stream, name, problems)
            header = next(lines, (0, []))[1]
            columns, reason = _find_columns(header, path)
            if columns is None and may_lack_labels and _names(header).count("pixels"):
                return [], f"{path.name} left out (no emotion column, so no labels)"
            if columns is None:
                problems.add(name, reason)
                return [], path.name
            rows = [
                row for line, fields in lines if (row := _read_row(fields, columns, f"{name}:{line}", problems, labels))
            ]
    except OSError as error:
        problems.add(name, f"cannot be read: {error.strerror}")
        return [], path.name
    return (
        rows,
        f"CSV {path.name}; split: {'by its Usage column' if columns.usage is not None else 'all ' + columns.split}",
    )


def _numbered_rows(stream: Iterable[str], name: str, problems: ProblemList) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, each with the line it starts on; what is no CSV becomes a problem."""
    reader = csv.reader(stream, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines = f" (up to line {reader.line_num})" if reader.line_num > start else ""
            problems.add(f"{name}:{start}", f"no valid row: {error}{lines}")
            continue
        if fields:
            yield start, fields


def _names(header: list[str]) -> list[str]:
    return [field.strip().casefold() for field in header]


def _find_columns(header: list[str], path: Path) -> tuple[Columns | None, str]:
    """The columns that ``header`` names in any order and capitals, with spaces around them, or why there are none."""
    names = _names(header)
    if "emotion" not in names or "pixels" not in names:
        found = ", ".join(field[:40] for field in names[:8]) or "an empty file"
        return None, f"expected a header with the columns emotion and pixels, found {printable(found)}{way_out(header)}"
    repeated = [name for name in ("emotion", "pixels", "usage") if names.count(name) > 1]
    if repeated:  # which of them counts would be a guess
        return None, f"expected each column once, found {' and '.join(repeated)} more than once; remove the extra ones"
    usage = names.index("usage") if "usage" in names else None
    split = "test" if path.name.casefold() == TABLE_PAIR[1] else "train"
    return Columns(names.index("emotion"), names.index("pixels"), usage, split), ""


def _read_row(fields: list[str], columns: Columns, where: str, problems: ProblemList, labels: "_Labels") -> Row | None:
    """The face in one row; None, with the problem noted, where a field cannot be used."""
    if len(fields) < columns.width:
        problems.add(where, f"expected {columns.width} fields, found {len(fields)}")
        return None
    label = labels.read(fields[columns.emotion])
    split = columns.split if columns.usage is None else SPLIT_OF_USAGE.get(fields[columns.usage].strip().casefold())
    face = _read_pixels(fields[columns.pixels])
    wrong = [reason for reason in (label, face) if isinstance(reason, str)]
    if split is None:
        usage = _shortened(fields[columns.usage or 0])
        wrong.append(f"expected the Usage Training, PublicTest or PrivateTest, found {usage}")
    if split is None or isinstance(label, str) or isinstance(face, str):
        problems.add(where, "; ".join(wrong))
        return None
    return Row(where, split, label, face)


class _Labels:
    """Reads the column ``emotion``, with a class map before FER-2013's own numbers."""

    def __init__(self, class_map: ClassMap) -> None:
        self._map = class_map
        self._has_numbers = any(name.isdecimal() for name in class_map.entries)
        self.found: set[str] = set()
        """The values there were."""

    def read(self, text: str) -> int | str:
        """Index in FER2013 of a value, or what is wrong with it."""
        if not self._map.entries:
            return _read_label(text)
        if len(self.found) < _MOST_VALUES or text in self._map:
            self.found.add(folded(text))
        name = FER2013.resolve(self._map.class_of(text))
        if name is not None:
            return FER2013.index(name)
        if self._has_numbers:  # other numbers than the map's would be FER-2013's by accident
            return f"expected an emotion of --class-map or a class of FER-2013, found {_shortened(text)}"
        return _read_label(text)


def _read_label(text: str) -> int | str:
    """Index in FER2013 of a class number, or what is wrong with it."""
    try:
        return label_of_code(int(text) if _is_plain(text) else -1)
    except (ValueError, IndexError):
        return f"expected an emotion from 0 to {len(CLASSES_BY_CODE) - 1}, found {_shortened(text)}"


def _read_pixels(text: str) -> np.ndarray | str:
    """uint8 (48, 48) from grey levels separated by spaces, or what is wrong with them."""
    levels = text.split()
    if len(levels) != NUM_PIXELS:
        return f"expected {NUM_PIXELS} pixels, found {len(levels)}"
    try:
        return np.frombuffer(bytes(map(int, levels) if _is_plain(text) else [-1]), np.uint8).reshape(
            FACE_SIZE, FACE_SIZE
        )
    except ValueError:  # from int() for other text, from bytes() outside 0-255
        # int() and split() take more than ASCII: where every level is a number, a blank between them is none
        found = (level for level in levels if not (_is_digits(level) and len(level) <= 3 and int(level) <= 255))
        wrong = next(found, None) or next(sign for sign in text if not sign.isascii())
        return f"expected pixels that are whole numbers from 0 to 255, found {_shortened(wrong)}"


def _is_plain(text: str) -> bool:
    """Whether ``text`` has none of what int() takes beside digits: signs, underscores, other scripts' digits."""
    return text.isascii() and not any(sign in text for sign in "+-_")


def _is_digits(level: str) -> bool:
    return level.isascii() and level.isdecimal()


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 20 else text[:20] + "...")
