"""Verify a model file against its checkpoint: parity, and on request layer by layer and for preprocessing mistakes."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fer_edge.backends.contract import ModelBackend
from fer_edge.backends.registry import format_of, in_words, open_model
from fer_edge.data.class_map import ClassMap
from fer_edge.errors import ModelError, UsageError
from fer_edge.export.card.tables import markdown_table
from fer_edge.export.checkpoint_graphs import load_reference
from fer_edge.export.faces import JudgingFaces, given_faces, judging_faces
from fer_edge.export.formats.registry import all_formats, format_named
from fer_edge.export.graph.certainty import certainty_failures, without_certainty
from fer_edge.export.graph.network import export_network
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.export.parity.comparison import Parity, measure_parity
from fer_edge.export.parity.divergence import (
    LayerDifference,
    LayerValues,
    backend_layer_values,
    compare_layers,
    first_divergence,
    layer_images,
    onnx_layer_values,
)
from fer_edge.export.parity.file_comparison import SAME_GRAPH, compare_bytes, compare_graphs
from fer_edge.export.parity.report import parity_markdown, parity_summary, plot_parity
from fer_edge.export.parity.skew import Skew, measure_skew
from fer_edge.export.parity.stated import accuracy_failures, metadata_failures
from fer_edge.export.parity.tolerance import check_max_drop
from fer_edge.export.parity.weights import layer_weight_errors, weight_errors
from fer_edge.labels import LabelSet
from fer_edge.metadata import LAYER_NOISE
from fer_edge.runtime.foreign import ForeignMetadata
from fer_edge.runtime.model_file import read_any
from fer_edge.text import listed, printable
from fer_edge.training.checkpoint import CheckpointInfo


@dataclass(frozen=True)
class VerifyRequest:
    """What to compare, and how far to look."""

    model: Path
    checkpoint: Path
    data: str | None = None
    skip_bad: bool = False
    """Leave out files and rows of ``data`` that cannot be read."""
    class_map: ClassMap | None = None
    """Which classes the folders or values of ``data`` mean; None: as the checkpoint recorded."""
    divergence: bool = False
    """Compare layer by layer."""
    skew: bool = False
    """Measure what mistakes in preparing faces would cost."""
    trust: bool = False
    max_drop_points: float | None = None
    other_writer: bool = False
    """Accept a file that is not what the versions here write, where it states others: weights, layers and answers
    judge it."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured. Raises ModelError or UsageError."""
        check_max_drop(self.max_drop_points, has_labels=self.data is not None)
        if self.skew and self.data is None:
            raise UsageError("expected --data with --skew: what a mistake costs is measured on labelled faces")
        if self.divergence and not format_named(format_of(self.model)).has_layer_names:
            able = [one for one in all_formats().values() if one.has_layer_names]
            suffixes = in_words([one.suffixes[0] for one in able])
            raise UsageError(
                f"{self.model}: expected an {suffixes} file with --divergence, because other formats lose the layers' "
                f"names; export the checkpoint as {in_words([one.name for one in able])} too"
            )


@dataclass(frozen=True)
class Verification:
    """Everything that was measured."""

    parity: Parity
    graph: str
    """What the comparison of the graphs found, or why they were not compared."""
    layers: tuple[LayerDifference, ...] | None
    skew: Skew | None
    left_out_files: Mapping[str, int] = field(default_factory=dict)
    """Files and rows of the data set that cannot be used, by kind (``fer_edge.data.left_out``)."""

    def to_dict(self) -> dict[str, Any]:
        """Plain types for ``--json``."""
        found: dict[str, Any] = {"parity": self.parity.to_dict(), "graph": self.graph}
        found["left_out_files"] = dict(self.left_out_files)
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
        parts = [f"{parity_summary(self.parity)}\n  graph: {self.graph}"]
        if self.layers is not None:
            parts += [_layer_table(self.layers), _layer_result(self.layers)]
        if self.skew is not None:
            parts.append(self.skew.markdown())
        return "\n\n".join(parts)

    def markdown(self) -> str:
        """All of it as a Markdown document."""
        parts = [parity_markdown(self.parity).rstrip(), f"Graph: {self.graph}."]
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
    if isinstance(backend.metadata, ForeignMetadata):
        raise ModelError(
            f"{request.model}: expected a model with the metadata of an export, found another maker's; its description "
            "does not say what it was made from"
        )
    reference, info = load_reference(request.checkpoint)
    _check_number_of_classes(request.model, backend.metadata.label_set, info)
    given = given_faces(info, request.data, request.skip_bad, class_map=request.class_map)
    faces = judging_faces(info.image_size, given)
    note(f"comparing {request.model} with {info.path}")
    parity = measure_parity(
        reference,
        backend,
        faces.probes,
        labelled=faces.labelled,
        source=faces.source,
        max_drop_points=request.max_drop_points,
    )
    metadata = backend.metadata
    graph, layers = "not compared: files of this format hold none that can be read", None
    model_format = format_named(metadata.format)
    model = None
    if model_format.read_graph is not None:
        model = model_format.read_graph(read_any(request.model, trust=request.trust).data)
    of_certainty: list[str] = []
    whole = model  # layers are read from it, as it was opened before
    if model is not None:
        of_certainty = certainty_failures(model, metadata.uncertainty)
        model = without_certainty(model)
    failures = [*metadata_failures(metadata, info, model), *of_certainty]
    if given is not None and parity.accuracy is not None and given.fingerprint() == info.data_fingerprint:
        failures += accuracy_failures(metadata, parity.accuracy)
    if model is not None and whole is not None:
        note("comparing its graph with the checkpoint's")
        graph, graph_failures, network = compare_graphs(
            model, metadata, model_format, reference, other_writer=request.other_writer
        )
        failures += graph_failures
        # Where the graph is the checkpoint's, rounding to 8 bits is all that is left to be wrong. Where that of
        # another writer was accepted, its layers are the next best.
        is_unproved = graph != SAME_GRAPH and not graph_failures and model_format.has_layer_names
        if request.divergence or (metadata.precision == "int8" and graph == SAME_GRAPH) or is_unproved:
            of_weights = weight_errors(network, model)
            try:
                layers = _compare_layers(backend, reference, faces, onnx_layer_values(whole), of_weights)
            except ModelError as error:
                if not failures:
                    raise
                failures.append(f"expected layers that can be compared: {error}")
    elif model_format.has_layer_names:
        note("comparing its layers and weights with the checkpoint's")
        network = export_network(reference.classifier, reference.image_size)
        of_weights = layer_weight_errors(network, backend.weights())
        layers = _compare_layers(backend, reference, faces, backend_layer_values(backend), of_weights)
        graph = f"no ONNX one; {len(layers)} layers and the weights of {len(of_weights)} were compared"
    if model_format.writes_same_bytes:
        note("exporting the checkpoint again, to compare the bytes")
        bytes_found, bytes_failures = compare_bytes(
            request.model, metadata, model_format, reference, other_writer=request.other_writer
        )
        graph = f"{bytes_found}; {graph}" if model_format.has_layer_names else bytes_found
        failures += bytes_failures
    if model_format.untried:
        graph = f"{graph}. {model_format.untried.rstrip('.')}"
    if layers is not None and first_divergence(layers) is not None:
        failures.append(_layer_result(layers))
    parity = replace(parity, failures=(*failures, *parity.failures))
    skew = None
    if request.skew and faces.labelled is not None:
        note("measuring what mistakes in preprocessing cost")
        skew = measure_skew(reference, faces.labelled, faces.source)
    return Verification(parity, graph, layers if request.divergence else None, skew, faces.left_out)


def _check_number_of_classes(model: Path, own: LabelSet, info: CheckpointInfo) -> None:
    """Raise ModelError where no answer could be compared; other names for as many classes are a failed check."""
    if len(own) != len(info.label_set):
        raise ModelError(
            f"{printable(model)}: expected the {len(info.label_set)} classes of its checkpoint {printable(info.path)} "
            f"({printable(listed(info.label_set.names, 8))}), found {len(own)} ({printable(listed(own.names, 8))}); "
            "name the checkpoint that it was made from"
        )


def _compare_layers(
    backend: ModelBackend,
    reference: PixelsToProbabilities,
    faces: JudgingFaces,
    values_of: LayerValues,
    of_weights: Mapping[str, float],
) -> tuple[LayerDifference, ...]:
    metadata = backend.metadata
    images = layer_images(faces.probes, metadata.input.channels)
    measured = (metadata.quantisation or {}).get(LAYER_NOISE)
    return tuple(
        compare_layers(
            reference,
            values_of,
            metadata.precision,
            *images,
            of_weights=of_weights,
            measured_db=_as_noise(measured),
        )
    )


def _as_noise(stated: Any) -> dict[str, float]:
    """What the metadata of an 8-bit model say of its layers; nothing of files from before it was measured."""
    layers = stated.items() if isinstance(stated, Mapping) else ()
    return {name: float(noise) for name, noise in layers if isinstance(noise, int | float)}


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
