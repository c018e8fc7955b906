"""Where the command line prints: results to stdout, everything else to stderr."""

import json
import os
from pathlib import Path
from typing import Any

import typer


def is_main_process() -> bool:
    """Whether this is the process that speaks: the only one, or torchrun's first."""
    return os.environ.get("RANK", "0") == "0"


def result(text: str) -> None:
    """Print a result for people or programs on stdout."""
    typer.echo(text)


def result_json(value: Any) -> None:
    """Print a result as JSON on stdout: one object, keys in the order given, no NaN."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


def note(text: str) -> None:
    """Say something about the work on stderr."""
    typer.echo(text, err=True)


def wrote(*paths: Path) -> None:
    """Name the files a command wrote, its last words (on stderr, so that ``--json`` on stdout stays JSON)."""
    for path in paths:
        typer.echo(f"wrote {path}", err=True)
