"""Latency of models against each other: one thread, one image, in turns, so that both meet the same machine.

A turn is a few untimed runs and then the timed ones. Taking turns run by run would time neither as an app sees it: the
weights of an fp32 ResNet18 (45 MB) push those of its INT8 form (11 MB) out of the processor's cache before each of its
runs, which made it up to twice as slow.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from fer_edge.runtime.session import session_options

WARM_UP_RUNS = 3
"""Untimed runs at the start of a turn, which bring the model's weights back into the cache."""
RUNS_A_TURN = 5
MIN_TURNS, MAX_TURNS = 10, 100
BUDGET_SECONDS = 4.0
"""Time for each model; a fast model takes more than MIN_TURNS."""


@dataclass(frozen=True)
class LatencyPair:
    """Latency of one image on one CPU thread, milliseconds, of both models."""

    fp32_ms: float
    """Median over the turns."""
    int8_ms: float
    """Median over the turns."""
    speedup: float
    """Median over neighbouring turns of fp32's time over int8's."""
    runs: int
    """Timed runs of each model."""


def compare_latency(fp32: onnx.ModelProto, int8: onnx.ModelProto, image_size: int) -> LatencyPair:
    """Time both pixel models on one grey face of the training size, in turns."""
    times_ms = time_in_turns([fp32.SerializeToString(), int8.SerializeToString()], image_size)
    return LatencyPair(
        fp32_ms=float(np.median(times_ms[:, 0])),
        int8_ms=float(np.median(times_ms[:, 1])),
        speedup=float(np.median(times_ms[:, 0] / times_ms[:, 1])),
        runs=RUNS_A_TURN * len(times_ms),
    )


def time_in_turns(models: Sequence[bytes], image_size: int) -> NDArray[np.float64]:
    """Milliseconds (turns, models) that each pixel model takes for one grey face on one CPU thread.

    Each entry is the median over the runs of that turn; a row's entries are neighbours in time and may be divided.
    """
    import onnxruntime

    sessions = [
        onnxruntime.InferenceSession(model, session_options(threads=1), providers=["CPUExecutionProvider"])
        for model in models
    ]
    image = np.random.default_rng(0).integers(0, 256, (1, image_size, image_size, 1), dtype=np.uint8)
    feed = {sessions[0].get_inputs()[0].name: image}

    def turn_ms(session: onnxruntime.InferenceSession) -> float:
        for _ in range(WARM_UP_RUNS):
            session.run(None, feed)
        times_ms = []
        for _ in range(RUNS_A_TURN):
            start = time.perf_counter()
            session.run(None, feed)
            times_ms.append(1000 * (time.perf_counter() - start))
        return float(np.median(times_ms))

    turns: list[list[float]] = []
    deadline = time.perf_counter() + len(models) * BUDGET_SECONDS
    while len(turns) < MIN_TURNS or (time.perf_counter() < deadline and len(turns) < MAX_TURNS):
        turns.append([turn_ms(session) for session in sessions])
    return np.array(turns)
