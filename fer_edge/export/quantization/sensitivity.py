"""Which layers quantisation harms most, by the errors that onnxruntime's qdq_loss_debug measures a tensor."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from fer_edge.export.quantization.calibration import OneBatch
from fer_edge.files import temporary_folder


def tensor_errors(
    network: onnx.ModelProto, quantised: onnx.ModelProto, inputs: NDArray[np.float32]
) -> tuple[dict[str, float], dict[str, float]]:
    """SQNR in decibels of each weight, and of each value between layers before against after its own rounding."""
    from onnxruntime.quantization import qdq_loss_debug as debug

    with temporary_folder() as folder:
        paths = {name: Path(folder) / f"{name}.onnx" for name in ("float", "quantised", "float_all", "quantised_all")}
        onnx.save(network, paths["float"])
        onnx.save(quantised, paths["quantised"])
        for name in ("float", "quantised"):
            debug.modify_model_output_intermediate_tensors(paths[name], paths[f"{name}_all"])
        of_float, of_quantised = (
            debug.collect_activations(str(paths[f"{name}_all"]), OneBatch(inputs)) for name in ("float", "quantised")
        )
        matched = debug.create_activation_matching(of_quantised, of_float)
        activations = {name: error["qdq_err"] for name, error in debug.compute_activation_error(matched).items()}
        weights = debug.compute_weight_error(debug.create_weight_matching(str(paths["float"]), str(paths["quantised"])))
    return weights, activations


def rank_layers(network: onnx.ModelProto, quantised: onnx.ModelProto, inputs: NDArray[np.float32]) -> list[str]:
    """Names of the layers with weights, the one that loses most first.

    A layer's loss is the power of noise over signal that rounding adds to what it multiplies: its weights' plus its
    input's. Keeping the layer in float32 takes away both.
    """
    weights, activations = tensor_errors(network, quantised, inputs)

    def noise(sqnr_db: float | None) -> float:
        return 10 ** (-sqnr_db / 10) if sqnr_db is not None else 0.0

    losses = {
        node.name: noise(weights.get(node.input[1])) + noise(activations.get(node.input[0]))
        for node in network.graph.node
        if len(node.input) > 1 and node.input[1] in weights
    }
    return sorted(losses, key=lambda name: -losses[name])
