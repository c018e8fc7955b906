"""What a model's metadata state, beside what this machine works out again."""

from dataclasses import replace
from typing import Any

import onnx

from fer_edge.export.card.metadata import checkpoint_metrics, describe
from fer_edge.export.formats.registry import format_named
from fer_edge.export.graph.model import precision_of
from fer_edge.export.graph.versions import read_versions
from fer_edge.export.parity.figures import AccuracyPair
from fer_edge.metadata import NORMALISED, ModelMetadata
from fer_edge.training.checkpoint import CheckpointInfo

_RECOMPUTED = (
    *("labels", "architecture", "settings", "precision", "input", "outputs", "image_size", "mean", "std"),
    *("training_data", "opset", "ir_version", "minimum_onnxruntime"),
)
"""What the metadata state and this machine can work out again; the rest is stated alone."""
_ADDED: dict[str, Any] = {"name": "", "classes": {}, "starting_weights": ""}
"""Fields of training_data that metadata of earlier versions lack, and what stands for them."""
ACCURACY_MARGIN = 0.005
"""How far a stated accuracy (0-1) may be from the measured one, on other processors."""
_OF_GRAPHS = ("precision", "opset", "ir_version", "minimum_onnxruntime")
"""Those that are read from a graph."""


def metadata_failures(metadata: ModelMetadata, info: CheckpointInfo, graph: onnx.ModelProto | None) -> list[str]:
    """What the metadata say and neither the checkpoint nor the ``graph`` (where it can be read) does.

    Whoever prepares faces for a model goes by its metadata; the comparison of answers goes by the checkpoint.
    """
    model_format = format_named(metadata.format)
    expected = describe(
        info,
        name=metadata.name,
        model_format=model_format,
        precision=metadata.precision if graph is None else precision_of(graph),
        raw=metadata.input.kind == NORMALISED,
        fixed_shape=metadata.input.kind == NORMALISED and metadata.input.fixed_batch is not None,
        versions=None if graph is None else read_versions(graph),
    )
    # What metadata of earlier versions do not state is no wrong statement.
    unread = () if graph is not None else _OF_GRAPHS
    if model_format.needs_writers_onnxruntime:
        unread = (*unread, "minimum_onnxruntime")  # the one that wrote it, which need not be the one here
    unstated = {name: empty for name, empty in _ADDED.items() if getattr(metadata.training_data, name) == empty}
    expected = replace(expected, training_data=replace(expected.training_data, **unstated))
    plain = replace(metadata, outputs=metadata.answers)  # the others follow from them
    stated = [(name, getattr(expected, name), getattr(plain, name)) for name in _RECOMPUTED]
    failures = [
        f"expected {name} {_in_short(own)} in the metadata, as the {_source_of(name)} has it, found "
        f"{_in_short(found)}; export the model again"
        for name, own, found in stated
        if own != found and name not in unread
    ]
    if metadata.precision == "int8":
        return failures  # its accuracy was measured on the file itself
    own, found = checkpoint_metrics(info), dict(metadata.metrics)
    if any(dict(values) != dict(own.get(split, {})) for split, values in found.items()):
        failures.append(f"expected metrics {own} in the metadata, as the checkpoint has them, found {found}")
    return failures


def accuracy_failures(metadata: ModelMetadata, found: AccuracyPair) -> list[str]:
    """What an INT8 model's metadata say of its accuracy and its own answers to the same faces do not."""
    stated = metadata.metrics.get("validation", {}) if metadata.precision == "int8" else {}
    measured = {
        "accuracy": found.model,
        "accuracy_fp32": found.checkpoint,
        "macro_f1": found.metrics_of_model.macro_f1,
        "faces": float(found.faces),
    }
    # On another processor one face or the other may be rounded to another answer.
    allowed = max(ACCURACY_MARGIN, 1.5 / found.faces)
    return [
        f"expected {name} {value:.4f} in the metadata, as measured here, found {stated[name]:.4f}; "
        "export the model again"
        for name, value in measured.items()
        if isinstance(stated.get(name), int | float) and not abs(stated[name] - value) <= allowed
    ]


def _source_of(name: str) -> str:
    return "graph" if name in _OF_GRAPHS else "checkpoint"


def _in_short(value: object) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
