"""``score`` as a shell starts it, to be interrupted or killed."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def started(
    repository: Path, source: Path | str, out: Path | str, model: str, *more: str
) -> "Iterator[subprocess.Popen[str]]":
    """In a process group of its own, which is killed at the end. Files have four rows; the report is JSON."""
    words = ["score", str(source), "--out", str(out), "--model", model, "--rows", "4", "--json", *more]
    process = subprocess.Popen(
        [sys.executable, str(repository / "cli.py"), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(repository)},  # Ray's workers import the package, too
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
