"""The kit's model in OpenVINO: pip install openvino."""

import json
from pathlib import Path

import numpy as np
import openvino


class Runtime:
    """What check.py asks of a runtime."""

    provider = None

    def __init__(self, model: Path) -> None:
        # f32: unset, it computes in bf16 where the processor can.
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
        core = openvino.Core()
        network = core.read_model(str(model))
        self.compiled = core.compile_model(network, "CPU", settings)
        self.labels = json.loads(network.get_rt_info(["fer_edge", "labels"]).value)
        self.name = f"openvino {openvino.__version__}"

    def run(self, name: str, feed: np.ndarray, outputs: list) -> list:  # type: ignore[type-arg]
        """The outputs, in that order, for the input called ``name``."""
        answer = self.compiled({name: feed})
        return [answer[output] for output in outputs]
