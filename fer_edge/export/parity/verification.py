"""Verify a model file against its checkpoint: parity, and on request layer by layer and for preprocessing mistakes."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from fer_edge.errors import ModelError
from fer_edge.export.candidate import Candidate, format_of, open_candidate
from fer_edge.export.card.tables import markdown_table
from fer_edge.export.exporter import JudgingFaces, judging_faces, load_reference
from fer_edge.export.graph.network import export_network
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.export.parity.comparison import Parity, measure_parity
from fer_edge.export.parity.divergence import LayerDifference, compare_layers, first_parting
from fer_edge.export.parity.report import draw_parity, parity_markdown, parity_summary
from fer_edge.export.parity.skew import Drift, measure_drift
from fer_edge.export.parity.tolerance import check_max_drop
from fer_edge.metadata import ModelMetadata
from fer_edge.training.checkpoint import CheckpointInfo
from fer_edge.training.evaluate import faces_of

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
    locate: bool = False
    drift: bool = False
    trust: bool = False
    max_drop_points: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be measured. Raises ModelError or UsageError."""
        check_max_drop(self.max_drop_points, has_labels=self.data is not None)
        if self.drift and self.data is None:
            raise ModelError("expected --data with --drift: what a mistake costs is measured on labelled faces")
        if self.locate and format_of(self.model) != "onnx":
            raise ModelError(
                f"{self.model}: expected an .onnx file with --locate, because other formats lose the layers' names; "
                "export the checkpoint as onnx too"
            )


@dataclass(frozen=True)
class Verification:
    """Everything that was measured."""

    parity: Parity
    layers: tuple[LayerDifference, ...] | None
    drift: Drift | None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for ``--json``."""
        found: dict[str, Any] = {"parity": self.parity.to_dict()}
        if self.layers is not None:
            parting = first_parting(self.layers)
            found["first_parting"] = parting.name if parting else None
            found["layers"] = [asdict(layer) for layer in self.layers]
        if self.drift is not None:
            found["drift"] = self.drift.to_dict()
        return found

    def summary(self) -> str:
        """The figures for a terminal."""
        parts = [parity_summary(self.parity)]
        if self.layers is not None:
            parts += [_layer_table(self.layers), _layer_verdict(self.layers)]
        if self.drift is not None:
            parts.append(self.drift.markdown())
        return "\n\n".join(parts)

    def markdown(self) -> str:
        """All of it as a Markdown document."""
        parts = [parity_markdown(self.parity).rstrip()]
        if self.layers is not None:
            parts += ["## Layer by layer", _layer_verdict(self.layers), _layer_table(self.layers)]
        if self.drift is not None:
            parts += ["## What mistakes in preprocessing cost", self.drift.markdown()]
        return "\n\n".join(parts) + "\n"

    def draw(self, path: Path) -> None:
        """The picture of the differences."""
        draw_parity(self.parity, path)


def verify_model(request: VerifyRequest, note: Callable[[str], None] = lambda _: None) -> Verification:
    """Open the model, compare its card and its answers, from image files on, with its checkpoint, and look closer where
    asked to.

    Raises ModelError, CheckpointError or DataError.
    """
    candidate = open_candidate(request.model, trust=request.trust)
    reference, info = load_reference(request.checkpoint)
    faces = judging_faces(
        info.image_size,
        faces_of(info, request.data, skip_bad=request.skip_bad) if request.data is not None else None,
    )
    note(f"comparing {request.model} with {info.path}")
    parity = measure_parity(
        reference,
        candidate,
        faces.probes,
        labelled=faces.labelled,
        source=faces.source,
        max_drop_points=request.max_drop_points,
    )
    parity = replace(parity, failures=(*_card_failures(candidate.card, info), *parity.failures))
    layers = _compare_layers(request.model, candidate, reference, faces) if request.locate else None
    drift = None
    if request.drift and faces.labelled is not None:
        note("measuring what mistakes in preprocessing cost")
        drift = measure_drift(reference, faces.labelled, faces.source)
    return Verification(parity, layers, drift)


def _card_failures(card: ModelMetadata, info: CheckpointInfo) -> list[str]:
    """What the card says of the network and its faces, and the checkpoint does not.

    Whoever prepares faces for a raw model goes by its card; the comparison of answers goes by the checkpoint.
    """
    stated = (
        ("architecture", info.architecture, card.architecture),
        ("settings", info.settings, dict(card.settings)),
        ("image_size", info.image_size, card.image_size),
        ("mean", info.mean, card.mean),
        ("std", info.std, card.std),
    )
    return [
        f"expected {name} {expected} in the card, as the checkpoint has it, found {found}; export the model again"
        for name, expected, found in stated
        if expected != found
    ]


def _compare_layers(
    path: Path, candidate: Candidate, reference: PixelsToProbabilities, faces: JudgingFaces
) -> tuple[LayerDifference, ...]:
    network = export_network(reference.classifier, reference.image_size)
    image = faces.probes[:_LAYER_FACES, :, :, None]
    return tuple(compare_layers(reference, network, onnx.load(path), candidate.card.precision, image))


def _layer_verdict(layers: tuple[LayerDifference, ...]) -> str:
    parting = first_parting(layers)
    if parting is None:
        return "Checkpoint and model agree in every layer, within the precision of the model."
    weight = "a weight is not the checkpoint's, and " if parting.weight_error > 1 else ""
    return (
        f"Checkpoint and model part at {parting.name} ({parting.kind}), the first layer that differs by more than "
        f"rounding to the model's precision: {weight}its noise is {parting.worst_channel_db:.1f} dB below its signal."
    )


def _layer_table(layers: tuple[LayerDifference, ...]) -> str:
    rows = [
        (
            layer.name,
            layer.kind,
            f"{layer.sqnr_db:.1f}",
            f"{layer.worst_channel_db:.1f}",
            f"{layer.weight_error:.3g}" if layer.weight_error else "",
            "yes" if layer.parts else "",
        )
        for layer in layers
    ]
    return markdown_table(
        ("layer", "kind", "SQNR dB", "worst channel dB", "weight error", "parts"), rows, right=(2, 3, 4)
    )
