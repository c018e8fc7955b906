"""TorchScript, deprecated in current PyTorch; pt2 is its successor."""

from typing import TYPE_CHECKING

from fer_edge.export.formats.registry import ModelFormat, Source

if TYPE_CHECKING:
    import io

    from torch import nn

    from fer_edge.metadata import ModelMetadata


def torchscript_bytes(module: "nn.Module", metadata: "ModelMetadata") -> bytes:
    """``module`` (pixels to probabilities and logits) traced to TorchScript, with ``metadata`` in it."""
    import warnings

    import torch

    from fer_edge.export.formats._archive import EXAMPLE_SHAPE, archive_bytes
    from fer_edge.metadata import METADATA_KEY

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the deprecation, which the command says in its own words
        traced = torch.jit.trace(module.eval(), (torch.zeros(EXAMPLE_SHAPE, dtype=torch.uint8),), check_trace=False)

        def save(stream: "io.BytesIO", text: str) -> None:
            torch.jit.save(traced, stream, _extra_files={METADATA_KEY: text})

        return archive_bytes(save, metadata)


def _write(source: Source, metadata: "ModelMetadata") -> dict[str, bytes]:
    return {FORMAT.suffixes[0]: torchscript_bytes(source.module, metadata)}


FORMAT = ModelFormat(
    name="torchscript",
    summary="torchscript",
    suffixes=(".torchscript",),
    name_part="jit",
    write=_write,
    on_device="PyTorch or its C++ library",
    torch_loader='torch.jit.load("{file}")',
    note="TorchScript is deprecated in PyTorch; its successor is --format pt2",
)
