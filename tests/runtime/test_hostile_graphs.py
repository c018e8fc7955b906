"""Graphs that no image classifier has: refused before onnxruntime sees them, opened where they are trusted."""

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from fer_edge.errors import ModelError
from fer_edge.metadata import METADATA_KEY
from fer_edge.runtime import onnx_file
from fer_edge.runtime.checksum import add_checksum
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.description import describe_model
from fer_edge.runtime.model_file import read_model
from fer_edge.runtime.operators import ALLOWED
from fer_edge.runtime.ort_file import read_ort

ChangedModel = Callable[[Callable[[onnx.ModelProto], None]], Path]


def before_logits(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Send the network's logits, under the name "before", through ``nodes``, which make "logits" of them."""
    for node in model.graph.node:
        for index, output in enumerate(node.output):
            if output == "logits":
                node.output[index] = "before"
    at = next(index for index, node in enumerate(model.graph.node) if node.op_type == "Softmax")
    kept = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*kept[:at], *nodes, *kept[at:]])


def value(name: str, array: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(array, name)


def endless_loop(model: onnx.ModelProto) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["still"]), helper.make_node("Identity", ["kept"], ["out"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("kept", TensorProto.FLOAT, ["batch", 7]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", 7]),
        ],
    )
    model.graph.initializer.extend([value("times", np.array(2**62, np.int64)), value("yes", np.array(True))])
    before_logits(model, [helper.make_node("Loop", ["times", "yes", "before"], ["logits"], body=body)])


def functions(model: onnx.ModelProto, count: int = 3) -> None:
    """Each calls the one before it."""
    opsets = list(model.opset_import)
    model.opset_import.append(helper.make_opsetid("own", 1))
    for index in range(count):
        call = helper.make_node(f"F{index - 1}", ["a"], ["b"], domain="own") if index else None
        node = call or helper.make_node("Identity", ["a"], ["b"])
        wanted = [*opsets, helper.make_opsetid("own", 1)]
        model.functions.append(helper.make_function("own", f"F{index}", ["a"], ["b"], [node], wanted))
    before_logits(model, [helper.make_node(f"F{count - 1}", ["before"], ["logits"], domain="own")])


def function_of_allowed_operators_alone(model: onnx.ModelProto) -> None:
    """Not called by any node, and named as an operator of ONNX is."""
    node = helper.make_node("Identity", ["a"], ["b"])
    model.functions.append(helper.make_function("", "Relu", ["a"], ["b"], [node], list(model.opset_import)))


def another_domain(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("some.where", 1))
    before_logits(model, [helper.make_node("Custom", ["before"], ["logits"], domain="some.where")])


def if_node(model: onnx.ModelProto) -> None:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["before"], ["out"])],
        "branch",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", 7])],
    )
    model.graph.initializer.append(value("yes", np.array(True)))
    before_logits(model, [helper.make_node("If", ["yes"], ["logits"], then_branch=branch, else_branch=branch)])


def constant_of_40_gigabytes(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(value("shape", np.array([100_000, 100_000], np.int64)))
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
        helper.make_node("Add", ["before", "sum"], ["logits"]),
    ]
    before_logits(model, nodes)


def chain(count: int) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        names = ["before", *(f"link{index}" for index in range(count)), "logits"]
        pairs = pairwise(names)
        before_logits(model, [helper.make_node("Identity", [one], [other]) for one, other in pairs])

    return change


OTHER_OPERATORS = {
    endless_loop: "Loop",
    functions: "3 functions of its own, own.F2, own.F0 and 1 more",
    function_of_allowed_operators_alone: "1 functions of its own",
    another_domain: "some.where.Custom",
    if_node: "If",
    constant_of_40_gigabytes: "ConstantOfShape",
}


@pytest.mark.parametrize(("change", "named"), OTHER_OPERATORS.items(), ids=lambda one: getattr(one, "__name__", ""))
def test_a_graph_with_other_operators_is_refused_by_their_names(changed_model: ChangedModel, change, named) -> None:
    model = changed_model(change)
    with pytest.raises(ModelError) as refusal:
        read_model(model)
    assert str(refusal.value) == (
        f"{model}: expected the operators of image classifiers alone, found {named}; if you trust where it is from, "
        "open it with --trust (in Python: trust=True)"
    )


def test_whoever_trusts_it_may_use_it(changed_model: ChangedModel) -> None:
    model = changed_model(if_node)
    assert len(Classifier.load(model, trust=True).predict(np.zeros((48, 48), np.uint8)).probabilities) == 7
    assert describe_model(model, trust=True).operators["If"] == 1


def test_a_long_chain_of_nodes_is_refused_and_one_within_the_bound_is_not(changed_model: ChangedModel) -> None:
    with pytest.raises(ModelError, match="expected a network of at most 2,500 nodes, found more; if you trust"):
        read_model(changed_model(chain(onnx_file.MAX_NODES)))
    assert read_model(changed_model(chain(onnx_file.MAX_NODES)), trust=True).metadata.name == "tiny"
    assert read_model(changed_model(chain(1_000))).metadata.name == "tiny"


def with_graph_fields(path: Path, tiny_model: Path, fields: bytes) -> Path:
    """The tiny model, its graph followed by raw ``fields``: protobuf takes a second part of a message as its end."""
    length, more = len(fields), b""
    while True:
        more += bytes([(length & 127) | (128 if length > 127 else 0)])
        length >>= 7
        if not length:
            break
    path.write_bytes(add_checksum(tiny_model.read_bytes() + b"\x3a" + more + fields))
    return path


@pytest.mark.parametrize(
    ("field", "count", "found"),
    [
        (b"\x0a\x00", 5_000_000, "at most 2,500 nodes"),
        (b"\x2a\x00", 5_000_000, "at most 100,000 fields"),
        (b"\x6a\x00", 5_000_000, "at most 100,000 fields"),
        (b"\x6a\xff\x7f" + b"\x0a\x01a" * 5461, 1, "in at most 4096 bytes"),
    ],
    ids=["nodes", "tensors", "values", "long value"],
)
def test_millions_of_empty_messages_are_refused_at_once(tmp_path, tiny_model, field, count, found) -> None:
    model = with_graph_fields(tmp_path / "many.onnx", tiny_model, field * count)
    with pytest.raises(ModelError, match=found):
        read_model(model)


def test_operators_that_need_not_end_or_run_other_code_are_not_among_those_allowed() -> None:
    for name in ("Loop", "If", "Scan", "SequenceMap", "ConstantOfShape", "Tile", "Range", "OneHot", "RandomNormal"):
        assert name not in ALLOWED
    assert {name.rpartition(".")[0] for name in ALLOWED} == {"", "com.microsoft"}


@pytest.mark.parametrize(("slice_to", "found"), [(1, r"\(1, 7\)"), (0, r"\(0, 7\)")])
def test_a_model_that_answers_with_other_rows_than_images_is_refused(changed_model, slice_to, found) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer.extend([value("from", np.array([0])), value("to", np.array([slice_to]))])
        before_logits(model, [helper.make_node("Slice", ["before", "from", "to", "from"], ["logits"])])

    classifier = Classifier.load(changed_model(change))
    with pytest.raises(ModelError, match=rf"expected logits of shape 3 images, classes, found {found}"):
        classifier.probabilities(np.zeros((3, 48, 48, 1), np.uint8))


def as_ort(model: Path) -> Path:
    """The same model in onnxruntime's own format."""
    path = model.with_suffix(".ort")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    changed = onnx.load(model)
    (entry,) = [one for one in changed.metadata_props if one.key == METADATA_KEY]
    entry.value = entry.value.replace('"format": "onnx"', '"format": "ort"')
    onnxruntime.InferenceSession(changed.SerializeToString(), options, providers=["CPUExecutionProvider"])
    path.write_bytes(add_checksum(path.read_bytes()))
    return path


def test_ort_files_are_read_and_refused_in_the_same_way(changed_model: ChangedModel) -> None:
    sound = as_ort(changed_model(lambda model: None))
    assert Classifier.load(sound).predict(np.zeros((48, 48), np.uint8)).label
    found, metadata = read_ort(sound.read_bytes(), "m"), read_model(sound).metadata
    assert (found.opset, found.ir_version) == (metadata.opset, metadata.ir_version)
    looping = as_ort(changed_model(endless_loop))
    with pytest.raises(ModelError, match="expected the operators of image classifiers alone, found Loop; if you trust"):
        read_model(looping)
    assert read_model(looping, trust=True).metadata.name == "tiny"


def test_a_long_ort_file_is_refused(changed_model: ChangedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_edge.runtime.ort_file.MAX_NODES", 5)
    with pytest.raises(ModelError, match="expected a network of at most 5 nodes, found more; if you trust"):
        read_model(as_ort(changed_model(lambda model: None)))


def test_damaged_ort_files_are_refused_whatever_the_offset_that_is_wrong(changed_model: ChangedModel) -> None:
    data = as_ort(changed_model(lambda model: None)).read_bytes()
    for at in random.Random(7).sample(range(0, len(data) - 4, 4), 60):
        for wrong in (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00"):
            changed = data[:at] + wrong + data[at + 4 :]
            try:
                read_ort(changed, "m")  # a change of a weight is the checksum's to find
            except ModelError:
                continue
