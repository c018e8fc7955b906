"""What a person sees while devices run: a live bar in a terminal, a line for each device that is done."""

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fer_edge.devices.matrix import Row


class Reporter:
    """Shows how many of ``total`` devices are done and which are left, on stderr."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, soft_wrap=True, highlight=False)
        self._total = total
        self._progress = Progress(
            MofNCompleteColumn(),
            BarColumn(bar_width=16),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("answering the golden vectors", total=total)

    def __enter__(self) -> "Reporter":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on_row(self, row: Row, left: Sequence[str]) -> None:
        """``row`` is done; the devices called ``left`` are not."""
        done = self._total - len(left)
        self._console.print(f"{done} of {self._total}  {row.device}: {row.outcome}", markup=False, highlight=False)
        self._progress.update(self._task, completed=done, description=f"left: {', '.join(left)}")
