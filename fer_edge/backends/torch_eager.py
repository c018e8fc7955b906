"""A checkpoint in PyTorch as it is: the reference of every benchmark."""

from fer_edge.backends import _torch
from fer_edge.backends.registry import CHECKPOINT, BackendEntry

NAME = "torch-eager"

load = _torch.loads_checkpoint(compiled=False)
"""The checkpoint's network. Raises CheckpointError."""


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
