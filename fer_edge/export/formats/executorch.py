"""ExecuTorch's program (.pte), the network delegated to XNNPACK: for phones and boards with PyTorch's own runtime."""

from typing import TYPE_CHECKING, Any

from fer_edge.export.formats.registry import ModelFormat, Note, Source

if TYPE_CHECKING:
    from fer_edge.export.graph.reference import PixelsToProbabilities
    from fer_edge.export.quantization.calibration import TrainingFaces
    from fer_edge.export.quantization.search import QuantisedFile
    from fer_edge.metadata import ModelMetadata

MAX_SIDE = 1280
"""Of an image, in pixels. ExecuTorch reserves the memory of the largest input when it loads a program: 12 bytes a
pixel."""


def lowered(reference: "PixelsToProbabilities", constants: dict[str, Any]) -> bytes:
    """The program of one RGB image, of dynamic height and width. The same reference gives the same bytes.

    ``constants`` become methods, which an app calls without running the network. Raises ModelError where it cannot be
    lowered.
    """
    import torch

    from fer_edge.backends._quiet import quietly
    from fer_edge.errors import ModelError
    from fer_edge.export.graph.matrix_resize import ImageToProbabilities

    with quietly():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
        from executorch.exir.passes import MemoryPlanningPass

        module = ImageToProbabilities(reference).eval()
        height, width = (torch.export.Dim(name, min=1, max=MAX_SIDE) for name in ("height", "width"))
        example = torch.zeros((1, 61, 53, 3), dtype=torch.uint8)  # no two dimensions alike
        try:
            with torch.no_grad():
                exported = torch.export.export(module, (example,), dynamic_shapes=({1: height, 2: width},))
                edge = to_edge_transform_and_lower(
                    exported, partitioner=[XnnpackPartitioner()], constant_methods=constants or None
                )
                program = edge.to_executorch(
                    # The app's own array is read: no copy of it is reserved.
                    ExecutorchBackendConfig(memory_planning_pass=MemoryPlanningPass(alloc_graph_input=False))
                )
        except (RuntimeError, ValueError, AssertionError) as error:
            raise ModelError(f"ExecuTorch cannot lower it: {' '.join(str(error).split())[-300:]}") from error
        return bytes(program.buffer)


def _write(source: Source, metadata: "ModelMetadata") -> dict[str, bytes]:
    from fer_edge.backends.executorch import constant_methods

    reference = source.module
    if metadata.precision == "int8":
        from fer_edge.export.formats._executorch_quantiser import quantised, ranges_in

        reference = quantised(reference, ranges_in(metadata.quantisation, metadata.name))
    return {FORMAT.suffixes[0]: lowered(reference, constant_methods(metadata))}


def _quantise(source: Source, faces: "TrainingFaces", acceptable_drop_points: float, note: Note) -> "QuantisedFile":
    from fer_edge.backends.executorch import logits_of
    from fer_edge.export.formats._executorch_quantiser import find_best_program

    return find_best_program(source.module, faces, lambda reference: lowered(reference, {}), logits_of, note)


FORMAT = ModelFormat(
    name="executorch",
    summary="executorch (.pte, XNNPACK)",
    suffixes=(".pte",),
    write=_write,
    precisions=("fp32", "int8"),
    channels=(3,),  # torch.export fixes their number; three serve every image that is opened as RGB
    max_side=MAX_SIDE,
    takes_one_face=True,
    quantiser=_quantise,
    embeds_metadata=False,
    writes_same_bytes=True,
    packages=("executorch", "torchao"),
    refused_options=("target", "opset", "fixed-shape"),
    refused_because="makes one file for every processor",
    on_device="ExecuTorch, with XNNPACK",
)
