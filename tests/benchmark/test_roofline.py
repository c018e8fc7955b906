"""The bound of a layer, and probes that run."""

import numpy as np
import pytest

from fer_edge.backends.contract import NodeTime
from fer_edge.benchmark.layer_groups import TimedLayer
from fer_edge.benchmark.layer_run import node_figures
from fer_edge.benchmark.roofline import COMPUTE, MEMORY, Roofline, matrix_product, measure_bandwidth
from fer_edge.export.graph.layer_costs import Layer

ROOFLINE = Roofline(1, {"fp32": 1e9, "int8": 4e9}, {"fp32": "a", "int8": "b"}, 1e8, 2e8)


def test_bound_is_the_longer_of_work_and_bytes():
    assert ROOFLINE.bound(2_000_000, 1000, "fp32") == (2.0, COMPUTE)
    assert ROOFLINE.bound(2_000_000, 1000, "int8") == (0.5, COMPUTE)
    assert ROOFLINE.bound(2_000_000, 600_000, "fp32") == (3.0, MEMORY)
    assert ROOFLINE.bound(2_000_000, 600_000, "int64") == (3.0, MEMORY)  # no peak in it
    assert ROOFLINE.bound(0, 0, "fp32") is None


def test_figures_of_a_node():
    cost = Layer("conv", "Conv", "fp32", 2_000_000, {"w": 400}, {"x": 300}, {"y": 300})
    found = node_figures(TimedLayer(NodeTime("conv_nchwc", "Conv", "fp32", 8.0), ("conv",), cost), 32.0, ROOFLINE)
    assert (found["share"], found["bound_ms"], found["bound_by"]) == (0.25, 2.0, COMPUTE)
    assert found["fraction_of_bound"] == 0.25
    assert (found["weight_bytes"], found["activation_bytes"], found["intensity"]) == (400, 600, 2000.0)
    added = node_figures(TimedLayer(NodeTime("Reorder", "Reorder", "fp32", 1.0), (), None), 32.0, ROOFLINE)
    assert (added["bound_ms"], added["fraction_of_bound"], added["activation_bytes"]) == (None, None, None)
    known = NodeTime("Reorder", "Reorder", "fp32", 1.0, num_bytes=20_000)
    assert node_figures(TimedLayer(known, (), None), 32.0, ROOFLINE)["bound_ms"] == pytest.approx(0.1)


def test_model_that_fits_the_caches_is_bounded_by_them():
    slow = Roofline(1, {}, {}, 1.0, 1.0)
    assert slow.holding(2**20).bandwidth > 1e6
    assert slow.holding(0) is slow
    fast = Roofline(1, {}, {}, 1e18, 1e18)
    assert fast.holding(2**20).bandwidth == 1e18  # never below the memory's


@pytest.mark.parametrize("threads", [1, 2])
def test_copies_are_timed(threads):
    assert 1e7 < measure_bandwidth(threads, 2**20) < 1e13


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_probe_computes_a_product_in_its_precision(precision):
    from fer_edge.runtime.graph_session import graph_session

    session = graph_session(matrix_product(16, precision).SerializeToString(), threads=1)
    kind = {"fp32": np.float32, "fp16": np.float16, "int8": np.uint8}[precision]
    (answer,) = session.run(None, {"a": np.full((16, 16), 3, kind)})
    assert (answer.shape, answer.dtype) == ((16, 16), kind)
    assert answer.std() > 0
