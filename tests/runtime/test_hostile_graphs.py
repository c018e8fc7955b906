"""Graphs that no image classifier has: refused before onnxruntime sees them, opened where they are trusted."""

import random
from collections.abc import Callable
from pathlib import Path

import faults  # benchmarks/attacks/faults.py
import flatbuffers
import numpy as np
import onnx
import pytest
from hostile_graphs import (  # benchmarks/attacks/hostile_graphs.py
    FIELDS,
    another_domain,
    chain,
    constant_of_40_gigabytes,
    endless_loop,
    function_of_allowed_operators_alone,
    functions,
    if_node,
    rows,
    with_graph_fields,
)

from fer_edge.errors import ModelError
from fer_edge.runtime import onnx_file
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.description import describe_model
from fer_edge.runtime.model_file import read_model
from fer_edge.runtime.operators import ALLOWED
from fer_edge.runtime.ort_file import read_ort

ChangedModel = Callable[[Callable[[onnx.ModelProto], None]], Path]


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


@pytest.mark.parametrize(
    ("name", "found"),
    [*zip(FIELDS, ["2,500 nodes", "100,000 fields", "100,000 fields", "in at most 4096 bytes"], strict=True)],
)
def test_millions_of_empty_messages_are_refused_at_once(tmp_path, tiny_model, name, found) -> None:
    model = tmp_path / "many.onnx"
    model.write_bytes(with_graph_fields(tiny_model.read_bytes(), FIELDS[name]))
    with pytest.raises(ModelError, match=found):
        read_model(model)


def test_operators_that_need_not_end_or_run_other_code_are_not_among_those_allowed() -> None:
    for name in ("Loop", "If", "Scan", "SequenceMap", "ConstantOfShape", "Tile", "Range", "OneHot", "RandomNormal"):
        assert name not in ALLOWED
    assert {name.rpartition(".")[0] for name in ALLOWED} == {"", "com.microsoft"}


@pytest.mark.parametrize(("slice_to", "found"), [(1, r"\(1, 7\)"), (0, r"\(0, 7\)")])
def test_a_model_that_answers_with_other_rows_than_images_is_refused(changed_model, slice_to, found) -> None:
    classifier = Classifier.load(changed_model(rows(slice_to)))
    with pytest.raises(ModelError, match=rf"expected logits of shape 3 images, classes, found {found}"):
        classifier.probabilities(np.zeros((3, 48, 48, 1), np.uint8))


def as_ort(model: Path) -> Path:
    """The same model in onnxruntime's own format."""
    data = faults.as_ort(model.read_bytes())
    assert data is not None
    path = model.with_suffix(".ort")
    path.write_bytes(data)
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


def test_tables_that_share_a_long_string_are_not_read_one_by_one() -> None:
    text = b"x" * 2**20
    builder = flatbuffers.Builder()
    shared = builder.CreateString(text)
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, shared, 0)
    entry = builder.EndObject()
    builder.StartVector(4, 50_000, 4)
    for _ in range(50_000):
        builder.PrependUOffsetTRelative(entry)
    entries = builder.EndVector()
    builder.StartObject(10)
    builder.PrependUOffsetTRelativeSlot(9, entries, 0)
    model = builder.EndObject()
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(1, model, 0)
    builder.Finish(builder.EndObject())
    with pytest.raises(ModelError, match="strings of more bytes than the file"):
        read_ort(bytes(builder.Output()), "m")
