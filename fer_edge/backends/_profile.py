"""Where a model of pixels spends its time: its own preprocessing against the network, by onnxruntime's profiler."""

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.backends.onnxruntime import graph_session
from fer_edge.files import temporary_folder
from fer_edge.runtime.inference import model_feed
from fer_edge.runtime.model_file import read_model
from fer_edge.runtime.session import run_options

PREPROCESSING_PREFIX = "preprocessing."
"""Starts the names of the graph's preprocessing nodes (fer_edge/export/graph/preprocessing.py, which needs onnx)."""

_LAST_PREPROCESSING_NODE = "faces"
_NODE_SUFFIX = "_kernel_time"
_RUNS = 30


def preprocessing_share(path: Path, pixels: NDArray[np.uint8], threads: int) -> float | None:
    """Fraction (0-1) of the time in nodes that is spent before the network begins, for images uint8 (N, H, W, C).

    None for a model that has no preprocessing in its graph. Raises ModelError for a file that is no valid model.
    """
    model = read_model(path, trust=True)  # the backend has it open already
    with temporary_folder() as folder:
        session = graph_session(model.data, threads=threads, profile_prefix=str(Path(folder) / "profile"))
        for _ in range(_RUNS):
            session.run(None, {model.metadata.input.name: model_feed(pixels, model.metadata)}, run_options())
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return share_before_network(events)


def share_before_network(events: list[dict[str, Any]]) -> float | None:
    """The share from the profiler's events: nodes up to the last preprocessing one, medians over the runs.

    By order, not by name alone: onnxruntime's optimiser adds nodes with names of its own in between.
    """
    durations: dict[str, list[float]] = defaultdict(list)  # in the order of execution
    for event in sorted(events, key=lambda event: event.get("ts", 0)):
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith(_NODE_SUFFIX):
            durations[event["name"].removesuffix(_NODE_SUFFIX)].append(event["dur"])
    names = list(durations)
    marked = [
        place
        for place, name in enumerate(names)
        if name.startswith(PREPROCESSING_PREFIX) or name == _LAST_PREPROCESSING_NODE
    ]
    if not marked:
        return None
    medians = [statistics.median(durations[name]) for name in names]
    return sum(medians[: marked[-1] + 1]) / sum(medians)
