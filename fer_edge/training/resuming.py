"""Going on with a run that was stopped: what it has saved, and what must not have changed since."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fer_edge.data.faces import FaceData
from fer_edge.errors import CheckpointError, SettingError, TrainingError
from fer_edge.training.batches import num_parts
from fer_edge.training.checkpoint import (
    ONLY_IN_LAST,
    CheckpointInfo,
    fits,
    load_classifier,
    read_checkpoint,
    record_of,
)
from fer_edge.training.config import TrainConfig
from fer_edge.training.heads import Head, heads_of
from fer_edge.training.history import Progress
from fer_edge.training.plain_types import typed
from fer_edge.training.preparation import DataRequest, mean_and_std_of
from fer_edge.training.run_folder import RunFolder
from fer_edge.training.training_state import checked_progress


def refuse_begun(folder: Path) -> None:
    """Raises CheckpointError where there is a run in ``folder``, or another's file where a run has its own."""
    files = RunFolder(folder)
    if files.has_begun:
        raise CheckpointError(
            f"{folder}: expected a folder without a run, found one; "
            f"go on with it: fer-edge train --resume {shlex.quote(str(folder))}, or choose another --name"
        )
    if files.config.exists():  # what a refused or killed start leaves is a run's
        files.read_config()
    for file in (files.curves, files.learning_rate):
        if file.exists():
            raise CheckpointError(f"{file}: expected no file, found one that is kept; choose another --name")


def saved_state(files: RunFolder) -> dict[str, Any] | None:
    """The run's last checkpoint; None where it was stopped before its first.

    Raises CheckpointError where a file that is needed is missing or damaged.
    """
    if not files.has_begun:
        return None
    if not files.last.is_file():
        found = files.best.name if files.best.is_file() else "the history of a run"
        raise CheckpointError(
            f"{files.last}: expected a checkpoint to go on from, found none beside {found}; "
            "put it back, or begin a new run under another --name"
        )
    state = read_checkpoint(files.last)
    if not any(part in state for part in ONLY_IN_LAST):
        raise CheckpointError(
            f"{files.last}: expected a checkpoint to go on from, found one of weights alone; "
            "begin a new run from them with --weights"
        )
    with fits(files.last):
        info = record_of(state, files.last)
        progress = checked_progress(state["progress"], info.config)
        latest = progress.rows[-1] if progress.rows else {}
        metrics = {name: latest[f"validation_{name}"] for name in ("loss", "accuracy") if latest}
        if info.epoch != progress.epoch or info.metrics != metrics:
            raise CheckpointError(f"record: expected epoch {progress.epoch} and its metrics, found others")
    if progress.rows:
        _refuse_other_best(files, info, progress)
    return state


def _refuse_other_best(files: RunFolder, info: CheckpointInfo, progress: Progress) -> None:
    """Raises CheckpointError unless the weights of the best epoch are there, whole, and of this run.

    A run that was killed between its two checkpoints has those of the epoch after the last one.
    """
    advice = f"put it back, or begin a new run with --weights {shlex.quote(str(files.last))}"
    if not files.best.is_file():
        raise CheckpointError(
            f"{files.best}: expected the weights of the best epoch so far, found no such file; {advice}"
        )
    try:
        best = load_classifier(files.best)[1]
    except CheckpointError as error:
        reason = str(error).removeprefix(f"{files.best}: ")
        raise CheckpointError(f"{files.best}: the weights of the best epoch: {reason}; {advice}") from error
    if best.epoch not in (progress.best_epoch, progress.epoch + 1):
        raise CheckpointError(
            f"{files.best}: expected the weights of epoch {progress.best_epoch}, found those of {best.epoch}; {advice}"
        )
    if of_another_run := [name for name, value in _identity(info).items() if _identity(best)[name] != value]:
        raise CheckpointError(
            f"{files.best}: expected a checkpoint of the same run as {files.last.name}, found another "
            f"{of_another_run[0]}; {advice}"
        )


def _identity(info: CheckpointInfo) -> dict[str, Any]:
    """What all checkpoints of a run say alike: all but how far they have come and which machine went on with it."""
    machine = ("device", "threads", "precision", "channels_last", "save_interval", "tensorboard", "micro_batch")
    settings = {name: value for name, value in info.config.to_dict().items() if name not in machine}
    record = {name: getattr(info, name) for name in ("mean", "std", "data_fingerprint", "heads", "teacher_digest")}
    return {**record, **settings}


def settings_for_processes(
    files: RunFolder, state: Mapping[str, Any], config: TrainConfig, count: int, num_faces: int
) -> tuple[TrainConfig, str]:
    """The run's settings for ``count`` processes, and in words what changes; no words where as many trained before,
    or the run is at its end.

    The batch of all processes together stays, and with it every step and its learning rate. Fewer processes take it in
    parts of as many faces as before, whose gradients are added up. ``num_faces``: in the training split. Raises
    CheckpointError where ``count`` cannot share the batch. Checkpoints of earlier versions do not say how many trained.
    """
    others = state.get("random_of_others")
    before = len(others) + 1 if isinstance(others, list) else count
    if before == count or state["progress"]["epoch"] >= config.epochs:  # nothing is left to train
        return config, ""
    batch, batch_now = (min(config.batch_size, num_faces // one * one) for one in (before, count))
    if batch != batch_now or batch % count:
        raise CheckpointError(
            f"{files.path}: expected a number of processes that share a batch of {batch} faces equally, found {count}; "
            f"go on with: {files.resume_command(before)}"
        )
    config = replace(config, micro_batch=config.micro_batch or batch // before)
    try:
        parts = num_parts(batch, count, config.micro_batch)
    except SettingError as error:
        raise CheckpointError(f"{files.path}: {error}; go on with: {files.resume_command(before)}") from error
    at = state["progress"]
    now = f"{count} process{'es' if count > 1 else ''}"
    share = f"{f'{parts} parts of ' if parts > 1 else ''}{batch // (count * parts)} faces"
    return config, (
        f"from step {at['position'] + 1} of epoch {at['epoch'] + 1} on {now} instead of {before}: batches of {batch} "
        f"and the learning rate stay, each process takes {share}; losses are near, not equal"
    )


def began_by(files: RunFolder, job: str) -> bool:
    """Whether ``job`` (``distributed.launching_job``) began the run in the folder: it restarts its processes, and they
    are to go on. False for no job, and before anything was saved. Raises CheckpointError."""
    return bool(job) and files.has_begun and files.config.exists() and files.read_config().get("job") == job


def settings_of(files: RunFolder, state: Mapping[str, Any] | None) -> tuple[TrainConfig, DataRequest]:
    """Settings and data of a run: from its last checkpoint, or from its config.json where it has none yet.

    Raises CheckpointError where these are not to be found.
    """
    try:
        if state is not None:
            record = CheckpointInfo.from_dict(state["record"])
            return record.config, DataRequest(
                record.data_source,
                record.skip_bad,
                record.drop_leaks,
                record.data_labels,
                record.data_votes,
                record.data_class_map,
            )
        written = files.read_config()
        request = typed(written.get("data"), DataRequest, required=("source", "skip_bad", "drop_leaks"))
        return TrainConfig.from_dict(written["config"], whole=True), request
    except (CheckpointError, TrainingError) as error:
        if str(error).startswith(f"{files.path}: "):  # it says all of that
            raise
        raise CheckpointError(
            f"{files.path}: expected the settings of a run, found others ({error}); start a new run"
        ) from error


def refuse_other_faces(folder: Path, data: FaceData, record: CheckpointInfo) -> None:
    """Raises CheckpointError where ``data`` is not what the run behind ``record`` began with, or has other votes."""
    if data.fingerprint() != record.data_fingerprint:
        raise CheckpointError(
            f"{folder}: expected the faces the run began with (fingerprint {record.data_fingerprint[:12]}), "
            f"found others in {data.source}; name the right ones with --data"
        )
    known, found = record.training_fingerprints, data.training_fingerprints()
    if "order" in known and known["order"] != found["order"]:
        raise CheckpointError(
            f"{folder}: expected the faces in the order in which the run began, found the same in another order in "
            f"{data.source}; give the files their names of then, which order them"
        )
    if "votes" in known and known["votes"] != found.get("votes"):
        raise CheckpointError(
            f"{folder}: expected the votes with which the run began, found {'others' if 'votes' in found else 'none'} "
            f"in {data.source}; put that table back, or begin a new run"
        )
    heads = heads_of(record.config.heads, data.labels)
    if record.heads != heads:
        raise CheckpointError(
            f"{folder}: expected outputs for the labels of {data.source}, {_labels_in_words(heads)}, "
            f"found a checkpoint of others, {_labels_in_words(record.heads)}; begin a new run"
        )
    for name, found_value, expected in zip(
        ("mean", "std"), (record.mean, record.std), mean_and_std_of(data), strict=True
    ):
        if not math.isclose(found_value, expected, rel_tol=1e-6):
            raise CheckpointError(
                f"{folder}: expected the {name} of the training faces, {expected:g}, found {found_value:g} in its "
                "checkpoint; begin a new run"
            )


def _labels_in_words(heads: Sequence[Head]) -> str:
    return "; ".join(", ".join(head.label_set.names[:10]) for head in heads)
