"""``--class-map``: a file that says which class a data set's folders or label values mean (RAF-DB's 1 is surprise)."""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fer_edge.data.classes import LabelsDiffer
from fer_edge.errors import DataError
from fer_edge.labels import MAX_NAME_LENGTH, LabelSet, folded
from fer_edge.text import listed, printable

MAX_BYTES = 1_000_000
_EXPECTED = "expected two columns, folder or value and class (1,surprise), or a JSON object of these"
_SEPARATORS = "\t;,"
_HEADINGS = ("class", "label", "expression", "emotion")
_MOST_NAMED = 8


@dataclass(frozen=True)
class ClassMap:
    """Names of folders, or values of a column, and the classes they mean. Several names may mean one class."""

    entries: Mapping[str, str] = field(default_factory=dict)
    """Names, as ``fer_edge.labels.folded`` writes them, to classes."""
    is_strict: bool = True
    """Whether entries that match nothing are refused. Those that a checkpoint recorded may meet other faces."""

    def __post_init__(self) -> None:
        """Fold the names, so that capitals and blanks around them do not count."""
        object.__setattr__(
            self, "entries", MappingProxyType({folded(name): one.strip() for name, one in self.entries.items()})
        )

    def __contains__(self, name: str) -> bool:
        return folded(name) in self.entries

    def class_of(self, name: str) -> str:
        """The class that ``name`` means: as the map says, else ``name`` itself."""
        return self.entries.get(folded(name), name)

    def refuse_unknown(self, labels: LabelSet, where: str) -> None:
        """Raise LabelsDiffer where the map leads to a class that ``labels`` has not."""
        unknown = [f"{one} (for {name})" for name, one in self.entries.items() if labels.resolve(one) is None]
        if unknown and self.is_strict:
            raise LabelsDiffer(
                f"{where}: expected --class-map to lead to the classes {printable(', '.join(labels.names))}, found "
                f"{printable(listed(unknown, _MOST_NAMED))}; correct the map, or name its classes with --labels"
            )

    def refuse_unused(self, names: Iterable[str], where: str) -> None:
        """Raise DataError where an entry is for none of ``names``, all those that the faces have."""
        there = {folded(name): name for name in names}
        unused = [name for name in self.entries if name not in there]
        if unused and self.is_strict:
            found = f"found {listed(sorted(there.values()), _MOST_NAMED)}" if there else "found no such names there"
            known = next((name for name, one in SHIPPED.items() if one.entries == self.entries), None)
            way_out = (
                "correct the map, or leave these lines out"
                if known is None
                else f"'{known}' is for all of them: write a file with the lines of those that are there"
            )
            raise DataError(
                f"{where}: expected folders or values called {printable(listed(unused, _MOST_NAMED))}, as in "
                f"--class-map, {printable(found)}; {way_out}"
            )


RAF_DB = ClassMap(
    {"1": "surprise", "2": "fear", "3": "disgust", "4": "happy", "5": "sad", "6": "angry", "7": "neutral"}
)
"""RAF-DB's numbers (Li, Deng and Du 2017, the basic expressions)."""
AFFECTNET_7 = ClassMap(
    {"0": "neutral", "1": "happy", "2": "sad", "3": "surprise", "4": "fear", "5": "disgust", "6": "angry"}
)
"""AffectNet's numbers (Mollahosseini, Hasani and Mahoor 2017) without contempt: FER-2013's classes."""
AFFECTNET = ClassMap({**AFFECTNET_7.entries, "7": "contempt"})
"""AffectNet's eight expressions: FER+'s classes."""
SHIPPED: Mapping[str, ClassMap] = MappingProxyType(
    {"raf-db": RAF_DB, "affectnet": AFFECTNET, "affectnet-7": AFFECTNET_7}
)
"""Maps of known data sets, by what ``--class-map`` calls them."""


def class_map_named(name: str | Path) -> ClassMap:
    """The map in the file ``name``; where there is none of that name, the shipped one. Raises DataError."""
    path = Path(name)
    return SHIPPED[str(name)] if str(name) in SHIPPED and not path.is_file() else read_class_map(path)


def read_class_map(path: Path) -> ClassMap:
    """The map in a JSON object, or in two columns with comma, semicolon, tab or blanks between them (UTF-8).

    Lines that are empty or begin with # do not count, nor does a first line whose second column is ``class``.
    Raises DataError for a file that is none, and where one name is there twice.
    """
    shown = printable(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        names = ", ".join(SHIPPED)
        raise DataError(
            f"{shown}: {_EXPECTED}, found no file to read ({reason}); check --class-map, or name a known one: {names}"
        ) from error
    if len(content) > MAX_BYTES:
        raise DataError(f"{shown}: {_EXPECTED}, found more than {MAX_BYTES:,} bytes; check --class-map")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{shown}: {_EXPECTED}, found no UTF-8 text; save it as UTF-8") from error
    pairs = _pairs_of_json(text, shown) if text.lstrip()[:1] in ("{", "[") else _pairs_of_lines(text, shown)
    if not pairs:
        raise DataError(f"{shown}: {_EXPECTED}, found an empty one; fill it, or leave out --class-map")
    entries: dict[str, str] = {}
    for name, one in pairs:
        if not name.strip() or not one.strip() or max(len(name), len(one)) > MAX_NAME_LENGTH:
            raise DataError(
                f"{shown}: expected names of 1 to {MAX_NAME_LENGTH} characters, found "
                f"{printable(f'{name:.30} -> {one:.30}')}; correct that line"
            )
        if (other := entries.get(folded(name))) is not None:
            raise DataError(
                f"{shown}: expected each folder or value once, found {printable(name.strip())} twice "
                f"({printable(f'{other}, {one.strip()}')}); keep one of the two"
            )
        entries[folded(name)] = one.strip()
    return ClassMap(entries)


def _pairs_of_json(text: str, shown: str) -> list[tuple[str, str]]:
    try:
        found: Any = json.loads(text, object_pairs_hook=tuple)  # a dict would keep the last of two equal names
    except (ValueError, RecursionError) as error:
        raise DataError(f"{shown}: {_EXPECTED}, found JSON that cannot be read ({error}); correct it") from error
    if isinstance(found, list):
        raise DataError(f"{shown}: {_EXPECTED}, found a JSON list; write an object")
    for name, one in found:
        if not isinstance(one, str):
            raise DataError(
                f"{shown}: expected the name of a class for each folder or value, found something else for "
                f"{printable(name[:40])}; correct that entry"
            )
    return list(found)


def _pairs_of_lines(text: str, shown: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = _columns(line)
        if len(parts) != 2:
            raise DataError(
                f"{shown}:{number}: {_EXPECTED}, found {len(parts)} column{'s' * (len(parts) != 1)} "
                f"({printable(line.strip()[:40])}); correct that line"
            )
        if not pairs and folded(parts[1]) in _HEADINGS:
            continue
        pairs.append((parts[0], parts[1]))
    return pairs


def _columns(line: str) -> list[str]:
    separator = next((sign for sign in _SEPARATORS if sign in line), None)
    if separator is None:
        return line.split()
    try:
        return next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True), [])
    except csv.Error:
        return [line]
