from itertools import pairwise

import onnx
import pytest

from fer_edge.errors import ModelError
from fer_edge.export.graph.versions import RELEASES, Versions, read_versions, smallest_ir_version


@pytest.mark.parametrize(
    ("opset", "ir_version", "oldest"),
    [(18, 8, "1.15"), (18, 10, "1.18"), (20, 9, "1.17"), (22, 8, "1.21"), (24, 10, "1.24"), (28, 14, "1.32")],
)
def test_oldest_onnxruntime_follows_from_opset_and_ir_version(opset, ir_version, oldest):
    assert Versions(opset, ir_version).oldest_onnxruntime == oldest


def test_a_file_that_no_release_loads_is_refused():
    with pytest.raises(ModelError, match=r"expected at most opset 28 and IR version 14.*found opset 99"):
        _ = Versions(99, 8).oldest_onnxruntime


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
