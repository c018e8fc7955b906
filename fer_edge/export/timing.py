"""Latency of two models against each other: one thread, one image, in turns, so that both meet the same machine."""

import time
from dataclasses import dataclass

import numpy as np
import onnx

from fer_edge.runtime.session import session_options

WARM_UP_RUNS = 10
MIN_RUNS = 40
BUDGET_SECONDS = 4.0
"""Time for each model after warm-up; a fast model is run more often than MIN_RUNS."""


@dataclass(frozen=True)
class LatencyPair:
    """Latency of one image on one CPU thread, milliseconds, of both models."""

    fp32_ms: float
    """Median."""
    int8_ms: float
    """Median."""
    speedup: float
    """Median over pairs of neighbouring runs of fp32's time over int8's."""
    runs: int
    """Timed runs of each model."""


def compare_latency(fp32: onnx.ModelProto, int8: onnx.ModelProto, image_size: int) -> LatencyPair:
    """Time both pixel models on one grey face of the training size, in turns."""
    import onnxruntime

    sessions = [
        onnxruntime.InferenceSession(
            model.SerializeToString(), session_options(threads=1), providers=["CPUExecutionProvider"]
        )
        for model in (fp32, int8)
    ]
    image = np.random.default_rng(0).integers(0, 256, (1, image_size, image_size, 1), dtype=np.uint8)
    feed = {sessions[0].get_inputs()[0].name: image}

    def timed_ms(session: onnxruntime.InferenceSession) -> float:
        start = time.perf_counter()
        session.run(None, feed)
        return 1000 * (time.perf_counter() - start)

    for session in sessions * WARM_UP_RUNS:
        session.run(None, feed)
    pairs: list[tuple[float, float]] = []
    deadline = time.perf_counter() + 2 * BUDGET_SECONDS
    while len(pairs) < MIN_RUNS or (time.perf_counter() < deadline and len(pairs) < 10 * MIN_RUNS):
        pairs.append((timed_ms(sessions[0]), timed_ms(sessions[1])))
    times = np.array(pairs)  # (runs, 2)
    return LatencyPair(
        fp32_ms=float(np.median(times[:, 0])),
        int8_ms=float(np.median(times[:, 1])),
        speedup=float(np.median(times[:, 0] / times[:, 1])),
        runs=len(pairs),
    )
