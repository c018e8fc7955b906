"""Where a model spends its time, by onnxruntime's profiler: node by node, and preprocessing against the network."""

import json
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.backends.contract import NodeTime
from fer_edge.files import temporary_folder
from fer_edge.runtime.graph_session import graph_session
from fer_edge.runtime.inference import model_feed
from fer_edge.runtime.model_file import ModelFile, read_model
from fer_edge.runtime.session import run_options

PREPROCESSING_PREFIX = "preprocessing."
"""Starts the names of the graph's preprocessing nodes (fer_edge/export/graph/preprocessing.py, which needs onnx)."""

_LAST_PREPROCESSING_NODE = "faces"
_NODE_SUFFIX = "_kernel_time"
_RUNS = 30
_MAX_RUNS = 500
_WARM_UP = 5
"""Runs of _RUNS that are not counted."""
_PRECISIONS = {"float": "fp32", "float16": "fp16", "bfloat16": "bf16", "int8": "int8", "uint8": "int8"}
"""By the profiler's names of types."""


def preprocessing_share(path: Path, pixels: NDArray[np.uint8], threads: int) -> float | None:
    """Fraction (0-1) of the time in nodes that is spent before the network begins, for images uint8 (N, H, W, C).

    None for a model that has no preprocessing in its graph. Raises ModelError for a file that is no valid model.
    """
    model = read_model(path, trust=True)  # the backend has it open already
    return share_before_network(_events(model, model_feed(pixels, model.metadata), threads, _RUNS, 0.0))


def node_times(path: Path, feed: NDArray[Any], threads: int, budget_s: float) -> list[NodeTime]:
    """The time of each node for the model's own input ``feed``, in the order of execution (``node_times_of``).

    Raises ModelError for a file that is no valid model.
    """
    model = read_model(path, trust=True)
    return node_times_of(_events(model, feed, threads, _RUNS, budget_s))


def _events(model: ModelFile, feed: NDArray[Any], threads: int, min_runs: int, budget_s: float) -> list[dict[str, Any]]:
    """The profiler's events of at least ``min_runs`` runs that take ``budget_s``. Its file is gone afterwards.

    At most _MAX_RUNS: the profiler stops after a million events (onnxruntime/core/common/profiler.cc).
    """
    with temporary_folder() as folder:
        session = graph_session(model.data, threads=threads, profile_prefix=str(Path(folder) / "profile"))
        started = time.monotonic()
        for number in range(_MAX_RUNS):
            if number >= min_runs and time.monotonic() - started >= budget_s:
                break
            session.run(None, {model.metadata.input.name: feed}, run_options())
        events: list[dict[str, Any]] = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return events


def node_times_of(events: list[dict[str, Any]]) -> list[NodeTime]:
    """Name, operator, precision and time of each node from the profiler's events, in the order of execution.

    The time is the mean of the middle half of the runs: the profiler counts whole microseconds, so that a median
    would too, and the slowest runs are those that something interrupted. The first _WARM_UP runs are left out.
    """
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.get("ts", 0)):
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith(_NODE_SUFFIX):
            # Two nodes may have one name, but no two have one index.
            found[event["name"], str(event.get("args", {}).get("node_index", ""))].append(event)
    times = []
    for (name, _), runs in found.items():
        details = runs[0]["args"]
        counted = [run["dur"] for run in (runs[_WARM_UP:] or runs)]
        sizes = [int(details[key]) for key in ("activation_size", "parameter_size", "output_size") if key in details]
        times.append(
            NodeTime(
                name.removesuffix(_NODE_SUFFIX),
                str(details.get("op_name", "")),
                _precision(details.get("input_type_shape", [])),
                mean_of_middle_half(counted) / 1000,
                num_bytes=sum(sizes) if sizes else None,
            )
        )
    return times


def mean_of_middle_half(values: list[float]) -> float:
    """The interquartile mean: of ``values`` without the lowest and the highest quarter."""
    ordered = sorted(values)
    cut = len(ordered) // 4
    return statistics.fmean(ordered[cut : len(ordered) - cut])


def _precision(inputs: list[dict[str, list[int]]]) -> str:
    """Of a node, from the types of its inputs, the first of which is data."""
    types = [next(iter(one)) for one in inputs if one]
    return _PRECISIONS.get(types[0], types[0]) if types else ""


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
