"""A checkpoint under torch.compile."""

from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.backends import _torch
from fer_edge.backends.registry import CHECKPOINT, BackendEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "torch-compile"


def load(
    path: str | Path,
    *,
    threads: int = 0,
    provider: str = "cpu",
    precision: str | None = None,
    shape: "Sequence[int] | None" = None,
    trust: bool = False,
) -> _torch.TorchCheckpoint:
    """The checkpoint's network; what is compiled is compiled at the first run of each shape. Raises CheckpointError."""
    return _torch.TorchCheckpoint(path, threads, provider, compiled=True)


BACKEND = BackendEntry(
    name=NAME,
    formats=(CHECKPOINT,),
    load=load,
    imports=("torch", "fer_edge.training.checkpoint"),
    package="torch",
    extra="train",
    providers=("cpu", "cuda"),
    colour="#d1701f",
    start_seconds=30.0,
    process_bytes=_torch.PROCESS_BYTES,
    compiles_once=True,
    splits_preprocessing=True,
)
