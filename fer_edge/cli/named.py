"""Models and checkpoints that are named rather than pointed at: what a name means is said before it is used."""

from pathlib import Path

from fer_edge.cli.output import note
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
