"""Times of nodes from a profile with a known answer, and from real sessions, whose files are gone afterwards."""

from pathlib import Path

import numpy as np
import pytest

from fer_edge.backends import onnxruntime
from fer_edge.backends._openvino_counters import without_warm_up
from fer_edge.backends._profile import mean_of_middle_half, node_times_of
from fer_edge.backends.contract import ModelBackend
from fer_edge.errors import ModelError

TINY = Path(__file__).parent.parent / "fixtures" / "tiny.onnx"


def event(name, index, start, duration, **args):
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "ts": start,
        "dur": duration,
        "args": {"node_index": str(index), "op_name": "Conv", **args},
    }


def test_profile_with_a_known_answer():
    """Two nodes of one name, 13 runs: the first five are warm-up, and of the eight the middle four count."""
    sizes = {"activation_size": "100", "parameter_size": "20", "output_size": "3"}
    of_bytes = {"input_type_shape": [{"uint8": [1, 2]}, {"float": []}], **sizes}
    durations = [900] * 5 + [10, 12, 11, 13, 500, 12, 1, 12]  # middle: 11, 12, 12, 12
    events = [{"cat": "Session", "name": "model_run", "ts": 0, "dur": 9999}]
    for run, duration in enumerate(durations):
        events.append(event("conv", 7, 1000 * run + 10, 40, input_type_shape=[{"float": [1]}]))
        events.append(event("conv", 3, 1000 * run, duration, **of_bytes))
    first, second = node_times_of(events)
    assert (first.name, first.operator, first.precision, first.num_bytes) == ("conv", "Conv", "int8", 123)
    assert first.ms == pytest.approx((11 + 12 + 12 + 12) / 4 / 1000)
    assert (second.ms, second.precision, second.num_bytes) == (0.04, "fp32", None)


def test_mean_of_middle_half_has_parts_of_a_microsecond():
    assert mean_of_middle_half([5, 3, 4, 3, 100, 0, 4, 3]) == 3.5
    assert mean_of_middle_half([7]) == 7


def test_openvino_means_without_the_warm_up():
    """20 runs of 100 µs and then 80 of 5: their mean is 24."""
    assert without_warm_up({"a": 100.0}, {"a": 24.0, "new": 8.0}, 80) == pytest.approx({"a": 5.0, "new": 10.0})
    assert without_warm_up({"a": 100.0}, {"a": 19.0}, 80) == {"a": 0.0}


def test_every_node_of_a_real_session_is_timed_and_its_file_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    backend = onnxruntime.load(TINY, threads=1)
    nodes = backend.node_times(np.zeros((1, 48, 48, 1), np.uint8), 1, 0.0)
    assert {"Slice", "Resize", "AveragePool", "Gemm", "Softmax"} <= {one.operator for one in nodes}
    assert all(one.ms > 0 for one in nodes)
    assert not list(tmp_path.iterdir())


def test_backend_without_counters_refuses():
    class Without(ModelBackend):
        def execute(self, feed): ...

        def download(self, answer): ...

    with pytest.raises(ModelError, match="expected a runtime that counts the time of its nodes"):
        Without(TINY, None, "").node_times(None, 1, 0.0)


def test_openvino_names_the_layers_of_its_nodes():
    pytest.importorskip("openvino")
    from fer_edge.backends import openvino

    nodes = openvino.load(TINY, threads=1).node_times(np.zeros((1, 48, 48, 1), np.uint8), 1, 0.0)
    (logits,) = [one for one in nodes if "logits" in one.layers]
    assert logits.precision == "fp32"
    assert sum(one.ms for one in nodes) > 0
