"""Latency of models against each other: one thread, one image, alternately, so that both meet the same machine.

A timed run is a few untimed runs and then the timed ones. Alternating image by image would time neither as an app sees
it: the weights of an fp32 ResNet18 (45 MB) push those of its INT8 form (11 MB) out of the processor's cache before each
of its runs, which made it up to twice as slow.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from fer_edge.backends.onnxruntime import graph_session

WARM_UP_RUNS = 3
"""Untimed runs at the start of a measurement, which bring the model's weights back into the cache."""
RUNS_A_ROUND = 5
MIN_ROUNDS, MAX_ROUNDS = 10, 100
BUDGET_SECONDS = 4.0
"""Time for each model; a fast model takes more than MIN_ROUNDS."""


@dataclass(frozen=True)
class LatencyPair:
    """Latency of one image on one CPU thread, milliseconds, of both models."""

    fp32_ms: float
    """Median over the rounds."""
    int8_ms: float
    """Median over the rounds."""
    speedup: float
    """Median over the rounds of fp32's time over int8's."""
    runs: int
    """Timed runs of each model."""


def compare_latency(
    fp32: onnx.ModelProto, int8: onnx.ModelProto, image_size: int, *, full_precision: bool = False
) -> LatencyPair:
    """Time both pixel models on one grey face of the training size, alternately.

    ``full_precision``: with 8-bit products added in full, as the runtime runs a model that would saturate here.
    """
    models = [fp32.SerializeToString(), int8.SerializeToString()]
    times_ms = time_alternately(models, image_size, full_precision=full_precision)
    return LatencyPair(
        fp32_ms=float(np.median(times_ms[:, 0])),
        int8_ms=float(np.median(times_ms[:, 1])),
        speedup=float(np.median(times_ms[:, 0] / times_ms[:, 1])),
        runs=RUNS_A_ROUND * len(times_ms),
    )


def time_alternately(models: Sequence[bytes], image_size: int, *, full_precision: bool = False) -> NDArray[np.float64]:
    """Milliseconds (rounds, models) that each pixel model takes for one grey face on one CPU thread.

    Each entry is the median over the runs of that round; a row's entries are neighbours in time and may be divided.
    """
    sessions = [graph_session(model, threads=1, full_precision=full_precision) for model in models]
    image = np.random.default_rng(0).integers(0, 256, (1, image_size, image_size, 1), dtype=np.uint8)
    feed = {sessions[0].get_inputs()[0].name: image}

    def round_ms(session: Any) -> float:
        for _ in range(WARM_UP_RUNS):
            session.run(None, feed)
        times_ms = []
        for _ in range(RUNS_A_ROUND):
            start = time.perf_counter()
            session.run(None, feed)
            times_ms.append(1000 * (time.perf_counter() - start))
        return float(np.median(times_ms))

    rounds: list[list[float]] = []
    deadline = time.perf_counter() + len(models) * BUDGET_SECONDS
    while len(rounds) < MIN_ROUNDS or (time.perf_counter() < deadline and len(rounds) < MAX_ROUNDS):
        rounds.append([round_ms(session) for session in sessions])
    return np.array(rounds)
