"""What a person sees while training: a live bar in a terminal, plain lines elsewhere, all on stderr."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_PLAIN_INTERVAL_S = 30.0


class Reporter:
    """Shows the steps of a run and prints one line an epoch.

    Args:
        quiet: say nothing, for processes other than the main one and for searches over many runs.
        console: where to write; stderr by default.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, quiet=quiet, soft_wrap=True, highlight=False)
        self._live = not quiet and self._console.is_terminal
        self._progress: Progress | None = None
        self._epoch_label = ""
        self._started = self._said = 0.0
        self._first_step = 0

    def __enter__(self) -> "Reporter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def line(self, text: str) -> None:
        """Print one line."""
        self._close()
        self._console.print(text, markup=False, highlight=False)

    def start_epoch(self, epoch: int, epochs: int, position: int, num_steps: int) -> None:
        """Begin showing ``epoch`` (from 1) of ``epochs``, ``position`` of its ``num_steps`` steps being done."""
        self._close()
        self._epoch_label = f"epoch {epoch}/{epochs}"
        self._started = self._said = time.monotonic()
        self._first_step = position
        if self._live:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                TextColumn("{task.completed}/{task.total}  {task.fields[figures]}  left"),
                TimeRemainingColumn(compact=True),
                console=self._console,
                transient=True,
                expand=True,
            )
            self._progress.add_task(self._epoch_label, total=num_steps, completed=position, figures="")
            self._progress.start()

    def step(self, position: int, num_steps: int, *, images: int, loss: float, lr: float) -> None:
        """Show that ``position`` steps of the epoch are done, ``images`` of them since it was shown to start."""
        now = time.monotonic()
        rate = images / max(now - self._started, 1e-9)
        figures = f"loss {loss:.3f}  lr {lr:.1e}  {rate:.0f} images/s"
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=position, figures=figures)
        elif now - self._said >= _PLAIN_INTERVAL_S:
            self._said = now
            left = (now - self._started) / (position - self._first_step) * (num_steps - position)
            self._console.print(
                f"{self._epoch_label}  {position}/{num_steps}  {figures}  {left:.0f} s left", markup=False
            )

    def _close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
