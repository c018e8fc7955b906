"""The layers of a model file or a checkpoint."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_edge.errors import MissingExtraError, ModelError
from fer_edge.export.formats.registry import all_formats, format_named
from fer_edge.runtime.inference import model_feed
from fer_edge.runtime.model_file import read_any

if TYPE_CHECKING:
    from fer_edge.export.graph.layer_costs import Layer
    from fer_edge.metadata import ModelMetadata
    from fer_edge.runtime.foreign_files import Description


@dataclass(frozen=True)
class ModelLayers:
    """What the layers of a file cost, for one run."""

    path: Path
    input_shape: tuple[int, ...]
    images: int
    """In one run."""
    layers: tuple["Layer", ...]

    @property
    def multiply_adds(self) -> int:
        """Of all layers."""
        return sum(one.multiply_adds for one in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Of all layers, a weight that several use once."""
        return sum({key: value for one in self.layers for key, value in one.weights.items()}.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        from fer_edge.export.graph.layer_costs import uncounted

        return {
            "input_shape": list(self.input_shape),
            "images": self.images,
            "multiply_adds": self.multiply_adds,
            "weight_bytes": self.weight_bytes,
            "activation_bytes": sum(one.activation_bytes for one in self.layers),
            "uncounted_operators": uncounted(self.layers),
            "layers": [one.to_dict() for one in self.layers],
        }


def layers_of_model(
    path: Path, *, batch: int = 1, trust: bool = False, description: "Description | None" = None
) -> ModelLayers:
    """The layers of an exported model, for ``batch`` faces of its own size; a model of a fixed batch keeps that.

    Raises ModelError as read_any does, and for a format that holds no graph that can be read; MissingExtraError
    without the package onnx.
    """
    require_onnx()
    checked = read_any(path, trust=trust, description=description)
    read_graph = format_named(checked.metadata.format).read_graph
    if read_graph is None:
        able = ", ".join(one.name for one in all_formats().values() if one.read_graph is not None)
        raise ModelError(
            f"{path}: expected a file that holds an ONNX graph ({able}), found {checked.metadata.format}; "
            "--layers of the .onnx file of the same checkpoint tells the same"
        )
    from fer_edge.export.graph.layer_costs import layer_costs

    shape = input_shape(checked.metadata, batch)
    try:
        layers = layer_costs(read_graph(checked.data), shape)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    return ModelLayers(path, shape, shape[0], tuple(layers))


def layers_of_checkpoint(checkpoint: Path) -> ModelLayers:
    """The layers of a checkpoint's network, from one normalised face to logits, as it would be exported in fp32.

    Raises CheckpointError, MissingExtraError.
    """
    require_onnx("train")  # which has torch, too
    from fer_edge.export.checkpoint_graphs import load_reference
    from fer_edge.export.graph.layer_costs import layer_costs
    from fer_edge.export.graph.network import export_network
    from fer_edge.training.checkpoint import checkpoint_path

    path = checkpoint_path(checkpoint)
    reference, info = load_reference(path)
    shape = (1, 1, info.image_size, info.image_size)
    return ModelLayers(path, shape, 1, tuple(layer_costs(export_network(reference.classifier, info.image_size), shape)))


def input_shape(metadata: "ModelMetadata", batch: int) -> tuple[int, ...]:
    """Of what a model is fed for ``batch`` faces of its own size, grey where it takes grey."""
    channels = 1 if 1 in metadata.input.channels else metadata.input.channels[0]
    images = metadata.input.fixed_batch or batch
    faces = np.zeros((images, metadata.image_size, metadata.image_size, channels), np.uint8)
    return tuple(model_feed(faces, metadata).shape)


def require_onnx(extra: str = "onnx") -> None:
    """Raises MissingExtraError, which names ``extra``, where the package onnx is not installed."""
    if find_spec("onnx") is None:
        raise MissingExtraError("onnx", extra)
