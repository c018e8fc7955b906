"""OpenVINO's own counters (PERF_COUNT, InferRequest.profiling_info): the time of each node that a compiled model runs.

The counters are means in whole microseconds of all runs so far; the first runs, in which memory is laid out, are taken
out of them. The compiled model names the layers of each node (``originalLayersNames``) and the precision it runs in.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from fer_edge.backends.contract import NodeTime

_WARM_UP = 20
_MIN_RUNS, _MAX_RUNS = 50, 20_000
_PRECISIONS = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "u8": "int8", "i8": "int8"}
_LAYERS, _PRECISION, _EXECUTED = "originalLayersNames", "runtimePrecision", "EXECUTED"


def node_times(compiled: Any, feed: NDArray[Any], budget_s: float) -> list[NodeTime]:
    """The time of each node of a model that was compiled with PERF_COUNT, for its own input ``feed``."""
    request = compiled.create_infer_request()
    for _ in range(_WARM_UP):
        request.infer({0: feed})
    before = _means_us(request.profiling_info)
    runs, started = 0, time.monotonic()
    while runs < _MAX_RUNS and (runs < _MIN_RUNS or time.monotonic() - started < budget_s):
        request.infer({0: feed})
        runs += 1
    counters = [one for one in request.profiling_info if one.status.name == _EXECUTED]
    after = without_warm_up(before, _means_us(counters), runs)
    details = {op.get_friendly_name(): op.get_rt_info() for op in compiled.get_runtime_model().get_ops()}
    return [
        NodeTime(
            one.node_name,
            one.node_type,
            _PRECISIONS.get(found := _text(details.get(one.node_name), _PRECISION), found),
            after[one.node_name] / 1000,
            tuple(filter(None, _text(details.get(one.node_name), _LAYERS).split(","))),
        )
        for one in counters
    ]


def without_warm_up(before: Mapping[str, float], after: Mapping[str, float], runs: int) -> dict[str, float]:
    """Microseconds of one of the last ``runs``, from the means after the warm-up and after all runs; at least 0."""
    return {
        name: max(0.0, (mean * (_WARM_UP + runs) - before.get(name, 0.0) * _WARM_UP) / runs)
        for name, mean in after.items()
    }


def _means_us(counters: Iterable[Any]) -> dict[str, float]:
    return {one.node_name: one.real_time.total_seconds() * 1e6 for one in counters}


def _text(details: Any, key: str) -> str:
    """A value of a node of the compiled model as text; empty where it states none."""
    if details is None or key not in details:
        return ""
    value = details[key]
    return str(getattr(value, "value", value))
