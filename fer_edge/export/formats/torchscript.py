"""TorchScript, deprecated in current PyTorch; pt2 is its successor."""

import io
from typing import TYPE_CHECKING

from fer_edge.export.formats.registry import ModelFormat, Source

if TYPE_CHECKING:
    from torch import nn

    from fer_edge.metadata import ModelMetadata


_WRITERS_OWN = ("version", ".data/serialization_id")
"""Records that the writer adds itself."""


def torchscript_bytes(module: "nn.Module", metadata: "ModelMetadata") -> bytes:
    """``module`` (pixels to probabilities and logits) traced to TorchScript, with ``metadata`` in it."""
    import warnings

    import torch

    from fer_edge.export.formats._archive import EXAMPLE_SHAPE, archive_bytes
    from fer_edge.metadata import METADATA_KEY

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the deprecation, which the command says in its own words
        traced = torch.jit.trace(module.eval(), (torch.zeros(EXAMPLE_SHAPE, dtype=torch.uint8),), check_trace=False)

        def save(stream: io.BytesIO, text: str) -> None:
            whole = io.BytesIO()
            torch.jit.save(traced, whole, _extra_files={METADATA_KEY: text})
            _copy_without_source_paths(whole, stream)

        return archive_bytes(save, metadata)


def _copy_without_source_paths(archive: io.BytesIO, copy: io.BytesIO) -> None:
    """The same without what names the lines of Python that were traced, which would tell this machine's folders.

    torch runs it without, as its mobile builds do; its errors then name no line.
    """
    import torch

    archive.seek(0)
    reader, writer = torch._C.PyTorchFileReader(archive), torch._C.PyTorchFileWriter(copy)
    for name in reader.get_all_records():
        if not name.endswith(".debug_pkl") and name not in _WRITERS_OWN:
            data = reader.get_record(name)
            writer.write_record(name, data, len(data))
    writer.write_end_of_file()


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
