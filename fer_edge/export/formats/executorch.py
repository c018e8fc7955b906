"""ExecuTorch's program (.pte), the network delegated to XNNPACK: for phones and boards with PyTorch's own runtime."""

from typing import TYPE_CHECKING

from fer_edge.export.formats.registry import ModelFormat, Source

if TYPE_CHECKING:
    from torch import nn

    from fer_edge.metadata import ModelMetadata

MAX_SIDE = 1280
"""Of an image, in pixels. ExecuTorch reserves the memory of the largest input when it loads a program: 12 bytes a
pixel."""


def executorch_bytes(module: "nn.Module", metadata: "ModelMetadata") -> bytes:
    """``module`` (one RGB image to probabilities and logits) as a program of dynamic height and width.

    What is known of the model is in constant methods, which an app calls without running the network: ``labels``,
    ``image_size`` and ``max_side``. The same module gives the same bytes. Raises ModelError where it cannot be lowered.
    """
    import torch

    from fer_edge.backends.executorch import constant_methods, quietly
    from fer_edge.errors import ModelError

    with quietly():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
        from executorch.exir.passes import MemoryPlanningPass

        height, width = (torch.export.Dim(name, min=1, max=metadata.input.max_side) for name in ("height", "width"))
        example = torch.zeros((1, 61, 53, 3), dtype=torch.uint8)  # no two dimensions alike
        try:
            with torch.no_grad():
                exported = torch.export.export(module.eval(), (example,), dynamic_shapes=({1: height, 2: width},))
                lowered = to_edge_transform_and_lower(
                    exported, partitioner=[XnnpackPartitioner()], constant_methods=constant_methods(metadata)
                )
                program = lowered.to_executorch(
                    # The app's own array is read: no copy of it is reserved.
                    ExecutorchBackendConfig(memory_planning_pass=MemoryPlanningPass(alloc_graph_input=False))
                )
        except (RuntimeError, ValueError, AssertionError) as error:
            reason = " ".join(str(error).split())[-300:]
            raise ModelError(f"{metadata.name}: ExecuTorch cannot lower it: {reason}") from error
        return bytes(program.buffer)


def _write(source: Source, metadata: "ModelMetadata") -> dict[str, bytes]:
    from fer_edge.export.graph.matrix_resize import ImageToProbabilities

    return {FORMAT.suffixes[0]: executorch_bytes(ImageToProbabilities(source.module), metadata)}


FORMAT = ModelFormat(
    name="executorch",
    summary="executorch (.pte, XNNPACK)",
    suffixes=(".pte",),
    write=_write,
    channels=(3,),  # torch.export fixes their number; three serve every image that is opened as RGB
    max_side=MAX_SIDE,
    takes_one_face=True,
    embeds_metadata=False,
    writes_same_bytes=True,
    packages=("executorch",),
    on_device="ExecuTorch, with XNNPACK",
)
