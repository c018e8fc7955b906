"""Reads the files under test, and makes from a checkpoint the baselines that are not among them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.backends.registry import CHECKPOINT, backend_named, backends_for, check_trust, format_of
from fer_edge.benchmark.rows import Subject, family_of
from fer_edge.errors import FerEdgeError, MissingExtraError, ModelError
from fer_edge.export.formats.registry import all_formats
from fer_edge.files import storage_errors
from fer_edge.metadata import SUFFIXES
from fer_edge.runtime.checksum import file_sha256
from fer_edge.runtime.foreign_files import Description
from fer_edge.runtime.model_file import is_archive, read_any, read_model, read_model_bytes
from fer_edge.runtime.shipped import model_path

if TYPE_CHECKING:
    from fer_edge.benchmark.baselines import Baselines

Note = Callable[[str], None]

_BASELINE_PRECISIONS = ("fp32", "fp16")
"""INT8 is a choice of its own and comes from 'export'."""


def read_subject(path: Path, *, trust: bool = False, description: Description | None = None) -> Subject:
    """An exported model of any format, checked. Nothing of it is run.

    Raises ModelError as read_model does, for a file that would run code without ``trust``, and for one whose runtime
    is not installed.
    """
    path = model_path(path)
    if not is_archive(read_model_bytes(path)) and path.suffix not in SUFFIXES.values():
        model = read_model(path, trust=trust, description=description)  # by what it holds, whatever it is called
        return Subject.of_model(path, model.metadata, model.sha256, num_bytes=len(model.data))
    file_format = format_of(path)
    check_trust(path, file_format, trust=trust)
    for entry in backends_for(file_format)[:1]:
        try:
            entry.require()
        except MissingExtraError as error:
            raise ModelError(f"{path}: {error}") from error
    checked = read_any(path, trust=trust, description=description)
    return Subject.of_model(path, checked.metadata, checked.sha256, num_bytes=checked.num_bytes)


def models_in(folder: Path, *, trust: bool = False) -> list[Path]:
    """The models in ``folder`` by name, with ``trust`` those that run code too; none where it is not there."""
    return _with_suffix(folder, runs_code=(False, True) if trust else (False,))


def skipped_in(folder: Path) -> list[str]:
    """A line for each file in ``folder`` that ``models_in`` leaves out without trust."""
    return [
        f"{path}: left out: loading it runs the code in it; add --trust if you trust where it is from"
        for path in _with_suffix(folder, runs_code=(True,))
    ]


def _with_suffix(folder: Path, runs_code: Sequence[bool]) -> list[Path]:
    formats = [one for one in all_formats().values() if one.name in SUFFIXES and one.runs_code in runs_code]
    suffixes = [SUFFIXES[one.name] for one in formats]
    return sorted(path for path in folder.glob("*") if path.suffix in suffixes)


def subjects_of_checkpoint(
    checkpoint: Path, given: Sequence[Subject], runtimes: Iterable[str], folder: Path, note: Note
) -> list[Subject]:
    """The checkpoint itself, and the files that ``runtimes`` need and ``given`` lacks, exported into ``folder``.

    A backend gets its own format in fp32, and in fp16 where both can: onnxruntime an ONNX file in each. Needs torch.
    Raises CheckpointError.
    """
    from fer_edge.benchmark.baselines import Baselines

    baselines = Baselines(checkpoint)
    path, info = baselines.path, baselines.info
    family = family_of(
        info.architecture, info.settings, info.labels, info.data_fingerprint, info.seed, info.mean, info.std
    )
    own = Subject(
        name=baselines.name,
        path=path,
        file_format=CHECKPOINT,
        precision="fp32",
        architecture=info.architecture,
        family=family,
        image_size=info.image_size,
        seed=info.seed,
        is_raw=False,
        sha256=file_sha256(path.read_bytes()),
        file_bytes=path.stat().st_size,
        is_baseline=True,
        labels=tuple(info.labels),
        checkpoint=checkpoint,
    )
    have = {(one.file_format, one.precision) for one in given if one.family == family and not one.is_raw}
    wanted = [kind for kind in baseline_kinds(runtimes) if kind not in have]
    exported = [_export(baselines, kind, folder, note) for kind in wanted]
    made = [replace(one, name=baselines.name, checkpoint=checkpoint) for one in exported if one is not None]
    return [own, *made]


def baseline_kinds(runtimes: Iterable[str]) -> list[tuple[str, str]]:
    """Format and precision of each file that the ``runtimes`` are compared on."""
    kinds = [
        (entry.formats[0], precision)
        for entry in map(backend_named, runtimes)
        if entry.formats[0] in all_formats()
        for precision in _BASELINE_PRECISIONS
        if precision in all_formats()[entry.formats[0]].precisions and entry.precisions(precision, frozenset())
    ]
    return list(dict.fromkeys(kinds))


def _export(baselines: "Baselines", kind: tuple[str, str], folder: Path, note: Note) -> Subject | None:
    """The checkpoint in another format and precision; None, and a note, where that cannot be made."""
    file_format, precision = kind
    note(f"exporting {baselines.path} as {file_format} {precision}, as a baseline")
    try:
        with storage_errors(folder):
            model, num_bytes = baselines.write(file_format, precision, f"{baselines.name}-{precision}", folder)
    except (FerEdgeError, RuntimeError) as error:
        note(f"no {file_format} {precision} row: {' '.join(str(error).split())[:200]}")
        return None
    return Subject.of_model(model.path, model.metadata, model.sha256, num_bytes=num_bytes, is_baseline=True)
