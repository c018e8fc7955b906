"""pt2: a torch.export program."""

from typing import TYPE_CHECKING

from fer_edge.export.formats.registry import ModelFormat, Source

if TYPE_CHECKING:
    import io

    from torch import nn

    from fer_edge.metadata import ModelMetadata


def pt2_bytes(module: "nn.Module", metadata: "ModelMetadata") -> bytes:
    """``module`` (pixels to probabilities and logits) as a torch.export program of dynamic batch, height and width."""
    import warnings

    import torch

    from fer_edge.export.formats._archive import EXAMPLE_SHAPE, archive_bytes
    from fer_edge.metadata import METADATA_KEY

    batch, height, width = (torch.export.Dim(name, min=1, max=2**15) for name in ("batch", "height", "width"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations inside torch.export
        program = torch.export.export(
            module.eval(),
            (torch.zeros(EXAMPLE_SHAPE, dtype=torch.uint8),),
            dynamic_shapes=({0: batch, 1: height, 2: width},),
        )
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # the lines of Python that were traced: it tells this machine's folders

        def save(stream: "io.BytesIO", text: str) -> None:
            torch.export.save(program, stream, extra_files={METADATA_KEY: text})

        return archive_bytes(save, metadata)


def _write(source: Source, metadata: "ModelMetadata") -> dict[str, bytes]:
    return {FORMAT.suffixes[0]: pt2_bytes(source.module, metadata)}


FORMAT = ModelFormat(
    name="pt2",
    summary="pt2 (torch.export)",
    suffixes=(".pt2",),
    name_part="export",
    write=_write,
    channels=(3,),  # torch.export fixes their number when it traces; three serve every image that is opened as RGB
    on_device="PyTorch",
    writes_same_bytes=True,
    torch_loader='torch.export.load("{file}").module()',
)
