"""One way in for every layout: from what the user names to faces in three splits, or one report of what is wrong."""

import logging
import shlex
import stat
from dataclasses import replace
from pathlib import Path

from fer_edge.data.class_map import ClassMap
from fer_edge.data.classes import LabelsDiffer, fer2013_or_refuse, wanted_labels
from fer_edge.data.faces import NO_LABEL, FaceData, FaceSet
from fer_edge.data.ferplus import VOTES_TABLE, count_rows, is_ferplus_layout, read_ferplus, with_votes_by_row
from fer_edge.data.folders import Entry, has_own_classes, is_layout, list_entries, list_images
from fer_edge.data.leaks import without_leaks
from fer_edge.data.left_out import left_out_in_words, left_out_of
from fer_edge.data.names import with_votes_by_name
from fer_edge.data.problems import ProblemList
from fer_edge.data.raf_db import find_list, is_list, read_raf_db
from fer_edge.data.reading import read_images
from fer_edge.data.relabel import relabelled
from fer_edge.data.sample import is_sample, synthetic_data
from fer_edge.data.splits import choose_validation
from fer_edge.data.tables import find_tables, read_tables
from fer_edge.errors import DataError
from fer_edge.labels import AUTO, BUILT_IN, FER2013, FERPLUS, LabelSet
from fer_edge.runtime.file_kind import ARCHIVE, FACES, PHOTOS, kind_of, mistaken
from fer_edge.runtime.images import FACE_SIZE
from fer_edge.text import listed, printable

_logger = logging.getLogger(__name__)

DEFAULT_SOURCES = ("fer2013", "fer2013.csv")
"""What is looked for in the working directory when no source is named."""

MAX_NESTING = 4
"""How many folders that hold nothing but one folder are descended through (``archive/fer2013/train``)."""


def load_faces(
    source: str | Path | None = None,
    *,
    labels: str | LabelSet = AUTO,
    votes: str | Path | None = None,
    class_map: ClassMap | None = None,
    size: int = FACE_SIZE,
    skip_bad: bool = False,
    allow_empty_classes: bool = False,
    drop_leaks: bool = False,
    validation_fraction: float = 0.1,
    seed: int = 0,
) -> FaceData:
    """Read a set of labelled faces, whatever its layout, as uint8 (N, size, size) a split.

    ``source`` is a folder (split folders, class folders, or one that holds the CSVs of FER-2013), a CSV file,
    ``sample`` or ``sample:N`` for synthetic faces (a folder of that name is ``./sample``), or None for ``fer2013`` in
    the working directory.
    ``labels`` is what ``--labels`` takes: ``auto`` (FER2013 or FERPLUS where all class folders are called so, else the
    sorted names of the folders), the name of a built-in label set, or the names of the classes with commas
    between them; or a label set itself. The CSVs of FER-2013 and the synthetic faces are FER2013's; with FER+'s votes,
    ``ferplus`` takes the votes' majority for the label, and leaves faces without one their votes alone.
    ``votes`` is FER+'s ``fer2013new.csv``, or a folder that holds it, for faces that lack votes: the popular folder of
    FER-2013 (joined by file name, see ``fer_edge.data.names``) and ``fer2013.csv`` (joined by row).
    ``class_map`` (``fer_edge.data.class_map``) says which classes folders or values of ``emotion`` mean.
    Where no face is from validation, a stratified ``validation_fraction`` of train, chosen by ``seed``, becomes it.
    ``drop_leaks`` leaves faces out of validation and test that are byte-identical to one in an earlier split.

    Raises DataError with every path or row that cannot be used; under ``skip_bad`` these are left out and kept in
    ``FaceData.problems``, and this module's logger is told how many of which kind. Also raises it when there is
    nothing at ``source`` or nothing usable is left, and, whatever ``skip_bad`` says, where class folders are missing
    or extra ones are there, or a class has no face from train, which ``allow_empty_classes`` keeps among the problems
    too. Raises UsageError for ``labels`` that are none.
    """
    if not 0 < validation_fraction < 1:
        raise ValueError(f"validation_fraction: expected a number between 0 and 1, found {validation_fraction}")
    wanted = wanted_labels(labels)
    if is_sample(source):
        if votes is not None:
            raise DataError(f"{source}: nobody voted on synthetic faces; leave out --votes")
        if class_map is not None:
            class_map.refuse_unused((), f"{source} (synthetic faces)")
        fer2013_or_refuse(str(source), wanted)
        data = synthetic_data(str(source), size=size, seed=seed)
    else:
        data = _read(
            _existing(source),
            wanted,
            size,
            _existing_votes(votes),
            class_map or ClassMap(),
            skip_bad=skip_bad,
            allow_empty_classes=allow_empty_classes,
        )
    if not len(data.validation) and len(data.train):
        data = _with_validation_from_train(data, validation_fraction, seed)
    return without_leaks(data) if drop_leaks else data


def load_faces_for(
    model: LabelSet,
    source: str | Path | None,
    *,
    size: int = FACE_SIZE,
    skip_bad: bool = False,
    seed: int = 0,
    votes: str | Path | None = None,
    class_map: ClassMap | None = None,
) -> FaceData:
    """As ``load_faces``, for a model with the labels ``model``: where class folders are called so, these are theirs.

    So a model of two of FER-2013's classes finds its own in a folder that ``auto`` would ask about.
    """
    if model.name not in BUILT_IN:
        try:
            return load_faces(
                source, labels=model, votes=votes, class_map=class_map, size=size, skip_bad=skip_bad, seed=seed
            )
        except LabelsDiffer:
            pass  # of other classes: what these are, and whether the model's can be found in them, is seen next
    return load_faces(source, votes=votes, class_map=class_map, size=size, skip_bad=skip_bad, seed=seed)


def _existing(source: str | Path | None) -> Path:
    """The path behind ``source``. Raises DataError where there is none."""
    if source is None:
        source = next((name for name in DEFAULT_SOURCES if Path(name).exists()), None)
    if source is None:
        raise DataError(
            f"expected {' or '.join(DEFAULT_SOURCES)} in {Path.cwd()}, found neither; name your faces with --data "
            "PATH, take synthetic ones with --data sample, or get FER-2013 with 'fer-edge data fetch'"
        )
    path = Path(source)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"{printable(path)}: expected a folder of faces or a CSV file, found none that can be opened ({reason}); "
            "check --data, or take synthetic faces with --data sample"
        ) from error
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise DataError(
            f"{printable(path)}: expected a folder of faces or a CSV file, found a pipe, socket or device; check --data"
        )
    _refuse_mistaken(path)
    return path


def _refuse_mistaken(path: Path) -> None:
    """Raise DataError where ``path`` is known to be something else than faces."""
    told = mistaken(path, FACES)
    if told is not None:
        raise DataError(f"{printable(path)}: expected a folder of faces or a CSV file, {printable(told)}")


def _existing_votes(votes: str | Path | None) -> Path | None:
    """The file behind ``votes``. Raises DataError where there is none."""
    if votes is None:
        return None
    path = Path(votes)
    found = path / VOTES_TABLE if path.is_dir() else path
    if not found.is_file():
        raise DataError(
            f"{printable(found)}: expected FER+'s {VOTES_TABLE}, found no such file; get it with "
            "'fer-edge data fetch --votes'"
        )
    return found


def _read(
    path: Path,
    wanted: LabelSet | None,
    size: int,
    votes: Path | None,
    class_map: ClassMap,
    *,
    skip_bad: bool,
    allow_empty_classes: bool,
) -> FaceData:
    problems = ProblemList(printable(path))
    if is_list(path):
        splits, layout = read_raf_db(path, size, problems, class_map, votes)
        labels = FER2013
    elif path.is_dir():
        # With votes, FER+'s labels are theirs: the folders may be called by either label set.
        of_folders = None if votes is not None and wanted == FERPLUS else wanted
        splits, layout, labels = _read_folder(path, of_folders, size, problems, votes, class_map)
    else:
        splits, layout = _read_tables([path], size, problems, votes, class_map)
        labels = FER2013
    if not any(splits.values()):
        raise problems.nothing_usable()
    if (splits["train"].labels != NO_LABEL).any():
        problems.add_emptied(name for name, faces in splits["train"].counts(labels).items() if not faces)
    if not allow_empty_classes:
        problems.raise_if_any(labels, skip_bad=skip_bad)
    if left_out := left_out_of(problems.found):
        _logger.info(left_out_in_words(left_out))
    absolute = path.absolute()
    data = FaceData(
        printable(absolute),
        layout,
        **splits,
        problems=tuple(problems.found),
        validation_from_train=False,
        path=str(absolute),
        labels=labels,
    )
    if wanted == FERPLUS and any(faces.votes is not None for faces in splits.values()):
        return relabelled(data, FERPLUS)
    if labels == FER2013:
        fer2013_or_refuse(data.source, wanted)
    return data


def _read_folder(
    path: Path,
    wanted: LabelSet | None,
    size: int,
    problems: ProblemList,
    votes: Path | None,
    class_map: ClassMap,
) -> tuple[dict[str, FaceSet], str, LabelSet]:
    root = path
    for _ in range(MAX_NESTING):
        entries = list_entries(root, problems)
        if (raf_db := find_list(root, entries)) is not None:
            return *read_raf_db(raf_db, size, problems, class_map, votes), FER2013
        tables = find_tables(entry.path for entry in entries if not entry.is_folder)
        if is_layout(entries, wanted, class_map) or (not tables and has_own_classes(entries)):
            if tables:
                names = listed([table.name for table in tables], 3)
                _logger.info(
                    f"{printable(root)}: its folders are read, {printable(names)} beside them is not (--data names it)"
                )
            files, layout, labels = list_images(root, entries, wanted, problems, class_map)
            splits = read_images(files, size, problems)
            return *_with_votes_by_name(splits, layout, votes, problems), labels
        beside = root / VOTES_TABLE
        is_ferplus = is_ferplus_layout(entries)
        if votes is not None and beside.is_file() and (is_ferplus or tables):
            raise DataError(
                f"{printable(root)}: expected faces without votes, found {VOTES_TABLE} there; leave out --votes"
            )
        if is_ferplus:
            class_map.refuse_unused((), f"{printable(root)} (FER+'s layout)")
            return *read_ferplus(root, size, problems), FER2013
        if tables:
            own = beside if len(tables) == 1 and beside.is_file() else None
            return *_read_tables(tables, size, problems, votes or own, class_map), FER2013
        folders = [entry.path for entry in entries if entry.is_folder]
        if len(folders) != 1:
            break
        root = folders[0]
    if not entries and problems.found:  # a pipe called fer2013.csv is more to hear of than an empty folder
        raise problems.nothing_usable()
    raise DataError(_unknown_layout(root, entries))


def _read_tables(
    tables: list[Path], size: int, problems: ProblemList, votes: Path | None, class_map: ClassMap
) -> tuple[dict[str, FaceSet], str]:
    for table in tables:  # in a folder, too, whatever it is called
        _refuse_mistaken(table)
    splits, layout = read_tables(tables, size, problems, class_map)
    if votes is None:
        return splits, layout
    if len(tables) > 1:
        names = ", ".join(table.name for table in tables)
        raise DataError(f"{problems.source}: expected fer2013.csv for votes by row, found {names}; leave out --votes")
    return with_votes_by_row(splits, votes, count_rows(tables[0]), problems), f"{layout}; votes from {votes.name}"


def _with_votes_by_name(
    splits: dict[str, FaceSet], layout: str, votes: Path | None, problems: ProblemList
) -> tuple[dict[str, FaceSet], str]:
    """The faces of a folder, with the votes of their names where there are ``votes``, and the layout in words."""
    if votes is None or not any(splits.values()):
        return splits, layout
    joined = with_votes_by_name(splits, votes, problems)
    without = sum(int((each.votes.sum(axis=1) == 0).sum()) for each in joined.values() if each.votes is not None)
    return joined, f"{layout}; votes from {votes.name} by file name ({without:,} faces without)"


def _unknown_layout(root: Path, entries: list[Entry]) -> str:
    archives = [entry.path.name for entry in entries if not entry.is_folder and kind_of(entry.path) is ARCHIVE]
    if archives:
        return f"{printable(root)}: expected faces, found an archive ({printable(archives[0])}); unpack it there first"
    if not any(entry.is_folder for entry in entries) and kind_of(root) is PHOTOS:
        return (
            f"{printable(root)}: expected a folder of images for each class (angry/, happy/, ...), found images with "
            "no class; sort them into such folders to train, or name the expressions in them: "
            f"fer-edge predict {shlex.quote(printable(root))}"
        )
    names = [f"{entry.path.name}/" if entry.is_folder else entry.path.name for entry in entries]
    found = listed(names, 8)
    return (
        f"{printable(root)}: expected split folders (train/, validation/, test/), two or more class folders of images "
        f"(angry/, ...), fer2013.csv, icml_face_data.csv or train.csv, found {printable(found) or 'an empty folder'}; "
        "name the folder that holds one of these with --data PATH"
    )


def _with_validation_from_train(data: FaceData, fraction: float, seed: int) -> FaceData:
    chosen = choose_validation(data.train.labels, data.train.digests(), fraction=fraction, seed=seed)
    return replace(
        data,
        train=data.train.take(~chosen),
        validation=data.train.take(chosen),
        layout=f"{data.layout}; validation: a stratified {fraction:.0%} of train, seed {seed}",
        validation_from_train=True,
    )
