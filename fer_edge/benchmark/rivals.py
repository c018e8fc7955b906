"""A checkpoint in the forms that its rivals run, made for one benchmark and not published. Needs torch and onnx."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fer_edge.export.card.metadata import describe
from fer_edge.export.exporter import load_reference
from fer_edge.export.formats.onnx import onnx_bytes, pt2_bytes, torchscript_bytes
from fer_edge.export.graph.float16 import halve
from fer_edge.export.graph.network import export_network
from fer_edge.export.graph.preprocessing import with_preprocessing
from fer_edge.export.graph.versions import read_versions
from fer_edge.export.publish import default_name
from fer_edge.training.checkpoint import checkpoint_path

if TYPE_CHECKING:
    from onnx import ModelProto


class Rivals:
    """The checkpoint ``path``, loaded once. Raises CheckpointError."""

    def __init__(self, checkpoint: Path) -> None:
        self.path = checkpoint_path(checkpoint)
        self.name = default_name(checkpoint, "onnx", "fp32", raw=False)
        self._reference, self.info = load_reference(self.path)

    def file_bytes(self, file_format: str, precision: str, name: str) -> bytes:
        """The sealed bytes of the checkpoint as ``torchscript``, ``pt2`` (fp32), or ``onnx`` of pixels (fp32, fp16).

        Raises ModelError where it cannot be exported.
        """
        if file_format != "onnx":
            card = describe(self.info, name=name, file_format=file_format)
            return (torchscript_bytes if file_format == "torchscript" else pt2_bytes)(self._reference, card)
        network = halve(self._network) if precision == "fp16" else self._network
        model = with_preprocessing(network, self.info.image_size, self.info.mean, self.info.std)
        card = describe(self.info, name=name, file_format="onnx", precision=precision, versions=read_versions(model))
        return onnx_bytes(model, card)

    @cached_property
    def _network(self) -> "ModelProto":
        return export_network(self._reference.classifier, self.info.image_size)
