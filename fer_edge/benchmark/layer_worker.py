"""The layers of one loaded model, inside its own process: nodes with counters, then latency and energy without."""

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmark.energy import EnergyMeter
from fer_edge.benchmark.timed_run import run_once

if TYPE_CHECKING:
    from fer_edge.backends.contract import ModelBackend

_WARM_UP, _MIN_RUNS = 5, 10


def measure_layers(
    backend: "ModelBackend", inputs: list[NDArray[np.uint8]], threads: int, command: dict[str, Any]
) -> dict[str, Any]:
    """Figures for batches of faces uint8 (N, S, S, 1), as plain values. Raises ModelError without counters."""
    images = backend.metadata.input.fixed_batch or len(inputs[0])
    batches = [np.resize(one, (images, *one.shape[1:])) for one in inputs]
    feed = backend.prepare(batches[0])
    nodes = backend.node_times(feed, threads, command["profile_s"])
    for _ in range(_WARM_UP):
        run_once(backend, batches[0], time.perf_counter)
    meter = EnergyMeter()
    latency_ms: list[float] = []
    started = time.perf_counter()
    meter.start()
    while len(latency_ms) < _MIN_RUNS or time.perf_counter() - started < command["timed_s"]:
        timing, _ = run_once(backend, batches[len(latency_ms) % len(batches)], time.perf_counter)
        latency_ms.append(timing.latency(backend.copies_apart))
    energy = meter.stop(images * len(latency_ms))
    return {
        "nodes": [one._asdict() for one in nodes],
        "images": images,
        "input_shape": list(feed.shape),
        "latency_ms_p50": float(np.median(latency_ms)),
        "energy": {**energy.to_dict(), "energy_images": images * len(latency_ms)},
    }
