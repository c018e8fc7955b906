"""A checkpoint in the forms that the other backends run, made for one benchmark and not published. Needs torch."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.backends.contract import ModelBackend
from fer_edge.export.card.metadata import describe
from fer_edge.export.checkpoint_graphs import load_reference
from fer_edge.export.exporter import write_and_open
from fer_edge.export.formats.registry import Source, format_named
from fer_edge.export.graph.float16 import halve
from fer_edge.export.graph.network import export_network
from fer_edge.export.graph.preprocessing import with_preprocessing
from fer_edge.export.graph.versions import read_versions
from fer_edge.export.publish import default_name
from fer_edge.training.checkpoint import checkpoint_path

if TYPE_CHECKING:
    from onnx import ModelProto


class Baselines:
    """The checkpoint ``path``, loaded once. Raises CheckpointError."""

    def __init__(self, checkpoint: Path) -> None:
        self.path = checkpoint_path(checkpoint)
        self.name = default_name(checkpoint, "onnx", "fp32", raw=False)
        self._reference, self.info = load_reference(self.path)

    def write(self, file_format: str, precision: str, name: str, folder: Path) -> tuple[ModelBackend, int]:
        """Write the checkpoint as a model (fp32, fp16) into ``folder`` and load it; also the bytes of its files.

        Raises ModelError where it cannot be exported.
        """
        model_format = format_named(file_format)
        source = Source(self._reference, lambda: self._graph(precision))
        versions = read_versions(source.graph) if model_format.for_onnxruntime else None
        metadata = describe(self.info, name=name, model_format=model_format, precision=precision, versions=versions)
        files, model = write_and_open(model_format, source, metadata, folder)
        return model, sum(map(len, files.values()))

    def _graph(self, precision: str) -> "ModelProto":
        network = halve(self._network) if precision == "fp16" else self._network
        return with_preprocessing(network, self.info.image_size, self.info.mean, self.info.std)

    @cached_property
    def _network(self) -> "ModelProto":
        return export_network(self._reference.classifier, self.info.image_size)
