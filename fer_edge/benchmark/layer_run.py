"""``benchmark --layers``: the time of each layer, the bound that the machine sets it, and the energy of a run."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from fer_edge.backends.contract import NodeTime
from fer_edge.backends.registry import backend_named, backends, backends_for, in_words
from fer_edge.benchmark.client import Stop, Stopped, WorkerClient, WorkerError
from fer_edge.benchmark.faces import timing_faces
from fer_edge.benchmark.layer_groups import TimedLayer, timed_layers
from fer_edge.benchmark.machine import busy_cores, cpu_flags
from fer_edge.benchmark.measure import POOL, Progress
from fer_edge.benchmark.plan import Planned, plan_rows
from fer_edge.benchmark.request import BenchmarkRequest
from fer_edge.benchmark.roofline import Roofline, measure_roofline
from fer_edge.benchmark.rows import Wanted
from fer_edge.benchmark.subjects import read_subject
from fer_edge.errors import FerEdgeError, ModelError, UsageError
from fer_edge.export.graph.model_layers import layers_of_model, require_onnx
from fer_edge.files import temporary_folder, write_bytes
from fer_edge.runtime.machine import describe_machine

FORMAT, VERSION = "fer_edge layers", 1
_EXPECTED_ROW_S, _EXPECTED_PROBE_S = 5.0, 8.0


@dataclass(frozen=True)
class LayerSettings:
    """How long a row is measured."""

    profile_s: float = 1.0
    """With counters."""
    timed_s: float = 2.0
    """Without, for the latency and the energy."""


def able_backends() -> list[str]:
    """Names of those whose nodes' times can be read."""
    return [name for name, one in backends().items() if one.counts_nodes]


def check_countable(request: BenchmarkRequest) -> None:
    """Refuse (UsageError, ModelError) runtimes and files that have no counters, before anything is measured.

    Raises MissingExtraError without the package onnx, which reads graphs and makes the probe's.
    """
    require_onnx()
    able = in_words(able_backends())
    for name in request.runtimes:
        if not backend_named(name).counts_nodes:
            raise UsageError(f"--layers: expected a runtime that counts the time of its nodes ({able}), found {name}")
    if request.provider != "cpu":
        raise UsageError(f"--layers: expected --provider cpu, whose nodes can be timed, found {request.provider}")
    for path in request.models:
        subject = read_subject(path, trust=request.trust, description=request.description)
        if not any(one.counts_nodes for one in backends_for(subject.file_format)):
            raise ModelError(
                f"{path}: expected a file that {able} runs, which count the time of their nodes, found "
                f"{subject.file_format}; --layers of the .onnx file of the same checkpoint tells most of it"
            )


def run_layers(request: BenchmarkRequest, settings: LayerSettings, progress: Progress, stop: Stop) -> dict[str, Any]:
    """The figures of every row, also where a row fails or ``stop`` ends it: what is measured is kept.

    The request's runtimes have counters (``check_countable``). Raises as run_benchmark does, and WorkerError where
    every row failed.
    """
    rows: list[dict[str, Any]] = []
    failures: list[str] = []
    rooflines: dict[int, Roofline] = {}
    is_partial = False
    machine, busy = describe_machine(), busy_cores(0.5)
    with temporary_folder("layers-") as temporary:
        folder = Path(temporary)
        wanted = Wanted(request.runtimes, request.provider, request.batch_sizes, request.threads, cpu_flags())
        planned = plan_rows(request, wanted, folder, progress.note, progress.note)
        progress.begin(_EXPECTED_ROW_S * len(planned) + _EXPECTED_PROBE_S * len(request.threads))
        for one in planned:
            try:
                if one.row.threads not in rooflines:
                    progress.step(f"what this machine can do with {one.row.threads} threads", _EXPECTED_PROBE_S)
                    rooflines[one.row.threads] = measure_roofline(one.row.threads)
                if stop():
                    raise Stopped
                progress.step(f"layers of {one.row.title}", _EXPECTED_ROW_S)
                measured = _measured(one, settings, folder, stop)
                rows.append(_row(one, measured, rooflines[one.row.threads], request, progress))
            except WorkerError as error:
                failures.append(f"{one.row.title}: {error}")
                progress.note(failures[-1])
            except Stopped:
                is_partial = True
                break
    if failures and not rows:
        raise WorkerError(failures[0])
    return {
        "format": FORMAT,
        "version": VERSION,
        "machine": machine,
        "busy_cores_before": busy,
        "is_partial": is_partial,
        "failures": failures,
        "rooflines": [one.to_dict() for one in rooflines.values()],
        "rows": rows,
    }


def _measured(one: Planned, settings: LayerSettings, folder: Path, stop: Stop) -> dict[str, Any]:
    """What the row's own process says (layer_worker.py)."""
    faces = folder / f"layers-{one.subject.image_size}.npy"
    array = BytesIO()
    np.save(array, timing_faces(POOL, one.subject.image_size))
    write_bytes(faces, array.getvalue())
    with WorkerClient(one.spec(), faces, folder / "compiled", stop) as client:
        return client.ask("layers", profile_s=settings.profile_s, timed_s=settings.timed_s)


def _row(
    one: Planned, measured: dict[str, Any], roofline: Roofline, request: BenchmarkRequest, progress: Progress
) -> dict[str, Any]:
    nodes = [NodeTime(**{**node, "layers": tuple(node["layers"])}) for node in measured["nodes"]]
    try:
        layers = layers_of_model(
            one.subject.path, batch=one.row.batch, trust=True, description=one.subject.description
        ).layers
    except FerEdgeError as error:
        progress.note(f"{one.row.title}: times without bounds: {error}")
        layers = ()
    timed = timed_layers(nodes, layers)
    held = sum({key: size for layer in layers for key, size in layer.weights.items()}.values())
    roofline = roofline.holding(held + max((layer.activation_bytes for layer in layers), default=0))
    total_ms = sum(node.ms for node in nodes)
    figures = [node_figures(each, total_ms, roofline) for each in timed]
    bounds = [each["bound_ms"] for each in figures if each["bound_ms"] is not None]
    return {
        "model": one.row.model,
        "runtime": one.row.label,
        "precision": one.row.precision,
        "threads": one.row.threads,
        "images": measured["images"],
        "input_shape": measured["input_shape"],
        "latency_ms_p50": measured["latency_ms_p50"],
        "nodes_ms": total_ms,
        "multiply_adds": sum(layer.multiply_adds for layer in layers),
        "bandwidth_bytes_per_s": round(roofline.bandwidth),
        "bound_ms": sum(bounds) if bounds else None,
        **measured["energy"],
        "nodes": figures,
    }


def node_figures(one: TimedLayer, total_ms: float, roofline: Roofline) -> dict[str, Any]:
    """Time, share and bound of a node. One that the runtime added has bytes alone, where the runtime tells them."""
    node, cost = one.node, one.cost
    if cost is not None:
        bound = roofline.bound_of(cost, node.precision)
    else:
        bound = roofline.bound(0, node.num_bytes, node.precision) if node.num_bytes else None
    return {
        "name": node.name,
        "operator": node.operator,
        "precision": node.precision,
        "layers": list(one.layers),
        "ms": round(node.ms, 6),
        "share": node.ms / total_ms if total_ms else 0.0,
        "multiply_adds": cost.multiply_adds if cost else 0,
        "weight_bytes": cost.weight_bytes if cost else 0,
        "activation_bytes": cost.activation_bytes if cost else node.num_bytes,
        "intensity": round(cost.intensity, 4) if cost else 0.0,
        "bound_ms": bound[0] if bound else None,
        "bound_by": bound[1] if bound else None,
        "fraction_of_bound": bound[0] / node.ms if bound and node.ms else None,
    }
