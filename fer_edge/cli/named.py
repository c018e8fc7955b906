"""Models and checkpoints that are named rather than pointed at: what a name means is said before it is used."""

import os
from collections.abc import Iterable
from pathlib import Path

from fer_edge.cli.output import note
from fer_edge.errors import CheckpointError
from fer_edge.runtime.file_kind import CHECKPOINT, mistaken
from fer_edge.runtime.shipped import DEFAULT_NAME, model_path, shadowed, shipped_by_name, shipped_named
from fer_edge.text import shown_name

MODEL_HELP = f"default: the shipped {DEFAULT_NAME}; 'models' lists the names."
"""End of the help of options and arguments that take a model."""


def model_named(model: Path | None) -> Path:
    """The file of a model: a path as it stands, the shipped one of that name, without one the default.

    Says on stderr where a file here hides a shipped model of its name. Raises ModelError where there is no default.
    """
    path = model_path(model)
    if model is not None and (hidden := shadowed(model)) is not None and path == model:
        note(f"{model}: the one in this folder, not the shipped model of that name, {hidden.path}")
    return path


def checkpoint_of(model: Path | None) -> Path | None:
    """The checkpoint behind a shipped model that was taken by its name, or as the default; None for another."""
    found = shipped_by_name().get(DEFAULT_NAME) if model is None else shipped_named(model)
    path = None if found is None else found.checkpoint
    if path is not None:
        note(f"its checkpoint: {shown_name(path)}")
    return path


def given_checkpoint(value: Path | list[Path] | None) -> Path | list[Path] | None:
    """``value`` of an option that takes checkpoints. Raises CheckpointError for a file known to be something else:
    before what reads checkpoints is imported, which asks for torch."""
    for path in value if isinstance(value, list | tuple) else [value]:
        # os.path: Path's own raises for names that are too long.
        if path is None or not os.path.isfile(path) or path.suffix.lower() == ".safetensors":  # noqa: PTH113
            continue  # the last are weights that 'export --labels' takes
        if told := mistaken(path, CHECKPOINT):
            raise CheckpointError(f"{path}: expected a checkpoint, {told}")
    return value


def complete_model(incomplete: str) -> list[str]:
    """What a shell offers where a model goes: the shipped ones' names, and files."""
    return _offered(shipped_by_name(), incomplete)


def complete_checkpoint(incomplete: str) -> list[str]:
    """What a shell offers where a checkpoint goes: the shipped models that have one, files and run folders."""
    return _offered((name for name, one in shipped_by_name().items() if one.checkpoint is not None), incomplete)


def complete_weights(incomplete: str) -> list[str]:
    """What a shell offers for starting weights: the words of ``--weights``, shipped models with a checkpoint, files;
    after a comma again."""
    before, comma, last = incomplete.rpartition(",")
    words = [] if comma else [word for word in ("auto", "imagenet", "none") if word.startswith(last)]
    return [before + comma + word for word in [*words, *complete_checkpoint(last)]]


def _offered(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)] + _files(incomplete)


def _files(incomplete: str) -> list[str]:
    """Files and folders that begin so, hidden ones where that is typed; a folder ends in a slash to go on from."""
    folder, start = os.path.split(incomplete)
    try:
        with os.scandir(folder or ".") as entries:
            found = sorted(
                entry.name + "/" * entry.is_dir()
                for entry in entries
                if entry.name.startswith(start) and (start.startswith(".") or not entry.name.startswith("."))
            )
    except OSError:
        return []
    return [incomplete[: len(incomplete) - len(start)] + name for name in found]
