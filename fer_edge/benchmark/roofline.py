"""How fast this machine can be: the two lines of the roofline, measured (Williams, Waterman and Patterson 2009).

A layer takes no less time than its multiply-adds at the machine's peak, nor than its bytes at the bandwidth. Neither is
quoted from a data sheet. Peak is the fastest matrix product that a runtime installed here does in that precision. The
memory's bandwidth is that of copying arrays that no cache holds. A small model that runs again and again stays in the
caches, from where its bytes come faster: its bandwidth is that of copying as many bytes as it holds, again and again.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_edge.backends.registry import backend_named
from fer_edge.export.graph.layer_costs import Layer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto

COMPUTE, MEMORY = "compute", "memory"
SIZES = (256, 512, 1024)
"""Of the square matrices; the fastest counts."""
COPY_BYTES = 2**28
"""Of the array that is copied: more than a processor's own cache. Twice that passes, read and written."""
_REPEATS, _SECONDS = 10, 0.2
_OPSET, _IR = 17, 8
_HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16", "int8": "f32"}
"""OpenVINO's names."""
PRECISIONS = tuple(_HINTS)


@dataclass(frozen=True)
class Roofline:
    """Measured in one go, with so many threads."""

    threads: int
    peaks: Mapping[str, float]
    """Multiply-adds a second, by precision."""
    peak_runtimes: Mapping[str, str]
    """Which runtime reached it."""
    memory_bandwidth: float
    """Bytes a second, read and written together, of data that no cache holds."""
    bandwidth: float
    """The same of as many bytes as the model holds, which caches may hold: what bounds it."""

    def bound(self, multiply_adds: int, num_bytes: int, precision: str) -> tuple[float, str] | None:
        """The least milliseconds for that work, and which of COMPUTE and MEMORY sets them; None where nothing does.

        Work in a precision that has no peak (integers of an index) is bounded by memory alone.
        """
        compute_s = multiply_adds / self.peaks[precision] if precision in self.peaks else 0.0
        memory_s = num_bytes / self.bandwidth
        if max(compute_s, memory_s) == 0.0:
            return None
        return 1000 * max(compute_s, memory_s), COMPUTE if compute_s > memory_s else MEMORY

    def bound_of(self, layer: Layer, precision: str) -> tuple[float, str] | None:
        """As ``bound``, of a layer that runs in ``precision``."""
        return self.bound(layer.multiply_adds, layer.bytes_moved, precision or layer.precision)

    def holding(self, num_bytes: int) -> "Roofline":
        """For a model that holds so many bytes, weights and activations: measures how fast they come."""
        if not num_bytes:
            return self
        found = measure_bandwidth(self.threads, max(1, num_bytes // 2))  # as many are written as are read
        return replace(self, bandwidth=max(self.memory_bandwidth, found))

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return {
            "threads": self.threads,
            "peak_multiply_adds_per_s": {name: round(value) for name, value in self.peaks.items()},
            "peak_runtime": dict(self.peak_runtimes),
            "memory_bytes_per_s": round(self.memory_bandwidth),
        }


def measure_roofline(threads: int, precisions: tuple[str, ...] = PRECISIONS) -> Roofline:
    """Measure for so many ``threads``; some seconds. Nothing else may run meanwhile."""
    peaks: dict[str, float] = {}
    runtimes: dict[str, str] = {}
    for precision in precisions:
        for runtime, probe in _PROBES.items():
            if not backend_named(runtime).is_installed:
                continue
            found = probe(precision, threads)
            if found is not None and found > peaks.get(precision, 0.0):
                peaks[precision], runtimes[precision] = found, runtime
    bandwidth = measure_bandwidth(threads)
    return Roofline(threads, peaks, runtimes, bandwidth, bandwidth)


def measure_bandwidth(threads: int, num_bytes: int = COPY_BYTES) -> float:
    """Bytes a second of copying ``num_bytes``, a part a thread, read and written; the fastest of a few times.

    A small copy is repeated within each thread, so that starting threads takes no part of the time.
    """
    source = np.ones(num_bytes, np.uint8)
    target = np.empty_like(source)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    rounds = max(1, COPY_BYTES // 4 // num_bytes)

    def copy(part: "tuple[NDArray[np.uint8], NDArray[np.uint8]]") -> None:
        for _ in range(rounds):
            np.copyto(*part)  # numpy lets go of the interpreter's lock

    with ThreadPoolExecutor(threads) as pool:
        times = [seconds_of(lambda: list(pool.map(copy, parts))) for _ in range(_REPEATS + 1)]
    return 2 * num_bytes * rounds / min(times[1:])  # in the first, memory gets its pages


def seconds_of(work: Callable[[], object]) -> float:
    """Of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def matrix_product(size: int, precision: str) -> "ModelProto":
    """An ONNX graph of one product of square matrices ``a`` and constant weights, 8-bit as quantised models have it."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    of = {"fp16": TensorProto.FLOAT16}.get(precision, TensorProto.FLOAT)
    weights = random.uniform(-1, 1, (size, size))
    if precision != "int8":
        dtype = helper.tensor_dtype_to_np_dtype(of)
        nodes = [helper.make_node("MatMul", ["a", "w"], ["b"])]
        constants = [numpy_helper.from_array(weights.astype(dtype), "w")]
        given = result = of
    else:
        scale, zero = np.float32(1 / 127), np.uint8(128)
        constants = [
            numpy_helper.from_array(np.rint(127 * weights).astype(np.int8), "w8"),
            *(numpy_helper.from_array(np.asarray(one), name) for one, name in ((scale, "s"), (zero, "z"))),
            numpy_helper.from_array(np.asarray(np.float32(size / 127)), "sb"),
            numpy_helper.from_array(np.asarray(np.int8(0)), "zw"),
        ]
        nodes = [
            helper.make_node("DequantizeLinear", ["a", "s", "z"], ["af"]),
            helper.make_node("DequantizeLinear", ["w8", "s", "zw"], ["wf"]),
            helper.make_node("MatMul", ["af", "wf"], ["bf"]),
            helper.make_node("QuantizeLinear", ["bf", "sb", "z"], ["b"]),
        ]
        given = result = TensorProto.UINT8
    values = [helper.make_tensor_value_info(name, of_it, [size, size]) for name, of_it in (("a", given), ("b", result))]
    graph = helper.make_graph(nodes, "probe", values[:1], values[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)


def _input_of(size: int, precision: str) -> "NDArray[Any]":
    random = np.random.default_rng(1)
    if precision == "int8":
        return random.integers(0, 255, (size, size), dtype=np.uint8)
    return random.uniform(-1, 1, (size, size)).astype(np.float16 if precision == "fp16" else np.float32)


def _fastest(prepare: Callable[[int], Callable[[], object]]) -> float:
    """Multiply-adds a second of the fastest run, over all sizes."""
    best = 0.0
    for size in SIZES:
        run = prepare(size)
        run()
        run()
        started, least = time.perf_counter(), float("inf")
        for _ in range(1000):
            least = min(least, seconds_of(run))
            if time.perf_counter() - started > _SECONDS:
                break
        best = max(best, size**3 / least)
    return best


def _by_onnxruntime(precision: str, threads: int) -> float | None:
    from fer_edge.runtime.graph_session import graph_session

    if precision == "bf16":
        return None

    def prepare(size: int) -> Callable[[], object]:
        session = graph_session(matrix_product(size, precision).SerializeToString(), threads=threads)
        given = {"a": _input_of(size, precision)}
        return lambda: session.run(None, given)

    return _fastest(prepare)


def _by_openvino(precision: str, threads: int) -> float | None:
    import openvino

    if precision not in ("fp32", "int8"):  # the others only where the processor says that it has them
        capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if {"fp16": "FP16", "bf16": "BF16"}[precision] not in capabilities:
            return None

    def prepare(size: int) -> Callable[[], object]:
        core = openvino.Core()
        graph = matrix_product(size, precision).SerializeToString()
        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": _HINTS[precision]}
        request = core.compile_model(core.read_model(graph), "CPU", settings).create_infer_request()
        given = {0: _input_of(size, precision)}
        return lambda: request.infer(given, share_inputs=True, share_outputs=True)

    return _fastest(prepare)


_PROBES: Mapping[str, Callable[[str, int], float | None]] = {
    "onnxruntime": _by_onnxruntime,
    "openvino": _by_openvino,
}
