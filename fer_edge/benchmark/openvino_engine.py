"""OpenVINO on the CPU, from the same ONNX file, at a fixed input shape.

Fixed, because OpenVINO 2026.4 answers the dynamic graph with no rows at all or crashes; a fixed shape is also what its
users are told to take for speed (https://docs.openvino.ai, "Working with Dynamic Shapes").
"""

from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from fer_edge.benchmark.engine import EngineSpec, HostEngine, model_input
from fer_edge.errors import ModelError
from fer_edge.evaluation.metrics import softmax
from fer_edge.metadata import NORMALISED, ModelMetadata
from fer_edge.runtime.model_file import read_model

_PRECISION_HINTS = {"fp32": "f32", "int8": "f32", "bf16": "bf16"}
"""What OpenVINO computes in where a layer is not quantised. Unset, it takes bf16 wherever the processor has it."""


def open_openvino(spec: EngineSpec) -> "OpenVinoEngine":
    """Compile the model for this CPU. Raises ModelError for a file that is refused, or that OpenVINO cannot compile."""
    card = read_model(spec.path).card
    size = spec.image_size
    raw = card.input.kind == NORMALISED
    shape = [spec.batch, 1, size, size] if raw else [spec.batch, size, size, 1]
    try:
        core = openvino.Core()
        model = core.read_model(spec.path)
        model.reshape(shape)
        compiled = core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_NUM_THREADS": spec.threads,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY" if spec.batch == 1 else "THROUGHPUT",
                "INFERENCE_PRECISION_HINT": _PRECISION_HINTS[spec.precision],
            },
        )
        return OpenVinoEngine(compiled.create_infer_request(), card)
    except RuntimeError as error:
        raise ModelError(f"{spec.path}: openvino cannot run it: {' '.join(str(error).split())[-300:]}") from error


class OpenVinoEngine(HostEngine):
    """One infer request of a compiled model."""

    def __init__(self, request: Any, card: ModelMetadata) -> None:
        self._request = request
        self._card = card

    def prepare(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """The pixels, or for a raw model the normalised faces (N, 1, S, S)."""
        return model_input(pixels, self._card)

    def run(self, feed: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities (N, 7)."""
        answer = self._request.infer({0: feed}, share_inputs=True)  # without a copy, as onnxruntime takes them
        if self._card.input.kind == NORMALISED:
            return softmax(answer["logits"]).astype(np.float32)
        return np.asarray(answer["probabilities"], np.float32)
