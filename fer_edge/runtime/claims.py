"""Compares metadata with the file around them: an app prepares its input by the metadata alone."""

from pathlib import Path
from typing import Any

from fer_edge.errors import ModelError
from fer_edge.metadata import SUFFIXES, ModelMetadata
from fer_edge.runtime.onnx_file import OnnxFile

_QUANTISERS = ("QuantizeLinear", "DequantizeLinear")


def check_format(path: Path, metadata: ModelMetadata, content: str | None = None) -> None:
    """Refuse (ModelError) metadata of another format than the file's name, and than ``content`` where that is known."""
    by_name = {suffix: file_format for file_format, suffix in SUFFIXES.items()}.get(path.suffix)
    for found in (content, by_name):
        if found is not None and metadata.format != found:
            raise _differs(path, "format", found, metadata.format)


def check_graph(path: Path, metadata: ModelMetadata, onnx: OnnxFile) -> None:
    """Refuse (ModelError) metadata whose opset, IR version or precision is not that of the ONNX graph."""
    if metadata.opset != onnx.opset:
        raise _differs(path, "opset", onnx.opset, metadata.opset)
    if metadata.ir_version != onnx.ir_version:
        raise _differs(path, "ir_version", onnx.ir_version, metadata.ir_version)
    is_quantised = any(onnx.operators[operator] for operator in _QUANTISERS)
    if is_quantised != (metadata.precision == "int8"):
        graph = "int8 (the graph quantises)" if is_quantised else "fp32 or fp16 (nothing in the graph quantises)"
        raise _differs(path, "precision", graph, metadata.precision)


def _differs(path: Path, field: str, file_value: Any, metadata_value: Any) -> ModelError:
    return ModelError(
        f"{path}: metadata field '{field}': expected {file_value}, as the file has it, found {metadata_value}; "
        "export again"
    )
