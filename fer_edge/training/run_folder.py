"""The folder of one run: who holds it, its settings, history, pictures and checkpoints."""

import csv
import io
import json
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from fer_edge.errors import CheckpointError
from fer_edge.files import make_folder, storage_errors, write_text
from fer_edge.leftovers import sweep
from fer_edge.training.checkpoint import BEST, LAST
from fer_edge.training.history import Row

LOCK = "run.lock"


class RunFolder:
    """A run folder held by this process: ``with RunFolder(path) as run``. Nobody else can hold it at the same time.

    The hold ends with the process, however it ends. Entering raises CheckpointError when another run holds the folder
    and StorageError when it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.last = self.checkpoints / LAST
        self.best = self.checkpoints / BEST
        self.soft_targets = self.checkpoints / "soft_targets.npy"
        self.config = path / "config.json"
        self.history_csv = path / "history.csv"
        self.history_jsonl = path / "history.jsonl"
        self.curves = path / "curves.png"
        self.learning_rate = path / "learning_rate.png"
        self.tensorboard = path / "tensorboard"
        self._is_new = False
        self._lock = FileLock(path / LOCK)

    def __enter__(self) -> "RunFolder":
        self._is_new = not self.path.exists()
        make_folder(self.checkpoints)
        with storage_errors(self.path):
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise CheckpointError(
                    f"{self.path}: expected a run folder nobody is using, found another run training in it; "
                    "wait for it, stop it, or choose another --name"
                ) from None
        for folder in (self.path, self.checkpoints):
            sweep(folder, is_ours=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._is_new and not self.has_begun:
            self._remove_if_bare()
        self._lock.release()

    def _remove_if_bare(self) -> None:
        """A refused start leaves no folder of settings; one with anything else in it (teachers' answers) stays."""
        with suppress(OSError):
            if {path.name for path in self.path.iterdir()} <= {self.checkpoints.name, self.config.name, LOCK}:
                self.checkpoints.rmdir()  # raises where it holds something
                self.config.unlink(missing_ok=True)
                (self.path / LOCK).unlink(missing_ok=True)
                self.path.rmdir()

    @property
    def has_begun(self) -> bool:
        """Whether a run has left anything here but settings, which is what a refused or killed start leaves."""
        return any(file.exists() for file in (self.last, self.best, self.history_csv, self.history_jsonl))

    def resume_command(self, processes: int = 1) -> str:
        """The command line that goes on with the run, by as many processes."""
        launched = f"torchrun --standalone --nproc_per_node={processes} -m fer_edge"
        return f"{'fer-edge' if processes == 1 else launched} train --resume {shlex.quote(str(self.path))}"

    def write_config(self, values: dict[str, Any]) -> None:
        """Write the run's settings and origin as JSON. Raises StorageError."""
        write_text(self.config, json.dumps(values, indent=2) + "\n")

    def read_config(self) -> dict[str, Any]:
        """What ``write_config`` wrote. Raises CheckpointError."""
        try:
            values = json.loads(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise CheckpointError(
                f"{self.path}: expected a run folder with its config.json, found none that can be read; "
                "see what is in runs/, or start a new run"
            ) from error
        if not isinstance(values, dict) or "config" not in values:
            raise CheckpointError(f"{self.config}: expected a run's settings, found other JSON; start a new run")
        return values

    def write_history(self, rows: Sequence[Row]) -> None:
        """Write the history of all epochs so far as CSV and as JSON lines. Raises StorageError."""
        table = io.StringIO()
        if rows:
            writer = csv.DictWriter(table, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        write_text(self.history_csv, table.getvalue())
        write_text(self.history_jsonl, "".join(json.dumps(row) + "\n" for row in rows))
