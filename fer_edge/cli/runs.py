"""The run that a command means when none is named."""

from pathlib import Path

from fer_edge.errors import CheckpointError


def run_of(checkpoint: Path) -> Path | None:
    """The run folder that ``checkpoint`` is or is in; None for one in no run, and for a shipped one by its name."""
    if (checkpoint / "checkpoints").is_dir():
        return checkpoint
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else None


def only_run(runs: Path) -> Path:
    """The one run there is. Raises CheckpointError when there is none or a choice."""
    found = sorted(path.parent for path in runs.glob("*/config.json"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise CheckpointError(
            f"expected a run in {runs}/, found none; train first (fer-edge train), or name one with --checkpoint, "
            "also a shipped one (fer-tiny)"
        )
    names = ", ".join(str(path) for path in found)
    raise CheckpointError(f"expected --checkpoint, found {len(found)} runs: {names}; name one of them")
