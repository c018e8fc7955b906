"""Verify a model file against its checkpoint: parity, and on request layer by layer and for preprocessing mistakes."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from fer_edge.backends.contract import ModelBackend
from fer_edge.backends.registry import format_of, in_words, open_model
from fer_edge.errors import ModelError
from fer_edge.export.card.tables import markdown_table
from fer_edge.export.exporter import JudgingFaces, given_faces, judging_faces, load_reference
from fer_edge.export.formats.registry import all_formats, format_named
from fer_edge.export.graph.network import export_network
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.export.parity.comparison import Parity, measure_parity
from fer_edge.export.parity.divergence import LayerDifference, compare_layers, first_divergence
from fer_edge.export.parity.report import parity_markdown, parity_summary, plot_parity
from fer_edge.export.parity.skew import Skew, measure_skew
from fer_edge.export.parity.tolerance import check_max_drop
from fer_edge.metadata import ModelMetadata
from fer_edge.training.checkpoint import CheckpointInfo

_LAYER_FACES = 16
"""Faces that layers are compared on: every value between layers is held in memory, on both sides."""


@dataclass(frozen=True)
class VerifyRequest:
    """What to compare, and how far to look."""

    model: Path
    checkpoint: Path
    data: str | None = None
    skip_bad: bool = False
    """Leave out files and rows of ``data`` that cannot be read."""
    divergence: bool = False
    """Compare layer by layer."""
    skew: bool = False
    """Measure what mistakes in preparing faces would cost."""
    trust: bool = False
    max_drop_points: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be measured. Raises ModelError or UsageError."""
        check_max_drop(self.max_drop_points, has_labels=self.data is not None)
        if self.skew and self.data is None:
            raise ModelError("expected --data with --skew: what a mistake costs is measured on labelled faces")
        if self.divergence and not format_named(format_of(self.model)).has_layer_names:
            able = [one for one in all_formats().values() if one.has_layer_names]
            suffixes = in_words([one.suffixes[0] for one in able])
            raise ModelError(
                f"{self.model}: expected an {suffixes} file with --divergence, because other formats lose the layers' "
                f"names; export the checkpoint as {in_words([one.name for one in able])} too"
            )


@dataclass(frozen=True)
class Verification:
    """Everything that was measured."""

    parity: Parity
    layers: tuple[LayerDifference, ...] | None
    skew: Skew | None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for ``--json``."""
        found: dict[str, Any] = {"parity": self.parity.to_dict()}
        if self.layers is not None:
            divergence = first_divergence(self.layers)
            name = divergence.name if divergence else None
            layers = [{**asdict(layer), "parts": layer.diverges} for layer in self.layers]
            found |= {
                "first_divergence": name,
                "first_parting": name,  # the key of earlier versions, as is "parts" of a layer
                "layers": layers,
            }
        if self.skew is not None:
            found["skew"] = found["drift"] = self.skew.to_dict()  # "drift": the key of earlier versions
        return found

    def summary(self) -> str:
        """The figures for a terminal."""
        parts = [parity_summary(self.parity)]
        if self.layers is not None:
            parts += [_layer_table(self.layers), _layer_result(self.layers)]
        if self.skew is not None:
            parts.append(self.skew.markdown())
        return "\n\n".join(parts)

    def markdown(self) -> str:
        """All of it as a Markdown document."""
        parts = [parity_markdown(self.parity).rstrip()]
        if self.layers is not None:
            parts += ["## Layer by layer", _layer_result(self.layers), _layer_table(self.layers)]
        if self.skew is not None:
            parts += ["## What mistakes in preprocessing cost", self.skew.markdown()]
        return "\n\n".join(parts) + "\n"

    def plot(self, path: Path) -> None:
        """The plot of the differences."""
        plot_parity(self.parity, path)


def verify_model(request: VerifyRequest, note: Callable[[str], None] = lambda _: None) -> Verification:
    """Open the model, compare its metadata and its answers, from image files on, with its checkpoint, and look closer
    where asked to.

    Raises ModelError, CheckpointError or DataError.
    """
    backend = open_model(request.model, trust=request.trust)
    reference, info = load_reference(request.checkpoint)
    faces = judging_faces(
        info.image_size,
        given_faces(info, request.data, request.skip_bad),
    )
    note(f"comparing {request.model} with {info.path}")
    parity = measure_parity(
        reference,
        backend,
        faces.probes,
        labelled=faces.labelled,
        source=faces.source,
        max_drop_points=request.max_drop_points,
    )
    parity = replace(parity, failures=(*_metadata_failures(backend.metadata, info), *parity.failures))
    layers = _compare_layers(request.model, backend, reference, faces) if request.divergence else None
    skew = None
    if request.skew and faces.labelled is not None:
        note("measuring what mistakes in preprocessing cost")
        skew = measure_skew(reference, faces.labelled, faces.source)
    return Verification(parity, layers, skew)


def _metadata_failures(metadata: ModelMetadata, info: CheckpointInfo) -> list[str]:
    """What the metadata say of the network and its faces, and the checkpoint does not.

    Whoever prepares faces for a raw model goes by its metadata; the comparison of answers goes by the checkpoint.
    """
    stated = (
        ("labels", list(info.labels), list(metadata.labels)),
        ("architecture", info.architecture, metadata.architecture),
        ("settings", info.settings, dict(metadata.settings)),
        ("image_size", info.image_size, metadata.image_size),
        ("mean", info.mean, metadata.mean),
        ("std", info.std, metadata.std),
    )
    return [
        f"expected {name} {expected} in the metadata, as the checkpoint has it, found {found}; export the model again"
        for name, expected, found in stated
        if expected != found
    ]


def _compare_layers(
    path: Path, backend: ModelBackend, reference: PixelsToProbabilities, faces: JudgingFaces
) -> tuple[LayerDifference, ...]:
    network = export_network(reference.classifier, reference.image_size)
    image = faces.probes[:_LAYER_FACES, :, :, None]
    return tuple(compare_layers(reference, network, onnx.load(path), backend.metadata.precision, image))


def _layer_result(layers: tuple[LayerDifference, ...]) -> str:
    divergence = first_divergence(layers)
    if divergence is None:
        return "Checkpoint and model agree in every layer, within the precision of the model."
    weight = "a weight is not the checkpoint's, and " if divergence.weight_error > 1 else ""
    return (
        f"Checkpoint and model diverge at {divergence.name} ({divergence.kind}), the first layer that differs by more "
        f"than rounding to the model's precision: {weight}its noise is {divergence.worst_channel_db:.1f} dB below its "
        "signal."
    )


def _layer_table(layers: tuple[LayerDifference, ...]) -> str:
    rows = [
        (
            layer.name,
            layer.kind,
            f"{layer.sqnr_db:.1f}",
            f"{layer.worst_channel_db:.1f}",
            f"{layer.weight_error:.3g}" if layer.weight_error else "",
            "yes" if layer.diverges else "",
        )
        for layer in layers
    ]
    return markdown_table(
        ("layer", "kind", "SQNR dB", "worst channel dB", "weight error", "diverges"), rows, right=(2, 3, 4)
    )
