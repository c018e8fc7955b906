"""The graph of a model is its checkpoint's, operator by operator: sound ones pass, and every planted fault is found.

The faults are those of benchmarks/attacks.
"""

import onnx
import pytest
from faults import ANYWHERE, IN_8_BITS  # benchmarks/attacks/faults.py

from fer_edge.export.graph.model import assembled
from fer_edge.export.graph.network import export_network
from fer_edge.export.parity.structure import structure_failures
from fer_edge.export.quantization.calibration import calibrate, network_input
from fer_edge.export.quantization.search import Recipe, quantise
from fer_edge.export.quantization.targets import INT8_SYMMETRIC, UINT8, UINT8_SYMMETRIC


@pytest.fixture(scope="module")
def network(tiny_run) -> onnx.ModelProto:
    return export_network(tiny_run.reference.classifier, tiny_run.reference.image_size)


@pytest.fixture(scope="module")
def calibration(tiny_run, network):
    reference = tiny_run.reference
    return calibrate(network, network_input(tiny_run.faces.train.faces[:96], reference.mean, reference.std), "MinMax")


@pytest.fixture(scope="module")
def sound(tiny_run, network, calibration) -> dict[str, onnx.ModelProto]:
    """The model in float32 and in 8 bits."""
    of_7_bits = quantise(network, calibration, Recipe("MinMax", UINT8, True))
    return {
        "fp32": assembled(network, tiny_run.reference, precision="fp32", raw=False),
        "int8": assembled(of_7_bits, tiny_run.reference, precision="int8", raw=False),
    }


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_sound_models_have_the_checkpoints_graph(sound, precision) -> None:
    assert structure_failures(sound["fp32"], sound[precision]) == []


@pytest.mark.parametrize(
    ("activations", "reduce_range"), [(UINT8, False), (UINT8_SYMMETRIC, True), (INT8_SYMMETRIC, False)]
)
def test_so_have_those_of_the_other_recipes(tiny_run, network, calibration, sound, activations, reduce_range) -> None:
    quantised = quantise(network, calibration, Recipe("MinMax", activations, reduce_range))
    model = assembled(quantised, tiny_run.reference, precision="int8", raw=False)
    assert structure_failures(sound["fp32"], model) == []


def test_names_do_not_count(sound) -> None:
    renamed = onnx.ModelProto()
    renamed.CopyFrom(sound["fp32"])
    for node in renamed.graph.node:
        for values in (node.input, node.output):
            for place, value in enumerate(values):
                if value.startswith("network."):
                    values[place] = f"x{value}"
    for tensor in renamed.graph.initializer:
        if tensor.name.startswith("network."):
            tensor.name = f"x{tensor.name}"
    assert structure_failures(sound["fp32"], renamed) == []


@pytest.mark.parametrize(
    ("precision", "fault"),
    [
        pytest.param(precision, fault, id=f"{precision}: {name}")
        for precision, faults in (("fp32", ANYWHERE), ("int8", ANYWHERE | IN_8_BITS))
        for name, fault in faults.items()
    ],
)
def test_every_planted_fault_is_found(sound, precision, fault) -> None:
    broken = onnx.ModelProto()
    broken.CopyFrom(sound[precision])
    fault(broken)
    failures = structure_failures(sound["fp32"], broken)
    assert failures
    assert all("the checkpoint's graph" in line for line in failures)
