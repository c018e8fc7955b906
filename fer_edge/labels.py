"""Label sets: the names of the classes in their order, and the other names that people give them."""

import csv
import io
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from fer_edge.errors import UsageError

MAX_CLASSES = 1000
MAX_NAME_LENGTH = 100


@dataclass(frozen=True)
class LabelSet:
    """The classes that a network tells apart. Raises UsageError for names that cannot be a label set.

    Two label sets are equal where their names are, in the same order: what else is known about the names is no part of
    a model's answer.
    """

    names: tuple[str, ...]
    """In the order of a model's outputs. Two or more, each unlike the others whatever the case of its letters."""
    name: str = field(default="custom", compare=False)
    """What ``--labels`` calls it: ``fer2013``, ``ferplus``; ``custom`` for any other."""
    aliases: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Other names, case-folded, to names."""
    dataset: str = field(default="", compare=False)
    """The data set whose labels these are; empty where it is unknown."""

    def __post_init__(self) -> None:
        """Check the names, and complete the aliases with the names themselves."""
        object.__setattr__(self, "names", tuple(self.names))
        if not 2 <= len(self.names) <= MAX_CLASSES:
            raise UsageError(f"labels: expected 2 to {MAX_CLASSES} names, found {len(self.names)}")
        seen: dict[str, str] = {}
        for name in self.names:
            if (reason := _wrong_with(name)) is not None:
                raise UsageError(f"labels: expected names that can be printed on a line, found {name!r:.80} ({reason})")
            if (other := seen.get(folded(name))) is not None:
                raise UsageError(f"labels: expected names that differ, found {other!r} and {name!r}")
            seen[folded(name)] = name
        known = {folded(alias): name for alias, name in self.aliases.items() if name in self.names}
        own = {folded(name): name for name in self.names}
        object.__setattr__(self, "aliases", MappingProxyType({**known, **own}))

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Index of ``name`` among the outputs. Raises ValueError for a name that is none of these."""
        return self.names.index(name)

    def resolve(self, name: str) -> str | None:
        """The class that a folder or column calls ``name`` (any capitals, spaces around it), or None."""
        return self.aliases.get(folded(name))

    def to_dict(self) -> dict[str, Any]:
        """Plain types for checkpoints; ``from_dict`` reads it back."""
        return {
            "names": list(self.names),
            "name": self.name,
            "aliases": dict(self.aliases),
            "dataset": self.dataset,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "LabelSet":
        """What ``to_dict`` gave. Raises UsageError, KeyError or TypeError for something else."""
        names = values["names"]
        if not isinstance(names, list | tuple):
            raise TypeError(f"names: expected a list, found {type(names).__name__}")
        return cls(tuple(names), values["name"], dict(values["aliases"]), values["dataset"])


def folded(name: str) -> str:
    """``name`` as it is compared: composed, without blanks around it, whatever the case of its letters."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def can_be_label(name: str) -> bool:
    """Whether a class may be called ``name``."""
    return _wrong_with(name) is None


def _wrong_with(name: object) -> str | None:
    if not isinstance(name, str):
        return "no text"
    if not name or name != name.strip():
        return "empty, or with blanks around it"
    if len(name) > MAX_NAME_LENGTH:
        return f"longer than {MAX_NAME_LENGTH} characters"
    if any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") for sign in name):
        return "with a control character or line break"
    return None


FER2013 = LabelSet(
    ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"),
    "fer2013",
    {
        "anger": "angry",
        "disgusted": "disgust",
        "fearful": "fear",
        "happiness": "happy",
        "sadness": "sad",
        "surprised": "surprise",
    },
    "FER-2013 (Goodfellow et al. 2013)",
)
"""In the alphabetical order of the FER-2013 folders. The default."""

FERPLUS = LabelSet(
    ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"),
    "ferplus",
    {
        "happy": "happiness",
        "surprised": "surprise",
        "sad": "sadness",
        "angry": "anger",
        "disgusted": "disgust",
        "fearful": "fear",
    },
    "FER+ (Barsoum et al. 2016)",
)
"""In the order of the columns of ``fer2013new.csv``."""

BUILT_IN: Mapping[str, LabelSet] = MappingProxyType({one.name: one for one in (FER2013, FERPLUS)})
AUTO = "auto"
"""Of ``--labels``: FER2013 where all class folders are called so, else the names of the folders."""


def label_set_of(names: Iterable[str]) -> LabelSet:
    """The built-in label set with these very names in this order, or one of its own. Raises UsageError."""
    found = LabelSet(tuple(names))
    return next((one for one in BUILT_IN.values() if one == found), found)


def label_set_named(text: str) -> LabelSet:
    """What ``--labels`` asks for: the name of a built-in set, or names with commas between them. Raises UsageError.

    A name that holds a comma is written as in CSV, with double quotes around it.
    """
    if text.strip() in BUILT_IN:
        return BUILT_IN[text.strip()]
    try:
        names = tuple(part.strip() for part in next(csv.reader([text], skipinitialspace=True), []))
    except csv.Error:  # a line break, a quote in the wrong place
        names = ()
    if len(names) < 2:
        raise UsageError(
            f"--labels: expected {AUTO}, {', '.join(BUILT_IN)}, or two or more names with commas between them, "
            f"found {text!r:.80}"
        )
    return label_set_of(names)


def option_text(names: Iterable[str]) -> str:
    """``names`` as ``label_set_named`` reads them back."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()


def class_map(source: LabelSet, target: LabelSet) -> tuple[int | None, ...]:
    """For each class of ``source`` the index of the same class of ``target``, or None where it has none (contempt)."""
    resolved = (target.resolve(name) for name in source.names)
    return tuple(None if name is None else target.index(name) for name in resolved)
