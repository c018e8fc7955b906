"""Static 8-bit quantisation of a network by onnxruntime's QDQ quantiser, and the search for the best recipe."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from fer_edge.data.faces import FaceSet
from fer_edge.export.graph.network import FACES, LOGITS
from fer_edge.export.quantization.calibration import METHODS, TrainingFaces, batches, calibrate, network_input
from fer_edge.export.quantization.sensitivity import rank_layers
from fer_edge.export.quantization.targets import Activations, Target
from fer_edge.metadata import SATURATES, SEVEN_BIT_WEIGHTS
from fer_edge.runtime.saturation import saturates

MAX_LAYERS_IN_FLOAT = 6
"""More float layers than these would undo the speed; the accuracy gate then speaks."""

ACCEPTABLE_DROP_POINTS = 0.3
"""Percentage points on held-back faces above which layers are put back into float."""

_LOGITS_BATCH = 64


@dataclass(frozen=True)
class Recipe:
    """One way to quantise."""

    method: str
    activations: Activations
    reduce_range: bool
    kept_in_float: tuple[str, ...] = ()
    """Names of layers that are not quantised."""


@dataclass(frozen=True)
class Trial:
    """What a recipe came to on the held-back training faces."""

    recipe: Recipe
    accuracy: float
    agreement: float
    """Fraction of the faces that fp32 and int8 name alike."""
    logit_error: float
    """Mean absolute difference of the logits from fp32's."""

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return {
            "method": self.recipe.method,
            "activations": self.recipe.activations.name,
            "kept_in_float": list(self.recipe.kept_in_float),
            "accuracy": self.accuracy,
            "agreement": self.agreement,
            "logit_error": self.logit_error,
        }


@dataclass(frozen=True, kw_only=True)
class Found:
    """The best way to quantise and how it was found."""

    best: Trial
    float_accuracy: float
    """Of the fp32 network on the same held-back faces."""
    trials: tuple[Trial, ...]
    target: Target
    calibration_faces: int
    held_back_faces: int

    def to_dict(self) -> dict[str, Any]:
        """What the metadata state about it; plain types."""
        return {
            "method": self.best.recipe.method,
            "activations": self.best.recipe.activations.name,
            "weights": SEVEN_BIT_WEIGHTS if self.best.recipe.reduce_range else "int8",
            "target": self.target.name,
            "meant_for": self.target.meant_for,
            "kept_in_float": list(self.best.recipe.kept_in_float),
            "calibration_faces": self.calibration_faces,
            "held_back_faces": self.held_back_faces,
            "held_back_accuracy": {"fp32": self.float_accuracy, "int8": self.best.accuracy},
            "trials": [trial.to_dict() for trial in self.trials],
        }


@dataclass(frozen=True, kw_only=True)
class Quantised(Found):
    """The best quantised network."""

    network: onnx.ModelProto


@dataclass(frozen=True, kw_only=True)
class QuantisedFile(Found):
    """What a format's own quantiser made."""

    data: bytes
    """The model file in 8 bits, without metadata."""
    float_data: bytes
    """The same in float32."""
    float_parts: tuple[str, ...]
    """What is never quantised, in words."""
    saturates: bool
    """Whether its runtime's sums of 8-bit products may overflow on some processor."""

    def to_dict(self) -> dict[str, Any]:
        """As of ``Found``, and what else the metadata state."""
        return {**super().to_dict(), "float_parts": list(self.float_parts), SATURATES: self.saturates}


@dataclass(frozen=True)
class _Judge:
    """The held-back faces and what the fp32 network says to them."""

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    logits: NDArray[np.float32]

    def accuracy(self, logits: NDArray[np.float32]) -> float:
        return float((logits.argmax(axis=1) == self.labels).mean())

    def try_out(self, network: onnx.ModelProto, recipe: Recipe) -> Trial:
        logits = run_network(network, self.inputs)
        return Trial(
            recipe,
            self.accuracy(logits),
            agreement=float((logits.argmax(axis=1) == self.logits.argmax(axis=1)).mean()),
            logit_error=float(np.abs(logits - self.logits).mean()),
        )


def find_best(
    network: onnx.ModelProto,
    faces: TrainingFaces,
    mean: float,
    std: float,
    target: Target,
    *,
    acceptable_drop_points: float = ACCEPTABLE_DROP_POINTS,
    note: Callable[[str], None] = lambda _: None,
) -> Quantised:
    """Try each calibration method with each of the target's activation types on ``network`` (faces to logits).

    The best by accuracy on the held-back faces wins (see choose). If even it loses more than ``acceptable_drop_points``
    there, the layers that quantisation harms most (see rank_layers) go back to float32, one at a time, until it
    does not.
    """
    inputs = network_input(faces.calibration.faces, mean, std)
    judge = _make_judge(network, faces.held_back, mean, std)
    float_accuracy = judge.accuracy(judge.logits)
    ranges: dict[str, Any] = {}
    trials: list[Trial] = []
    for method in METHODS:
        note(f"calibrating int8 on {len(inputs)} training faces: {method}")
        ranges[method] = calibrate(network, inputs, method)
        for activations in target.activations:
            recipe = Recipe(method, activations, target.reduce_range)
            trials.append(judge.try_out(quantise(network, ranges[method], recipe), recipe))
    best = choose(trials, len(faces.held_back))
    best_network = quantise(network, ranges[best.recipe.method], best.recipe)
    most_sensitive: Sequence[str] = ()
    while 100 * (float_accuracy - best.accuracy) > acceptable_drop_points:
        most_sensitive = most_sensitive or rank_layers(network, best_network, inputs[:_LOGITS_BATCH])
        kept = (*best.recipe.kept_in_float, *most_sensitive[:1])
        most_sensitive = most_sensitive[1:]
        if not most_sensitive or len(kept) > MAX_LAYERS_IN_FLOAT:
            break
        note(
            f"{100 * (float_accuracy - best.accuracy):.2f} points lost on held-back faces: {kept[-1]} stays in float32"
        )
        recipe = Recipe(best.recipe.method, best.recipe.activations, target.reduce_range, kept)
        best_network = quantise(network, ranges[recipe.method], recipe)
        best = judge.try_out(best_network, recipe)
        trials.append(best)
    return Quantised(
        network=best_network,
        best=best,
        float_accuracy=float_accuracy,
        trials=tuple(trials),
        target=target,
        calibration_faces=len(faces.calibration),
        held_back_faces=len(faces.held_back),
    )


def choose(trials: Sequence[Trial], faces: int) -> Trial:
    """The best of ``trials`` by accuracy on ``faces`` held-back faces; among equals, the one nearest to fp32's logits.

    Equal is what a standard error cannot tell apart: answers differ on a fraction d of the faces, so two accuracies
    differ by chance by about sqrt(d / faces).
    """
    highest = max(trial.accuracy for trial in trials)
    equals = [trial for trial in trials if highest - trial.accuracy <= math.sqrt(max(1 - trial.agreement, 0) / faces)]
    return min(equals, key=lambda trial: trial.logit_error)


def quantise(network: onnx.ModelProto, ranges: Any, recipe: Recipe) -> onnx.ModelProto:
    """``network`` with QuantizeLinear and DequantizeLinear around its layers, weights int8 per channel.

    The logits stay float32: rounding them to 256 steps would cost accuracy and save nothing.
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    copy = onnx.ModelProto()
    copy.CopyFrom(network)
    quantiser = QDQQuantizer(
        onnx.shape_inference.infer_shapes(copy),
        per_channel=True,
        reduce_range=recipe.reduce_range,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8 if recipe.activations.signed else QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=[],
        nodes_to_exclude=list(recipe.kept_in_float),
        op_types_to_quantize=sorted({*QDQRegistry, *QLinearOpsRegistry}),
        extra_options={
            "ActivationSymmetric": recipe.activations.symmetric,
            "OpTypesToExcludeOutputQuantization": ["Gemm"],
        },
    )
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it logs on the root logger that preprocessing is advised, which was done
    try:
        quantiser.quantize_model()
    finally:
        logger.setLevel(level)
    quantised: onnx.ModelProto = quantiser.model.model
    quantised.ir_version = network.ir_version
    _drop_unused_opsets(quantised)
    return quantised


def run_network(network: onnx.ModelProto, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits (N, C) of a network on normalised faces (N, 1, S, S), by onnxruntime on the CPU."""
    from fer_edge.runtime.graph_session import graph_session

    session = graph_session(network.SerializeToString(), full_precision=saturates())
    return np.concatenate([session.run([LOGITS], {FACES: batch})[0] for batch in batches(inputs, _LOGITS_BATCH)])


def _make_judge(network: onnx.ModelProto, held_back: FaceSet, mean: float, std: float) -> _Judge:
    inputs = network_input(held_back.faces, mean, std)
    return _Judge(inputs, held_back.labels, run_network(network, inputs))


def _drop_unused_opsets(model: onnx.ModelProto) -> None:
    used = {node.domain for node in model.graph.node} | {""}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
