"""Compares what a card claims with what the file around it holds: an app prepares its input by the card alone."""

from pathlib import Path
from typing import Any

from fer_edge.errors import ModelError
from fer_edge.metadata import SUFFIXES, ModelMetadata
from fer_edge.runtime.onnx_file import OnnxFile

_QUANTISERS = ("QuantizeLinear", "DequantizeLinear")


def check_format(path: Path, card: ModelMetadata, content: str | None = None) -> None:
    """Refuse (ModelError) a card of another format than the file's name, and than ``content`` where that is known."""
    by_name = {suffix: file_format for file_format, suffix in SUFFIXES.items()}.get(path.suffix)
    for found in (content, by_name):
        if found is not None and card.format != found:
            raise _differs(path, "format", found, card.format)


def check_graph(path: Path, card: ModelMetadata, onnx: OnnxFile) -> None:
    """Refuse (ModelError) a card whose opset, IR version or precision is not that of the ONNX graph."""
    if card.opset != onnx.opset:
        raise _differs(path, "opset", onnx.opset, card.opset)
    if card.ir_version != onnx.ir_version:
        raise _differs(path, "ir_version", onnx.ir_version, card.ir_version)
    is_quantised = any(onnx.operators[operator] for operator in _QUANTISERS)
    if is_quantised != (card.precision == "int8"):
        graph = "int8 (the graph quantises)" if is_quantised else "fp32 or fp16 (nothing in the graph quantises)"
        raise _differs(path, "precision", graph, card.precision)


def _differs(path: Path, field: str, file_value: Any, card_value: Any) -> ModelError:
    return ModelError(
        f"{path}: card field '{field}': expected {file_value}, as the file has it, found {card_value}; export again"
    )
