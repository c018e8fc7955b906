"""How far a command is, on a terminal whose result goes elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def wants_progress() -> bool:
    """Whether somebody looks at stderr while stdout, which says how far it is by itself, goes to a file or a pipe."""
    return sys.stderr is not None and sys.stderr.isatty() and not (sys.stdout is not None and sys.stdout.isatty())


@contextmanager
def progress_bar(count: Callable[[], int]) -> Iterator[Callable[[], None]]:
    """A bar on stderr while the block runs, and what to call for each image that is done; none where nobody looks.

    ``count`` says how many there are; it is not asked where there is no bar.
    """
    if not wants_progress():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (MofNCompleteColumn(), TextColumn("images"), BarColumn(bar_width=24), TimeElapsedColumn())
    # What is said on stderr goes above the bar; the result goes where stdout leads, not through the bar.
    bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
    with bar:
        task = bar.add_task("", total=count())
        yield lambda: bar.advance(task)
