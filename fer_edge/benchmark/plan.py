"""From the arguments of a benchmark to its rows: what is measured, under which name, and why a file has no row."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from fer_edge.backends import torch_eager
from fer_edge.backends.registry import CHECKPOINT, backend_named, backends_for, in_words
from fer_edge.benchmark.request import BenchmarkRequest
from fer_edge.benchmark.rows import EAGER, ONNXRUNTIME, Row, Subject, Wanted, rows_of
from fer_edge.benchmark.subjects import Note, models_in, read_subject, skipped_in, subjects_of_checkpoint
from fer_edge.benchmark.timed_run import WorkerSpec
from fer_edge.errors import FerEdgeError, ModelError, ProviderError, UsageError
from fer_edge.extras import install_command
from fer_edge.files import file_identity, make_folder
from fer_edge.runtime.model_file import no_such_model
from fer_edge.runtime.shipped import model_path, shipped_models
from fer_edge.text import printable


@dataclass(frozen=True)
class Planned:
    """A row and the file that it runs."""

    row: Row
    subject: Subject

    def spec(self) -> WorkerSpec:
        """What a worker is to load."""
        return WorkerSpec(
            self.row.runtime,
            backend_named(self.row.runtime).load.__module__,
            self.row.precision,
            self.row.provider,
            self.row.batch,
            self.row.threads,
            str(self.subject.path),
            self.subject.image_size,
            None if self.subject.description is None else asdict(self.subject.description),
        )


def plan_rows(request: BenchmarkRequest, wanted: Wanted, folder: Path, say: Note, note: Note) -> list[Planned]:
    """Every row to measure; ``wanted.runtimes`` are those of the request that are installed.

    What is exported for the comparison goes into ``folder``. A file that was named and yields no row is refused, one
    of a folder is left out and noted. Raises UsageError, ProviderError, ModelError, CheckpointError, StorageError.
    """
    subjects = with_distinct_names(_subjects(request, wanted.runtimes, folder, say, note))
    rows = {one: rows_of(one, wanted) for one in subjects}
    for one in subjects:
        if not rows[one] and one.file_format != CHECKPOINT and not one.is_baseline:
            reason = why_no_row(one, request)
            if request.models:
                raise reason
            note(str(reason))
    for argument in dict.fromkeys(one.argument for one in subjects if one.file_format == CHECKPOINT):
        if not any(rows[one] for one in subjects if one.argument == argument):
            runtimes = in_words(list(wanted.runtimes), "and")
            note(f"{argument}: no row of it: the files that {runtimes} would run were named themselves")
    planned = [Planned(row, one) for one in subjects for row in rows[one]]
    if not planned:
        raise ModelError(f"expected rows to measure, found none for --runtimes {','.join(wanted.runtimes) or 'none'}")
    return planned


def model_paths(request: BenchmarkRequest) -> list[Path]:
    """The models that were named, by path or name; else all in the folder; where it has none and no checkpoint was
    named, those that come with fer_edge. Raises ModelError where there is nothing to measure, and for a path at which
    nothing is: first of all, not below what is said of machine and runtimes."""
    if request.models:
        paths = [model_path(model) for model in request.models]
        for path in paths:
            try:
                path.stat()
            except FileNotFoundError as error:
                raise no_such_model(path) from error
            except (OSError, ValueError):
                continue  # what else is wrong with it is for its reader to say
        return paths
    if found := models_in(request.folder, trust=request.trust):
        return found
    if request.checkpoints:
        return []
    if shipped := shipped_models():
        return list(shipped)
    raise ModelError(
        f"{request.folder}: expected exported models (*.onnx), found none; name one, or make one with "
        "'fer-edge export --checkpoint runs/NAME'"
    )


def _subjects(request: BenchmarkRequest, runtimes: Sequence[str], folder: Path, say: Note, note: Note) -> list[Subject]:
    """The models that were named or all in the folder, then each checkpoint and its baselines; each file once."""
    seen: dict[tuple[int, int] | str, Path] = {}

    def is_new(argument: Path, file: Path) -> bool:
        identity = file_identity(file)
        first = seen.get(identity)
        if first is not None:
            note(f"{argument}: {'named twice' if argument == first else f'the same file as {first}'}, measured once")
        seen[identity] = argument
        return first is None

    paths = model_paths(request)
    if paths and not request.models and not models_in(request.folder, trust=request.trust):
        note(f"no exported models in {request.folder}/: those that come with fer_edge are measured")
    if not request.models and not request.trust and paths:
        for line in skipped_in(request.folder):
            note(line)
    subjects = [
        read_subject(path, trust=request.trust, description=request.description) for path in paths if is_new(path, path)
    ]
    for number, checkpoint in enumerate(request.checkpoints):
        if not backend_named(torch_eager.NAME).is_installed:
            note(f"torch is not installed: no rows of checkpoints; run: {install_command('train')}")
            break
        own, *made = subjects_of_checkpoint(checkpoint, subjects, runtimes, make_folder(folder / f"{number}"), say)
        if is_new(checkpoint, own.path):
            subjects += [own, *made]
    return subjects


def with_distinct_names(subjects: Sequence[Subject]) -> list[Subject]:
    """Each under the name of its argument: short, and with as much of the path as tells it from the others."""
    short = {one.argument: one.name for one in subjects}
    names = dict(zip(short, distinct_names(list(short.values()), list(short)), strict=True))
    return [replace(one, name=names[one.argument]) for one in subjects]


def distinct_names(short: Sequence[str], paths: Sequence[Path]) -> list[str]:
    """``short`` where only one has it, else the last parts of its path, as few as tell it from the others."""
    names = list(short)
    for depth in range(1, 1 + max((len(path.parts) for path in paths), default=0)):
        count = Counter(names)
        names = [
            Path(*(path.parts or path.resolve().parts)[-depth:]).as_posix() if count[name] > 1 else name
            for name, path in zip(names, paths, strict=True)
        ]
    return [printable(name) for name in names]


def why_no_row(subject: Subject, request: BenchmarkRequest) -> FerEdgeError:
    """What has to change for the file to be measured, as the error to raise."""
    entries = backends_for(subject.file_format)
    kind = f"{subject.precision} {subject.file_format} files"
    names = [entry.name for entry in entries]
    wanted = [entry for entry in entries if entry.name in request.runtimes]
    if not wanted:
        return UsageError(
            f"{subject.path}: expected {in_words(names)} among --runtimes, for {kind}, found "
            f"{','.join(request.runtimes)}; add it, or leave the file out"
        )
    able = [entry for entry in wanted if request.provider in entry.providers]
    if not able:
        return ProviderError(
            f"{subject.path}: expected a runtime that runs {kind} on {request.provider}, found "
            f"{in_words([entry.name for entry in wanted])}, which cannot; leave out --provider"
        )
    installed = [entry for entry in able if entry.is_installed]
    if not installed:
        return ModelError(
            f"{subject.path}: expected the package '{able[0].package}', for {kind}, found none; "
            f"run: {install_command(able[0].extra)}"
        )
    return UsageError(
        f"{subject.path}: expected a runtime that runs {kind} among --runtimes, found "
        f"{','.join(request.runtimes)}; add one of {', '.join(names)}, or leave the file out"
    )


def reference_of(one: Planned, engines: list[Planned]) -> Planned | None:
    """What a row is to agree with: its checkpoint in eager PyTorch, else its fp32 file in onnxruntime, if there."""
    family = [other for other in engines if other.subject.family == one.subject.family]
    eager = [other for other in family if other.row.runtime == EAGER]
    fp32 = [other for other in family if other.row.runtime == ONNXRUNTIME and other.row.precision == "fp32"]
    return next(iter(eager or fp32), None)
