"""What a person sees while rows are measured: a live bar with the row and the time left, plain lines elsewhere."""

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

_PLAIN_INTERVAL_S = 15.0


class Reporter:
    """Shows what is being measured, on stderr. Time left comes from the expected seconds of the steps that remain."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, soft_wrap=True, highlight=False)
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._expected_s = self._done_s = 0.0
        self._began = self._said = 0.0

    def __enter__(self) -> "Reporter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def note(self, text: str) -> None:
        """Say one line, above the bar where there is one."""
        self._console.print(text, markup=False, highlight=False)

    def begin(self, expected_s: float) -> None:
        """Start: the whole work is expected to take ``expected_s`` seconds."""
        self._expected_s = expected_s
        self._began = self._said = time.monotonic()
        if self._console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.fields[left]:>9}"),
                BarColumn(bar_width=16),
                TextColumn("{task.description}"),
                console=self._console,
                transient=True,
            )
            self._task = self._progress.add_task("", total=expected_s, left=_left(expected_s))
            self._progress.start()

    def step(self, what: str, expected_s: float) -> None:
        """``what`` begins, of which ``expected_s`` seconds were expected; the step before it is done."""
        now = time.monotonic()
        left_s = self._remaining_s(now - self._began)
        if self._progress is not None:
            self._progress.update(self._task, description=escape(what), completed=self._done_s, left=_left(left_s))
        elif now - self._said >= _PLAIN_INTERVAL_S:
            self._said = now
            self.note(f"{what}; {_left(left_s)}")
        self._done_s += expected_s

    def _remaining_s(self, spent_s: float) -> float:
        """What is left by expectation, stretched by how far the past took longer or shorter than expected."""
        stretch = spent_s / self._done_s if self._done_s else 1.0
        return max(0.0, self._expected_s - self._done_s) * stretch


def _left(seconds: float) -> str:
    return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"
