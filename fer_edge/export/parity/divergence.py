"""Where checkpoint and model diverge: their intermediate outputs, layer by layer, matched by name."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from fer_edge.backends.contract import ModelBackend
from fer_edge.errors import ModelError
from fer_edge.export.graph.fixed_shape import with_any_batch
from fer_edge.export.graph.network import FACES, LOGITS
from fer_edge.export.graph.preprocessing import is_raw
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.export.parity.figures import SQNR_CEILING_DB, sqnr_db
from fer_edge.export.parity.probes import TINT
from fer_edge.export.parity.weights import DEQUANTISED
from fer_edge.metadata import NORMALISED
from fer_edge.runtime.graph_session import graph_session
from fer_edge.runtime.session import onnxruntime_errors

DIVERGENCE_DB = {"fp32": 80.0, "fp16": 35.0, "int8": 10.0}
"""A layer diverges when the noise in its worst channel is above this many decibels below the layer's mean signal.
Rounding alone leaves 110 dB and more in float32, 50 and more in float16, and 20 and more in int8, whose steps add
up."""
NOISE_MARGIN_DB = 6.0
"""How much less signal over noise a layer of an 8-bit model may have than was measured at its export, on other faces.
Of the shipped models, sound, the layers are at most 4 dB apart between synthetic and FER-2013's faces."""
_LAYER_FACES = 16
"""Every value between layers is held in memory, on both sides."""


@dataclass(frozen=True)
class LayerDifference:
    """One layer's output on both sides."""

    name: str
    """The torch module; ``:2`` for its second call."""
    kind: str
    """The torch class, or ``preprocessing``."""
    sqnr_db: float
    worst_channel_db: float
    """Mean signal of all channels over the noise of the worst one, in decibels."""
    weight_error: float
    """The largest error of a weight over what rounding to the model's precision explains; 0 for a layer without."""
    diverges: bool
    """Whether the noise or a weight is beyond what the model's precision explains."""


LayerValues = Callable[[NDArray[np.uint8], NDArray[np.float32], Collection[str]], Mapping[str, NDArray[np.float32]]]
"""Gives a model's values between layers: of images uint8 (N, H, W, channels), of which the second argument are the
prepared faces, those whose names (the third) it keeps."""


def compare_layers(
    reference: PixelsToProbabilities,
    values_of: LayerValues,
    precision: str,
    *images: NDArray[np.uint8],
    of_weights: Mapping[str, float],
    measured_db: Mapping[str, float] | None = None,
) -> list[LayerDifference]:
    """Every layer that both sides name, in the order of the checkpoint's execution, on uint8 (N, H, W, channels).

    Of several ``images`` each layer has the figures of those on which it differs most. ``of_weights`` are the errors of
    its weights (``weight_errors``): one wrong 8-bit weight among thousands hardly shows in a layer's output.
    ``measured_db`` is what ``layer_noise`` found at the export of an 8-bit model.

    Raises ModelError when no name is shared, as in a file that another exporter wrote.
    """
    found: dict[str, LayerDifference] = {}
    for image in images:
        for layer in _on_one(reference, values_of, precision, image, of_weights, measured_db or {}):
            before = found.get(layer.name, layer)
            found[layer.name] = replace(
                layer,
                sqnr_db=min(layer.sqnr_db, before.sqnr_db),
                worst_channel_db=min(layer.worst_channel_db, before.worst_channel_db),
                diverges=layer.diverges or before.diverges,
            )
    return list(found.values())


def layer_images(faces: NDArray[np.uint8], channels: Sequence[int]) -> list[NDArray[np.uint8]]:
    """The first faces of uint8 (N, S, S), grey, and tinted in as many ``channels`` as a model takes beside one."""
    grey = faces[:_LAYER_FACES, :, :, np.newaxis]
    tinted = (grey * np.array([*TINT, 1.0], np.float32)).astype(np.uint8)
    return [grey if count == 1 else tinted[..., :count] for count in channels]


def layer_noise(layers: Iterable[LayerDifference]) -> dict[str, float]:
    """What the metadata of an 8-bit model keep of its layers: their signal over noise, in decibels."""
    return {layer.name: round(layer.sqnr_db, 1) for layer in layers}


def _on_one(
    reference: PixelsToProbabilities,
    values_of: LayerValues,
    precision: str,
    image: NDArray[np.uint8],
    of_weights: Mapping[str, float],
    measured_db: Mapping[str, float],
) -> list[LayerDifference]:
    with torch.inference_mode():
        faces = reference.faces(torch.from_numpy(np.array(image)))
    of_checkpoint = outputs_of_modules(reference.classifier, faces)
    of_model = values_of(image, faces.numpy(), of_checkpoint.keys())
    if len(of_model) < 2:  # the preprocessing or the logits alone tell nothing
        raise ModelError("expected values named after the checkpoint's layers, found none; export it with fer_edge")
    layers = []
    weight_error = 0.0
    for name, (kind, expected) in of_checkpoint.items():
        weight_error = max(weight_error, of_weights.get(name, 0.0))
        if name not in of_model or of_model[name].shape != expected.shape:
            continue  # merged with the one that follows, which has the error of its weights too
        least_db = measured_db.get(name, -np.inf) - NOISE_MARGIN_DB
        found = of_model[name]
        layers.append(_difference(name, kind, expected, found, DIVERGENCE_DB[precision], least_db, weight_error))
        weight_error = 0.0
    return layers


def first_divergence(layers: Iterable[LayerDifference]) -> LayerDifference | None:
    """The first layer that diverges, or None where all are within their precision."""
    return next((layer for layer in layers if layer.diverges), None)


def outputs_of_modules(classifier: nn.Module, faces: torch.Tensor) -> dict[str, tuple[str, NDArray[np.float32]]]:
    """Class and output of every leaf module's calls by name, the prepared faces first and the logits last."""
    found: dict[str, tuple[str, NDArray[np.float32]]] = {FACES: ("preprocessing", faces.numpy())}
    calls: dict[str, int] = {}

    def keep(name: str, kind: str, output: object) -> None:
        if isinstance(output, torch.Tensor):
            calls[name] = calls.get(name, 0) + 1
            # a copy: an inplace ReLU overwrites what it is given
            found[name if calls[name] == 1 else f"{name}:{calls[name]}"] = (kind, output.detach().numpy().copy())

    hooks = [
        module.register_forward_hook(lambda module, _, output, name=name: keep(name, type(module).__name__, output))
        for name, module in classifier.named_modules()
        if next(module.children(), None) is None
    ]
    try:
        with torch.inference_mode():
            logits = classifier(faces)
    finally:
        for hook in hooks:
            hook.remove()
    found[LOGITS] = ("Linear", logits.numpy())
    return found


def _value_named(name: str, names: set[str]) -> str | None:
    dequantised = name + DEQUANTISED
    return dequantised if dequantised in names else name if name in names else None


def onnx_layer_values(model: onnx.ModelProto) -> LayerValues:
    """Those of an ONNX graph, of pixels or raw; of an 8-bit one those after rounding, where it rounds them."""
    names_there = {value for node in model.graph.node for value in node.output}

    def values_of(
        image: NDArray[np.uint8], faces: NDArray[np.float32], names: Collection[str]
    ) -> Mapping[str, NDArray[np.float32]]:
        wanted = {name: value for name in names if (value := _value_named(name, names_there)) is not None}
        if not wanted:
            return {}
        feed = {FACES: faces} if is_raw(model) else {model.graph.input[0].name: image}
        found = _values(model, feed, wanted.values())
        return {name: found[value] for name, value in wanted.items()}

    return values_of


def backend_layer_values(backend: ModelBackend) -> LayerValues:
    """Those that a backend tells of its file."""

    def values_of(
        image: NDArray[np.uint8], faces: NDArray[np.float32], names: Collection[str]
    ) -> Mapping[str, NDArray[np.float32]]:
        is_raw = backend.metadata.input.kind == NORMALISED
        return backend.layer_values(faces if is_raw else backend.prepare(image), names)

    return values_of


def _values(
    model: onnx.ModelProto, feed: Mapping[str, NDArray[np.generic]], names: Iterable[str]
) -> dict[str, NDArray[np.float32]]:
    """The values called ``names``, float32, from a run without optimisation, which would merge layers."""
    opened = with_any_batch(model)
    names = list(dict.fromkeys(names))
    known = {output.name for output in opened.graph.output}
    opened.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    with onnxruntime_errors(Path("its graph")):
        found = graph_session(opened.SerializeToString(), optimise=False).run(names, feed)
    return {name: np.asarray(value, np.float32) for name, value in zip(names, found, strict=True)}


def _difference(
    name: str,
    kind: str,
    expected: NDArray[np.float32],
    found: NDArray[np.float32],
    divergence_db: float,
    least_db: float,
    weight_error: float,
) -> LayerDifference:
    other_axes = tuple(axis for axis in range(expected.ndim) if axis != 1)
    signal = float(np.mean(np.square(expected, dtype=np.float64)))
    noise = float(np.max(np.mean(np.square(np.subtract(expected, found, dtype=np.float64)), axis=other_axes)))
    if noise == 0:
        worst_db = SQNR_CEILING_DB
    elif signal > 0 and np.isfinite(noise):
        worst_db = min(float(10 * np.log10(signal / noise)), SQNR_CEILING_DB)
    else:
        worst_db = -SQNR_CEILING_DB
    mean_db = sqnr_db(expected, found)
    diverges = worst_db < divergence_db or not mean_db >= least_db or weight_error > 1
    return LayerDifference(name, kind, mean_db, worst_db, weight_error, diverges)
