"""What a search of folders left out: its files that are no images by their suffix, counted by kind."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePath
from types import MappingProxyType

from fer_edge.runtime import file_kind
from fer_edge.runtime.file_kind import known_kind
from fer_edge.runtime.known_formats import BASE64, DATA_URL, RAW, RAW_SUFFIXES

OTHER = "other"
"""The kind of what is not known, text for one."""

_SILENT_SUFFIXES = frozenset((".json", ".csv", ".md", ".xmp", ".aae"))
"""Of what stands beside images and is not meant: our own results, what cameras and editors note."""
_SILENT_NAMES = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"))
"""In small letters: what systems leave in folders."""
_MODEL_FILES = (file_kind.OWN_CHECKPOINT, file_kind.WEIGHTS, file_kind.EXPORTED, file_kind.FOREIGN)
_MISNAMED = "image under another suffix"
_PLURALS = {"the metadata of a model": "metadata of models"}
_WAYS_OUT = {"video": "fer-edge webcam FILE", "archive": "unpack them", _MISNAMED: "rename them"}


class LeftOut:
    """Counts what ``predict_folder`` leaves out, as it goes: after the last image all of it.

    >>> left_out = LeftOut()
    >>> outcomes = list(classifier.predict_folder("photos", left_out=left_out))
    >>> print(left_out)
    left out 14 files: 9 videos (fer-edge webcam FILE), 3 RAW photos, 2 others
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """How many files of which kind, in the singular (``video``, ``RAW photo``, ``PDF``); ``other`` for the rest."""

    def add(self, path: Path) -> None:
        """Count one file that is no image by its suffix; hidden files, our own results and the notes of systems and
        cameras are not counted."""
        if not is_silent(path.name):
            self.counts[_kind(path)] += 1

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __str__(self) -> str:
        """In one line; empty where nothing was left out."""
        return f"left out {self.told()}" if self else ""

    def told(self) -> str:
        """``14 files: 9 videos (fer-edge webcam FILE), 3 RAW photos, 2 others``."""
        total = self.counts.total()
        return f"{total} file{'s' * (total != 1)}: {in_words(self.as_dict(), _WAYS_OUT)}"

    def as_dict(self) -> dict[str, int]:
        """The counts, the most frequent first and what is not known last."""
        return counted(self.counts)


def is_silent(name: str) -> bool:
    """Whether a file of this name is not counted."""
    name = name.lower()
    return name.startswith(".") or name in _SILENT_NAMES or PurePath(name).suffix in _SILENT_SUFFIXES


def counted(counts: Mapping[str, int]) -> dict[str, int]:
    """``counts`` of kinds, the most frequent first and what is not known last."""
    return dict(sorted(counts.items(), key=lambda entry: (entry[0] == OTHER, -entry[1], entry[0])))


def in_words(counts: Mapping[str, int], ways_out: Mapping[str, str] = MappingProxyType({})) -> str:
    """``9 videos (fer-edge webcam FILE), 3 RAW photos, 2 others``: kinds in their order, and how to go on with some."""
    return ", ".join(_told(kind, count, ways_out.get(kind)) for kind, count in counts.items())


def _told(kind: str, count: int, way_out: str | None) -> str:
    words = kind if count == 1 else _plural(kind)
    return f"{count} {words}" + (f" ({way_out})" if way_out else "")


def _plural(kind: str) -> str:
    """``videos``, ``folders of models``, ``images under another suffix``, ``PyTorch weights``."""
    noun, joint, rest = re.match(r"(.*?)( of | under |\Z)(.*)", kind).groups()  # type: ignore[union-attr]
    return _PLURALS.get(kind) or f"{noun}{'' if noun.endswith('s') else 's'}{joint}{rest}"


def _kind(path: Path) -> str:
    found = known_kind(RAW) if path.suffix.lower() in RAW_SUFFIXES else file_kind.kind_of(path)
    if found in (None, file_kind.JSON, file_kind.TEXT, known_kind(BASE64), known_kind(DATA_URL)):
        return OTHER
    if found in (file_kind.PICTURE, file_kind.ANIMATION):
        return _MISNAMED
    if found in _MODEL_FILES:
        return "model file"
    return "RAW photo" if found == known_kind(RAW) else found.words.removeprefix("an ").removeprefix("a ")
