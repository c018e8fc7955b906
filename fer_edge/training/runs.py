"""A run from settings and a data set to its finished folder: ``train`` and ``resume``.

It reads from top to bottom: ``train`` or ``resume`` → ``_run`` → ``Trainer.fit_one_cycle`` (trainer.py).
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from fer_edge.data.faces import FaceData
from fer_edge.errors import CheckpointError, FerEdgeError, Interrupted
from fer_edge.files import require_writable
from fer_edge.runtime.file_kind import OWN_CHECKPOINT, RUN, kind_of
from fer_edge.training.architectures import architecture_named
from fer_edge.training.checkpoint import CheckpointInfo, classifier_from_config
from fer_edge.training.classifier import FacialExpressionClassifier
from fer_edge.training.config import TrainConfig
from fer_edge.training.distributed import Processes, joined_processes, launching_job
from fer_edge.training.hardware import choose_device, resolve
from fer_edge.training.history import History
from fer_edge.training.preparation import DataRequest, build_for_training
from fer_edge.training.progress import Reporter
from fer_edge.training.reports import draw_pictures, tensorboard_log
from fer_edge.training.resuming import (
    began_by,
    refuse_begun,
    refuse_other_faces,
    saved_state,
    settings_for_processes,
    settings_of,
)
from fer_edge.training.run_folder import RunFolder
from fer_edge.training.teachers import ask_teachers
from fer_edge.training.trainer import Trainer


@dataclass(frozen=True)
class TrainResult:
    """What a finished run leaves behind."""

    folder: Path
    history: History
    record: CheckpointInfo
    num_train: int
    num_validation: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Files and rows of the data set that cannot be used, by kind (``fer_edge.data.left_out``)."""


def train(config: TrainConfig, request: DataRequest, folder: Path, *, quiet: bool = False) -> TrainResult:
    """Begin a run in ``folder`` and train to its end. Under torchrun, every process calls this.

    Where this torchrun has begun the run already, and started its processes again, they go on with it.

    Raises CheckpointError when there is a run in the folder already, DataError before the first step when the data
    cannot be used, and what ``Trainer.fit_one_cycle`` raises.
    """
    with _joined(config) as (config, processes):
        files, has_begun = RunFolder(folder), False
        with processes.together(config.device):
            has_begun = began_by(files, launching_job())
        if processes.gather(has_begun)[0]:  # by the main one's torchrun: each machine may have its own
            with processes.together(config.device):
                kept, request = settings_of(files, saved_state(files))
            config = _resolved(kept, config.device)
            return _run(config, request, folder, processes, resumes=True, quiet=quiet)
        with processes.together(config.device):
            refuse_begun(folder)  # before the data is read, which takes longer
        return _run(config, request, folder, processes, resumes=False, quiet=quiet)


def resume(folder: Path, *, source: str | None = None, device: str | None = None, quiet: bool = False) -> TrainResult:
    """Go on with the run in ``folder`` to its end, bit for bit as if it had not stopped (on the same kind of CPU).

    ``source`` says where the data is when it has moved; it must be the same faces. ``device`` replaces the one the run
    began on, for a run that goes on elsewhere. Raises CheckpointError when there is no run, another process holds it or
    the data differs, and what ``Trainer.fit_one_cycle`` raises.
    """
    is_other = kind_of(folder) not in (RUN, None) and not RunFolder(folder).checkpoints.is_dir()
    if not folder.is_dir() or is_other:
        raise CheckpointError(f"{folder}: expected a run folder, {_not_a_run(folder)}")
    files = RunFolder(folder)
    config, request = settings_of(files, saved_state(files))
    request = replace(request, source=source or request.source)
    with _joined(replace(config, device=device or config.device)) as (config, processes):
        return _run(config, request, folder, processes, resumes=True, quiet=quiet)


def _not_a_run(path: Path) -> str:
    """What was found instead of a run folder, and what to do."""
    run = path.parent.parent if path.parent.name == "checkpoints" else path.parent
    if path.is_file() and kind_of(run) is RUN:
        return f"found a file of one; name the folder: {run}"
    if kind_of(path) is OWN_CHECKPOINT:
        return f"found a checkpoint, which is weights alone; begin a new run from them with --weights {path}"
    if kind := kind_of(path):
        return f"found {kind.words}; name the folder of a run"
    return f"found {'a file' if path.is_file() else 'none'}; see what is in {path.parent}/"


def _run(
    config: TrainConfig, request: DataRequest, folder: Path, processes: Processes, *, resumes: bool, quiet: bool
) -> TrainResult:
    """Train to the end of the run in ``folder``, from its beginning or from what is saved there."""
    reporter = Reporter(quiet=quiet or not processes.is_main)
    architecture_named(config.architecture)  # an unknown one is refused before anything is written
    if processes.is_main:
        require_writable(folder)
    data = request.load(config)
    data.split("train"), data.split("validation")  # an empty one is refused before anything is written
    with _held(folder, config, processes) as run:
        # What is there is read now: another process may have begun the run, or trained on, until this one held it.
        state = saved_state(RunFolder(folder)) if resumes else None
        if state is None:
            with processes.together(config.device):
                if run is not None:
                    refuse_begun(folder)
                classifier, record = build_for_training(config, data, processes, request)
                if run is not None:
                    data_settings = asdict(replace(request, source=data.location, votes=record.data_votes))
                    settings = {"config": config.to_dict(), "data": data_settings}
                    run.write_config({**settings, "job": job} if (job := launching_job()) else settings)
            _say_what_begins(classifier, data, record, reporter)
        else:
            config, change = settings_for_processes(RunFolder(folder), state, config, processes.count, len(data.train))
            record = replace(CheckpointInfo.from_dict(state["record"]), config=config)
            if change:
                record = replace(record, process_changes=[*record.process_changes, change])
                if run is not None and run.config.exists():
                    run.write_config({**run.read_config(), "process_changes": record.process_changes})
            refuse_other_faces(folder, data, record)
            classifier = classifier_from_config(config, heads=record.heads)
            reporter.line(f"going on with {folder} after {state['progress']['epoch']} of {config.epochs} epochs")
            if change:
                reporter.line(change)

        soft_targets, digest = ask_teachers(
            data.train,
            config,
            record.heads,
            processes,
            reporter,
            kept=run.soft_targets if run is not None else None,
            resumes=resumes,
            digest=record.teacher_digest,
        )
        on_epoch_end = None
        if run is not None and config.tensorboard:
            on_epoch_end = tensorboard_log(run.tensorboard, state["progress"]["epoch"] if state else 0)
        trainer = Trainer(
            classifier,
            data,
            replace(record, teacher_digest=digest),
            run=run,
            processes=processes,
            reporter=reporter,
            on_epoch_end=on_epoch_end,
            soft_targets=soft_targets,
        )
        if state is not None:
            trainer.restore(state)
        try:
            history = trainer.fit_one_cycle()
        except Interrupted:
            if run is not None:
                with contextlib.suppress(FerEdgeError):  # how to go on matters more than the pictures
                    draw_pictures(run)
            raise
        if run is not None:
            draw_pictures(run)
    return TrainResult(folder, history, trainer.record, len(data.train), len(data.validation), data.left_out)


def _say_what_begins(
    classifier: FacialExpressionClassifier, data: FaceData, record: CheckpointInfo, reporter: Reporter
) -> None:
    config = record.config
    size = sum(p.numel() for p in classifier.parameters()) / 1e6
    reporter.line(f"{config.architecture}, {size:.2f} M weights, {record.starting_weights}")
    reporter.line(
        f"{data.source}: {len(data.train)} train and {len(data.validation)} validation faces; "
        f"{config.precision} on {config.device}, {config.threads} threads"
    )


@contextlib.contextmanager
def _joined(config: TrainConfig) -> Iterator[tuple[TrainConfig, Processes]]:
    """Join the other processes, if any, with the settings resolved for this machine."""
    with joined_processes(str(choose_device(config.device))) as (processes, device):
        yield _resolved(config, device), processes


def _resolved(config: TrainConfig, device: str) -> TrainConfig:
    """``config`` for this machine's ``device``, its number of threads set."""
    resolved = resolve(replace(config, device=device))
    torch.set_num_threads(resolved.threads)
    return resolved


@contextlib.contextmanager
def _held(folder: Path, config: TrainConfig, processes: Processes) -> Iterator[RunFolder | None]:
    """The run folder, held by the main process; None for the others, who write nothing."""
    with contextlib.ExitStack() as held:
        run = None
        with processes.together(config.device):
            if processes.is_main:
                run = held.enter_context(RunFolder(folder))
        yield run
