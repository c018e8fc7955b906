"""A checkpoint in PyTorch as it is: the reference of every benchmark."""

from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.backends import _torch
from fer_edge.backends.registry import CHECKPOINT, BackendEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "torch-eager"


def load(
    path: str | Path,
    *,
    threads: int = 0,
    provider: str = "cpu",
    precision: str | None = None,
    shape: "Sequence[int] | None" = None,
    trust: bool = False,
) -> _torch.TorchCheckpoint:
    """The checkpoint's network. Raises CheckpointError."""
    return _torch.TorchCheckpoint(path, threads, provider, compiled=False)


BACKEND = BackendEntry(
    name=NAME,
    formats=(CHECKPOINT,),
    load=load,
    imports=("torch", "fer_edge.training.checkpoint"),
    package="torch",
    extra="train",
    providers=("cpu", "cuda"),
    colour="#b3372f",
    start_seconds=_torch.START_SECONDS,
    process_bytes=_torch.PROCESS_BYTES,
    splits_preprocessing=True,
)
