"""How far ``score`` is, on stderr: a line that renews itself on a terminal, elsewhere one now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fer_edge.cli import output

if TYPE_CHECKING:
    from fer_edge.scoring.report import ScoreProgress

_LINE_EVERY_S = 30.0


@contextmanager
def score_progress() -> "Iterator[Callable[[ScoreProgress], None]]":
    """What to call with the counts; how many images there will be is not known, as they are listed on the way."""
    start = time.monotonic()

    def told(now: "ScoreProgress") -> str:
        rate = (now.rows - now.rows_before) / max(time.monotonic() - start, 1e-9)
        before = f", {now.rows_before} of them before" if now.rows_before else ""
        return f"{now.rows} images{before}, {now.errors} errors, {rate:.0f}/s"

    if sys.stderr is not None and sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status("starting") as status:
            yield lambda now: status.update(told(now))
        return
    last = start

    def line(now: "ScoreProgress") -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY_S:
            last = time.monotonic()
            output.note(told(now))

    yield line
