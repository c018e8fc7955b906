"""A checkpoint as ONNX graphs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from fer_edge.backends.contract import ModelBackend
from fer_edge.data.faces import NO_LABEL, FaceData
from fer_edge.data.leaks import leaked
from fer_edge.errors import ModelError
from fer_edge.export.faces import with_labels
from fer_edge.export.formats.registry import Source, converting, format_named
from fer_edge.export.graph.model import assembled
from fer_edge.export.graph.network import export_network
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.export.graph.versions import OPSET
from fer_edge.export.parity.divergence import (
    backend_layer_values,
    compare_layers,
    layer_images,
    layer_noise,
    onnx_layer_values,
)
from fer_edge.export.parity.figures import AccuracyPair
from fer_edge.export.parity.weights import layer_weight_errors, weight_errors
from fer_edge.export.quantization.calibration import split_training_faces
from fer_edge.export.quantization.report import (
    QuantisationReport,
    acceptable_drop,
    report_file,
    report_int8,
    search_int8,
)
from fer_edge.export.quantization.search import Found, Quantised, QuantisedFile
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
        self.quantised_file: QuantisedFile | None = None
        """By the format's own quantiser."""
        model_format = format_named(request.file_format)
        if model_format.quantiser is not None and request.precision == "int8" and faces is not None:
            with converting(model_format):
                self.quantised_file = model_format.quantiser(
                    Source(reference, self._no_graph),
                    split_training_faces(with_labels(faces.train)),
                    acceptable_drop(request.max_drop_points),
                    note,
                )
        if not model_format.from_graph:
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

    @staticmethod
    def _no_graph() -> onnx.ModelProto:
        raise ModelError("expected a format that is made from an ONNX graph to ask for one")

    @property
    def found(self) -> Found | None:
        """How the model was quantised; None in float."""
        return self.quantised or self.quantised_file

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
        if self.quantised_file is not None:
            return self.quantised_file.to_dict()  # its layers are compared when it is opened: noise_of
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

    def noise_of(self, backend: ModelBackend, faces: NDArray[np.uint8]) -> dict[str, Any] | None:
        """As ``quantisation``, with how far each layer of the opened file is from the checkpoint's."""
        if self.quantised_file is None or not format_named(self._request.file_format).has_layer_names:
            return None if backend.metadata.quantisation is None else dict(backend.metadata.quantisation)
        network = export_network(self._reference.classifier, self._reference.image_size)
        layers = compare_layers(
            self._reference,
            backend_layer_values(backend),
            self._request.precision,
            *layer_images(faces, backend.metadata.input.channels),
            of_weights=layer_weight_errors(network, backend.weights()),
        )
        return {**self.quantised_file.to_dict(), LAYER_NOISE: layer_noise(layers)}

    def report(self, accuracy: AccuracyPair, given: FaceData) -> QuantisationReport:
        """What quantisation cost and brought, with the accuracy of the file."""
        validation = given.split("validation")
        is_leaked = leaked(given, "validation")[validation.labels != NO_LABEL]
        if self.quantised_file is not None:
            return report_file(self.quantised_file, accuracy, labels=self._info.labels, is_leaked=is_leaked)
        assert self.quantised is not None
        return report_int8(
            self.quantised,
            self._network,
            accuracy,
            labels=self._info.labels,
            is_leaked=is_leaked,
            image_size=self._info.image_size,
            mean=self._info.mean,
            std=self._info.std,
            is_timed=format_named(self._request.file_format).for_onnxruntime,
        )
