import copy
import importlib
import json
from itertools import pairwise

import onnx
import pytest

from fer_edge.errors import ModelError
from fer_edge.export.graph.versions import RELEASES, Versions, read_versions, smallest_ir_version


@pytest.mark.parametrize(
    ("opset", "ir_version", "oldest"),
    [
        *[(18, 8, "1.15"), (18, 10, "1.18"), (19, 9, "1.16"), (20, 9, "1.17"), (22, 8, "1.21"), (23, 11, "1.24")],
        *[(24, 10, "1.24"), (26, 13, "1.25"), (27, 13, "1.32")],
    ],
)
def test_oldest_onnxruntime_follows_from_opset_and_ir_version(opset, ir_version, oldest):
    assert Versions(opset, ir_version).oldest_onnxruntime == oldest


def test_a_file_that_no_release_loads_is_refused():
    with pytest.raises(ModelError, match=r"expected at most opset 27 and IR version 14.*found opset 99"):
        _ = Versions(99, 8).oldest_onnxruntime


@pytest.fixture
def benchmark(repository, monkeypatch):
    """benchmarks/opsets.py and its committed result."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    script = importlib.import_module("opsets")
    return script, json.loads(script.RESULT.read_text(encoding="utf-8"))


def test_the_claim_is_what_ran(benchmark):
    script, result = benchmark
    assert script.limits(result) == [tuple(release) for release in RELEASES]
    assert set(result["releases"]["1.15.1"]["logit_difference"]) == {str(opset) for opset in range(18, 29)}


def test_raw_models_of_older_opsets_ran_on_every_release_that_is_claimed(benchmark):
    script, result = benchmark
    for release, row in result["releases"].items():
        found = row["raw_logit_difference"]
        assert list(found) == [str(opset) for opset in range(7, 19)], release
        assert all(script.runs(by_precision) for by_precision in found.values()), release
        assert [opset for opset in found if "int8" in found[opset]] == ["13", "14", "15", "16", "17", "18"]
    assert Versions(7, 4).oldest_onnxruntime == "1.15"  # none before it was asked


def test_a_release_counts_for_no_opset_that_one_precision_refuses_or_answers_otherwise(benchmark):
    script, result = benchmark
    refused = copy.deepcopy(result)
    refused["releases"]["1.16.3"]["logit_difference"]["19"]["int8"] = "Could not find an implementation"
    assert script.limits(refused)[1] == ("1.17", 20, 9)
    otherwise = copy.deepcopy(result)
    otherwise["releases"]["1.15.0"]["logit_difference"]["18"]["fp32"] = 0.5
    assert script.limits(otherwise)[0] == ("1.16", 19, 9)


def test_a_file_of_opset_19_is_not_for_onnxruntime_1_15(benchmark):
    result = benchmark[1]["releases"]
    assert all("opset19" in reason for reason in result["1.15.1"]["logit_difference"]["19"].values())
    assert Versions(19, smallest_ir_version(19)).oldest_onnxruntime == "1.16"


def test_releases_are_in_order_and_their_limits_rise():
    numbers = [tuple(map(int, release.version.split("."))) for release in RELEASES]
    assert numbers == sorted(numbers)
    for older, newer in pairwise(RELEASES):
        assert newer.opset >= older.opset
        assert newer.ir_version >= older.ir_version
        assert newer[1:] != older[1:]


def test_versions_are_read_from_the_model():
    model = onnx.helper.make_model(
        onnx.helper.make_graph([], "g", [], []),
        opset_imports=[onnx.helper.make_opsetid("", 19), onnx.helper.make_opsetid("com.microsoft", 1)],
        ir_version=9,
    )
    assert read_versions(model) == Versions(19, 9)
    del model.opset_import[0]
    with pytest.raises(ModelError, match=r"expected one opset of the standard operators, found \[\]"):
        read_versions(model)


def test_opset_18_came_with_ir_version_8():
    assert smallest_ir_version(18) == 8
