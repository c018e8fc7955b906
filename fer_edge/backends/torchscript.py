"""TorchScript, frozen: weights become constants, batch norms fold into convolutions."""

from typing import Any

from fer_edge.backends import _torch
from fer_edge.backends.registry import BackendEntry

NAME = "torchscript"


def _opened(data: bytes, device: Any) -> Any:
    import io

    import torch

    return torch.jit.freeze(torch.jit.load(io.BytesIO(data), map_location=device).eval())


BACKEND = BackendEntry(
    name=NAME,
    formats=("torchscript",),
    load=_torch.loads_archive(NAME, _opened),
    imports=("torch", "fer_edge.runtime.inference"),
    package="torch",
    extra="train",
    providers=("cpu", "cuda"),
    runs_code=True,
    colour="#8a5a9e",
    start_seconds=_torch.START_SECONDS,
    process_bytes=_torch.PROCESS_BYTES,
)
