"""Latency of models against each other: one thread, one image, in turns."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
from numpy.typing import NDArray

from fer_edge.export.timing import RUNS_A_ROUND, time_in_turns
from fer_edge.runtime.graph_session import graph_session


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
    return time_in_turns([partial(session.run, None, feed) for session in sessions])
