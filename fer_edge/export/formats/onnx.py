"""ONNX, which onnxruntime and most other runtimes read."""

from typing import TYPE_CHECKING

from fer_edge.export.formats.registry import ModelFormat, Source

if TYPE_CHECKING:
    import onnx

    from fer_edge.metadata import ModelMetadata


def onnx_bytes(graph: "onnx.ModelProto", metadata: "ModelMetadata") -> bytes:
    """``graph`` with ``metadata`` and their checksum in it. Metadata that were there before are replaced."""
    from fer_edge.runtime.checksum import add_checksum

    return add_checksum(with_metadata(graph, metadata).SerializeToString(), metadata.name)


def with_metadata(graph: "onnx.ModelProto", metadata: "ModelMetadata") -> "onnx.ModelProto":
    """A copy of ``graph`` that holds ``metadata``."""
    import onnx

    from fer_edge.metadata import METADATA_KEY

    labelled = onnx.ModelProto()
    labelled.CopyFrom(graph)
    kept = {entry.key: entry.value for entry in graph.metadata_props if entry.key != METADATA_KEY}
    onnx.helper.set_model_props(labelled, {**kept, METADATA_KEY: metadata.to_json()})
    labelled.producer_name, labelled.producer_version = "fer_edge", metadata.versions.get("fer_edge", "")
    return labelled


def _write(source: Source, metadata: "ModelMetadata") -> dict[str, bytes]:
    return {FORMAT.suffixes[0]: onnx_bytes(source.graph, metadata)}


def _read_graph(data: bytes) -> "onnx.ModelProto":
    import onnx

    return onnx.load_from_string(data)


FORMAT = ModelFormat(
    name="onnx",
    summary="onnx",
    suffixes=(".onnx",),
    write=_write,
    precisions=("fp32", "fp16", "int8"),
    input_kinds=("pixels", "normalised"),
    from_graph=True,
    for_onnxruntime=True,
    has_layer_names=True,
    read_graph=_read_graph,
)
