"""The four file formats, each as sealed bytes with its card inside."""

import io
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import onnx
import torch
from torch import nn

from fer_edge.errors import ModelError
from fer_edge.metadata import METADATA_KEY, ModelMetadata
from fer_edge.runtime.checksum import add_checksum, content_hash_of_zip, verify_zip_checksum

ONNXRUNTIME_FORMATS = ("onnx", "ort")
"""Formats that onnxruntime runs; the others need torch, and loading them runs code."""

_EXAMPLE_SHAPE = (2, 61, 53, 3)
"""Traced with: no two dimensions alike and none of them 1, so that none is mistaken for another or for a constant."""


def onnx_bytes(model: onnx.ModelProto, card: ModelMetadata) -> bytes:
    """``model`` with ``card`` in its metadata, sealed. A card that was there before is replaced."""
    return add_checksum(_with_card(model, card).SerializeToString(), card.name)


def ort_bytes(model: onnx.ModelProto, card: ModelMetadata) -> bytes:
    """``model`` in onnxruntime's own format with ``card`` in its metadata, sealed.

    Optimised to the extended level only: the level above fixes memory layouts that suit this machine's CPU alone.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.log_severity_level = 3  # it warns that optimised files suit similar machines; the level sees to that
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ort"
        options.optimized_model_filepath = str(path)
        content = _with_card(model, card).SerializeToString()
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return add_checksum(path.read_bytes(), card.name)


def torchscript_bytes(module: nn.Module, card: ModelMetadata) -> bytes:
    """``module`` (pixels to probabilities and logits) traced to TorchScript, sealed.

    TorchScript is deprecated in current PyTorch; pt2 is its successor.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the deprecation, which the command says in its own words
        traced = torch.jit.trace(module.eval(), (torch.zeros(_EXAMPLE_SHAPE, dtype=torch.uint8),), check_trace=False)

        def save(stream: io.BytesIO, text: str) -> None:
            torch.jit.save(traced, stream, _extra_files={METADATA_KEY: text})

        return _sealed_zip(save, card)


def pt2_bytes(module: nn.Module, card: ModelMetadata) -> bytes:
    """``module`` (pixels to probabilities and logits) as a torch.export program of dynamic batch, height and width."""
    batch, height, width = (torch.export.Dim(name, min=1, max=2**15) for name in ("batch", "height", "width"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations inside torch.export
        program = torch.export.export(
            module.eval(),
            (torch.zeros(_EXAMPLE_SHAPE, dtype=torch.uint8),),
            dynamic_shapes=({0: batch, 1: height, 2: width},),
        )

        def save(stream: io.BytesIO, text: str) -> None:
            torch.export.save(program, stream, extra_files={METADATA_KEY: text})

        return _sealed_zip(save, card)


def _with_card(model: onnx.ModelProto, card: ModelMetadata) -> onnx.ModelProto:
    labelled = onnx.ModelProto()
    labelled.CopyFrom(model)
    kept = {entry.key: entry.value for entry in model.metadata_props if entry.key != METADATA_KEY}
    onnx.helper.set_model_props(labelled, {**kept, METADATA_KEY: card.to_json()})
    labelled.producer_name, labelled.producer_version = "fer_edge", card.versions["fer_edge"]
    return labelled


def _sealed_zip(save: Callable[[io.BytesIO, str], None], card: ModelMetadata) -> bytes:
    """Save once to learn the digest, which leaves the card out, and once more with the card that states it."""
    unsealed = io.BytesIO()
    save(unsealed, card.to_json())
    sealed = io.BytesIO()
    save(sealed, card.with_checksum(content_hash_of_zip(unsealed.getvalue(), card.name)).to_json())
    verify_zip_checksum(sealed.getvalue(), card.name)  # raises ModelError should torch ever write two files differently
    return sealed.getvalue()


def refuse_precision(file_format: str, precision: str) -> None:
    """Raises ModelError for a precision that the format cannot hold."""
    if precision != "fp32" and file_format not in ONNXRUNTIME_FORMATS:
        raise ModelError(
            f"expected --format {' or '.join(ONNXRUNTIME_FORMATS)} with --precision {precision}, found {file_format}"
        )
