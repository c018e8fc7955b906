"""Going on with a run that was stopped: what it has saved, and what must not have changed since."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_edge.data.faces import FaceData
from fer_edge.errors import CheckpointError, TrainingError
from fer_edge.training.checkpoint import CheckpointInfo, read_checkpoint
from fer_edge.training.config import TrainConfig
from fer_edge.training.preparation import DataRequest
from fer_edge.training.run_folder import RunFolder


def refuse_begun(folder: Path) -> None:
    """Raises CheckpointError where there is a run in ``folder``."""
    if RunFolder(folder).has_begun:
        raise CheckpointError(
            f"{folder}: expected a folder without a run, found one; "
            f"go on with it: python cli.py train --resume {shlex.quote(str(folder))}, or choose another --name"
        )


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
    if "optimizer" not in state or "progress" not in state:
        raise CheckpointError(
            f"{files.last}: expected a checkpoint to go on from, found one of weights alone; "
            "begin a new run from them with --weights"
        )
    if state["progress"].get("rows") and not files.best.is_file():
        raise CheckpointError(
            f"{files.best}: expected the weights of the best epoch so far, found no such file; "
            f"put it back, or begin a new run with --weights {shlex.quote(str(files.last))}"
        )
    return state


def settings_of(files: RunFolder, state: Mapping[str, Any] | None) -> tuple[TrainConfig, DataRequest]:
    """Settings and data of a run: from its last checkpoint, or from its config.json where it has none yet.

    Raises CheckpointError where these are not to be found.
    """
    try:
        if state is not None:
            record = CheckpointInfo.from_dict(state["record"])
            return record.config, DataRequest(
                record.data_source, record.skip_bad, record.drop_leaks, record.data_labels, record.data_votes
            )
        written = files.read_config()
        return TrainConfig.from_dict(written["config"]), DataRequest(**written["data"])
    except (KeyError, TypeError, AttributeError, TrainingError) as error:
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
