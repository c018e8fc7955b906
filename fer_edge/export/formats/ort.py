"""onnxruntime's own format, which its smallest builds read."""

from typing import TYPE_CHECKING

from fer_edge.export.formats.registry import ModelFormat, Source

if TYPE_CHECKING:
    import onnx

    from fer_edge.metadata import ModelMetadata


def ort_bytes(graph: "onnx.ModelProto", metadata: "ModelMetadata") -> bytes:
    """``graph`` in onnxruntime's own format with ``metadata`` and their checksum in it.

    Optimised to the extended level only: the level above fixes memory layouts that suit this machine's CPU alone.
    """
    from pathlib import Path

    import onnxruntime

    from fer_edge.export.formats.onnx import with_metadata
    from fer_edge.files import temporary_folder
    from fer_edge.runtime.checksum import add_checksum

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.log_severity_level = 3  # it warns that optimised files suit similar machines; the level sees to that
    with temporary_folder() as folder:
        path = Path(folder) / "model.ort"
        options.optimized_model_filepath = str(path)
        content = with_metadata(graph, metadata).SerializeToString()
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return add_checksum(path.read_bytes(), metadata.name)


def _write(source: Source, metadata: "ModelMetadata") -> dict[str, bytes]:
    return {FORMAT.suffixes[0]: ort_bytes(source.graph, metadata)}


def _read_graph(data: bytes) -> "onnx.ModelProto":
    from fer_edge.export.graph.ort_graph import read_ort_graph

    return read_ort_graph(data)


FORMAT = ModelFormat(
    name="ort",
    summary="ort (onnxruntime's own)",
    suffixes=(".ort",),
    name_part="mobile",
    write=_write,
    precisions=("fp32", "fp16", "int8"),
    input_kinds=("pixels", "normalised"),
    from_graph=True,
    for_onnxruntime=True,
    needs_writers_onnxruntime=True,
    has_layer_names=True,
    read_graph=_read_graph,
)
