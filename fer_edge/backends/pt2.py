"""pt2: a torch.export program, run as it is."""

from typing import Any

from fer_edge.backends import _torch
from fer_edge.backends.registry import BackendEntry

NAME = "pt2"


def _opened(data: bytes, device: Any) -> Any:
    import io

    import torch

    return torch.export.load(io.BytesIO(data)).module().to(device)


BACKEND = BackendEntry(
    name=NAME,
    formats=("pt2",),
    load=_torch.loads_archive(NAME, _opened),
    imports=("torch", "fer_edge.runtime.inference"),
    package="torch",
    extra="train",
    providers=("cpu", "cuda"),
    runs_code=True,
    colour="#8a8a8a",
    start_seconds=_torch.START_SECONDS,
    process_bytes=_torch.PROCESS_BYTES,
)
