"""pt2: a torch.export program, run as it is."""

from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.backends import _torch
from fer_edge.backends.registry import BackendEntry
from fer_edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "pt2"


def load(
    path: str | Path,
    *,
    threads: int = 0,
    provider: str = "cpu",
    precision: str | None = None,
    shape: "Sequence[int] | None" = None,
    trust: bool = False,
) -> _torch.TorchModel:
    """A .pt2 file, whose code is run. Raises ModelError."""
    import io
    import warnings

    import torch

    from fer_edge.runtime.checksum import clean_zip

    device = _torch.prepare_torch(threads, provider)
    model = _torch.read_archive(path, NAME)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own deprecations
            module = torch.export.load(io.BytesIO(clean_zip(model.data))).module().to(device)
            return _torch.TorchModel(model, module, device)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ModelError(f"{path}: torch cannot load it: {' '.join(str(error).split())[:300]}") from error


BACKEND = BackendEntry(
    name=NAME,
    formats=("pt2",),
    load=load,
    imports=("torch", "fer_edge.runtime.inference"),
    package="torch",
    extra="train",
    providers=("cpu", "cuda"),
    runs_code=True,
    colour="#8a8a8a",
    start_seconds=_torch.START_SECONDS,
    process_bytes=_torch.PROCESS_BYTES,
)
