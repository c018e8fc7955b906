"""A checkpoint under torch.compile."""

from fer_edge.backends import _torch
from fer_edge.backends.registry import CHECKPOINT, BackendEntry

NAME = "torch-compile"


BACKEND = BackendEntry(
    name=NAME,
    formats=(CHECKPOINT,),
    load=_torch.loads_checkpoint(compiled=True),  # compiled at the first run of each shape
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
