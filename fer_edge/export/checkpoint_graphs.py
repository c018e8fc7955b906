"""A checkpoint as ONNX graphs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from fer_edge.data.faces import NO_LABEL, FaceData
from fer_edge.data.leaks import leaked
from fer_edge.export.faces import with_labels
from fer_edge.export.formats.registry import format_named
from fer_edge.export.graph.model import assembled
from fer_edge.export.graph.network import export_network
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.export.graph.versions import OPSET
from fer_edge.export.parity.comparison import AccuracyPair
from fer_edge.export.parity.divergence import compare_layers, layer_images, layer_noise, onnx_layer_values
from fer_edge.export.parity.weights import weight_errors
from fer_edge.export.quantization.report import QuantisationReport, report_int8, search_int8
from fer_edge.export.quantization.search import Quantised
from fer_edge.export.quantization.targets import target_named
from fer_edge.export.request import ExportRequest
from fer_edge.metadata import LAYER_NOISE
from fer_edge.training.checkpoint import CheckpointInfo, load_classifier


def load_reference(checkpoint: Path) -> tuple[PixelsToProbabilities, CheckpointInfo]:
    """The checkpoint's main head behind the reference preprocessing. Raises CheckpointError."""
    classifier, info = load_classifier(checkpoint)
    classifier.keep_main_head()
    return PixelsToProbabilities(classifier, info.image_size, info.mean, info.std).eval(), info


Search = Callable[..., Quantised]
"""Called as ``search_int8`` is."""


class CheckpointGraphs:
    """The checkpoint as ONNX graphs: the float32 network, and the model in the precision that is asked for."""

    def __init__(
        self,
        reference: PixelsToProbabilities,
        info: CheckpointInfo,
        request: ExportRequest,
        faces: FaceData | None,
        note: Callable[[str], None],
        search: Search = search_int8,
    ) -> None:
        """``search`` finds the INT8 network; several formats of one checkpoint need not search anew."""
        self._info, self._reference, self._request = info, reference, request
        self.quantised: Quantised | None = None
        if not format_named(request.file_format).from_graph:
            return
        # PyTorch writes no opset before its own oldest; a raw model is brought there when it is whole.
        self._network = export_network(reference.classifier, info.image_size, max(request.opset, OPSET))
        network = self._network
        if request.precision == "int8" and faces is not None:
            self.quantised = search(
                network,
                with_labels(faces.train),
                mean=info.mean,
                std=info.std,
                target=target_named(request.target),
                max_drop_points=request.max_drop_points,
                note=note,
            )
            network = self.quantised.network
        self.model = self._assembled(network)

    def expected(self) -> onnx.ModelProto:
        """The model in float: what a published graph must compute, but for its rounding to 8 bits."""
        return self._assembled(self._network)

    def _assembled(self, network: onnx.ModelProto) -> onnx.ModelProto:
        request = self._request
        return assembled(
            network,
            self._reference,
            precision=request.precision,
            raw=request.raw,
            opset=request.opset,
            fixed_shape=request.fixed_shape,
        )

    def quantisation(self, faces: NDArray[np.uint8]) -> dict[str, Any] | None:
        """What the metadata state of it: how it was made, and how far each layer is from the float network's."""
        if self.quantised is None:
            return None
        channels = (1,) if self._request.raw else format_named(self._request.file_format).channels
        layers = compare_layers(
            self._reference,
            onnx_layer_values(self.model),
            self._request.precision,
            *layer_images(faces, channels),
            of_weights=weight_errors(self._network, self.model),
        )
        return {**self.quantised.to_dict(), LAYER_NOISE: layer_noise(layers)}

    def report(self, accuracy: AccuracyPair, given: FaceData) -> QuantisationReport:
        """What quantisation cost and brought, with the accuracy of the file."""
        assert self.quantised is not None
        validation = given.split("validation")
        return report_int8(
            self.quantised,
            self._network,
            accuracy,
            labels=self._info.labels,
            is_leaked=leaked(given, "validation")[validation.labels != NO_LABEL],
            image_size=self._info.image_size,
            mean=self._info.mean,
            std=self._info.std,
            is_timed=format_named(self._request.file_format).for_onnxruntime,
        )
