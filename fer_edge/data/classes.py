"""Which label set class folders have: one that was asked for, one that is recognised, or the folders' own names."""

import shlex
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from fer_edge.errors import DataError, UsageError
from fer_edge.labels import (
    AUTO,
    BUILT_IN,
    FER2013,
    FERPLUS,
    LabelSet,
    can_be_label,
    label_set_named,
    label_set_of,
    option_text,
)
from fer_edge.text import printable


class LabelsDiffer(DataError):
    """The classes of a data set are not those that were asked for or recognised."""


MIN_KNOWN = (len(FER2013) + 1) // 2
"""With fewer known class names than this among others, a set has classes of its own that share a word or two."""


def wanted_labels(labels: str | LabelSet) -> LabelSet | None:
    """The label set that ``labels``, the value of ``--labels``, asks for; None for ``auto``. Raises UsageError."""
    if isinstance(labels, LabelSet):
        return labels
    return None if labels.strip() == AUTO else label_set_named(labels)


def is_known_class(name: str, wanted: LabelSet | None) -> bool:
    """Whether a folder called ``name`` is a class of the ``wanted`` label set (None: of a built-in one)."""
    return any(labels.resolve(name) for labels in ((wanted,) if wanted else BUILT_IN.values()))


def labels_of_folders(
    names: Iterable[str], wanted: LabelSet | None, root: Path, *, is_mapped: bool = False
) -> LabelSet:
    """The label set of class folders called ``names`` (by ``--class-map`` if ``is_mapped``), those of all splits.

    ``wanted`` decides where it is given. Else it is FER2013 or FERPLUS where the names are exactly theirs (or aliases
    of theirs), and the sorted names where fewer than MIN_KNOWN of them are known. Where there are no folders at all it
    is FER2013. Raises DataError, which says how to go on, where folders are missing or there are extra ones.
    """
    folders = _distinct(names)
    if not folders:
        return wanted or FER2013
    if wanted is not None:
        _refuse_differences(folders, wanted, root, is_mapped=is_mapped)
        return wanted
    known = {name for name in folders if any(labels.resolve(name) for labels in BUILT_IN.values())}
    if known != set(folders) and len({FERPLUS.resolve(name) for name in known}) < MIN_KNOWN:
        return _own_labels(folders, root)
    nearest = FERPLUS if any(FER2013.resolve(name) is None for name in known) else FER2013
    _refuse_differences(folders, nearest, root, is_mapped=is_mapped)
    return nearest


def fer2013_or_refuse(source: str, wanted: LabelSet | None) -> LabelSet:
    """FER2013, for sources that have no other classes. Raises DataError where another label set is ``wanted``."""
    if wanted is not None and wanted != FER2013:
        raise LabelsDiffer(
            f"{source}: expected --labels {FER2013.name} (its faces have the classes of FER-2013), "
            f"found --labels {printable(_asked(wanted))}; leave --labels out"
        )
    return FER2013


def _distinct(names: Iterable[str]) -> list[str]:
    """``names`` in order, composed (NFC) and without blanks around; of those that differ in case alone, the first."""
    first: dict[str, str] = {}
    for name in sorted(unicodedata.normalize("NFC", name).strip() for name in names):
        first.setdefault(name.casefold(), name)
    return sorted(first.values())


def _own_labels(folders: list[str], root: Path) -> LabelSet:
    if len(folders) == 1:
        raise DataError(
            f"{printable(root)}: expected a folder for each of two or more classes, found one, "
            f"{printable(folders[0])}; name the folder that holds them, or add the others"
        )
    try:
        return label_set_of(folders)
    except UsageError as error:
        raise DataError(
            f"{printable(root)}: expected class folders whose names can be labels; {printable(str(error))}; rename them"
        ) from error


def _refuse_differences(folders: list[str], labels: LabelSet, root: Path, *, is_mapped: bool) -> None:
    """Raise DataError where ``folders`` are not exactly the classes of ``labels``."""
    resolved = {labels.resolve(name) for name in folders}
    missing = [name for name in labels.names if name not in resolved]
    extra = [name for name in folders if labels.resolve(name) is None]
    if not missing and not extra:
        return
    found = [f"{what} {', '.join(names)}" for what, names in (("missing", missing), ("extra", extra)) if names]
    expected = labels.name if labels.name in BUILT_IN else "--labels"
    ways = []
    if len(folders) > 1 and all(can_be_label(name) for name in folders):
        ways.append(f"--labels {shlex.quote(option_text(folders))} to take the folders as they are")
    ways += [f"--labels {name} for that label set" for name in _fitting(folders) if name != labels.name]
    told = (
        f"{printable(root)}: expected the {len(labels)} class folders of {expected} ({', '.join(labels.names)}), "
        f"found {printable('; '.join(found))}; mend the folders" + " or the --class-map" * is_mapped
    )
    raise LabelsDiffer(
        told + "".join(f", or add {printable(way)}" for way in ways),
        without_labels=told + f", or {judging_others(root, folders)}" if len(folders) > 1 else None,
    )


def judging_others(root: object, names: Iterable[str]) -> str:
    """The command that judges a model on faces which have the classes ``names`` alone."""
    return (
        "judge a model on the classes that there are: fer-edge evaluate --model MODEL --data "
        f"{printable(shlex.quote(str(root)))} --labels {printable(shlex.quote(option_text(names)))}"
    )


def _fitting(folders: list[str]) -> list[str]:
    """Names of the built-in label sets that ``folders`` are exactly."""
    return [
        labels.name for labels in BUILT_IN.values() if {labels.resolve(name) for name in folders} == set(labels.names)
    ]


def _asked(labels: LabelSet) -> str:
    return labels.name if labels.name in BUILT_IN else shlex.quote(option_text(labels.names))
