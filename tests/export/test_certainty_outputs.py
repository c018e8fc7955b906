"""A calibrated graph says what the runtime says, in every opset, and 'verify' finds one that says otherwise."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from uncertainties import uncertainty

from fer_edge.errors import ModelError
from fer_edge.export.formats.onnx import onnx_bytes
from fer_edge.export.graph.certainty import certainty_failures, with_certainty, without_certainty
from fer_edge.export.parity.verification import VerifyRequest, verify_model
from fer_edge.export.uncertainty import write_uncertainty
from fer_edge.metadata import ModelMetadata
from fer_edge.runtime.certainty import Certainty
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.inference import softmax
from fer_edge.runtime.model_file import read_model
from fer_edge.uncertainty import CERTAINTY_OUTPUTS, PredictionSets, Uncertainty

LABELS = ("calm", "glad", "sad", "odd")
NEAR = 1e-5
"""From a threshold, where float32 and float64 may part."""


def logits_alone(opset: int) -> onnx.ModelProto:
    """A model whose logits are its input."""
    sides = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", len(LABELS))) for name in ("in", "logits")
    ]
    graph = helper.make_graph([helper.make_node("Identity", ["in"], ["logits"])], "alone", sides[:1], sides[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def answers(model: onnx.ModelProto, logits: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip(CERTAINTY_OUTPUTS, session.run(list(CERTAINTY_OUTPUTS), {"in": logits}), strict=True))


@pytest.mark.parametrize("opset", [8, 12, 13, 17, 18, 21])
def test_the_graph_judges_as_the_runtime_does(opset: int) -> None:
    stated = uncertainty(LABELS)
    logits = np.random.default_rng(0).normal(0, 4, (2000, len(LABELS))).astype(np.float32)
    model = with_certainty(logits_alone(opset), stated)
    onnx.checker.check_model(model, full_check=True)
    found = answers(model, logits)
    certainty = Certainty.of(stated)
    assert certainty.threshold is not None
    judged = certainty.judge_all(softmax(logits), LABELS)
    confidence = np.array([one.calibrated_confidence for one in judged])
    calibrated = found["calibrated_probabilities"]
    np.testing.assert_allclose(calibrated.max(axis=1), confidence, atol=1e-6)
    is_clear = np.abs(confidence - certainty.threshold) > NEAR
    certain = np.array([one.is_certain for one in judged])
    assert 0.2 < certain.mean() < 0.8
    np.testing.assert_array_equal(found["is_certain"][is_clear, 0], certain[is_clear])
    is_clear = (np.abs(1 - calibrated - stated.sets[0].threshold) > NEAR).all(axis=1)
    sets = [{LABELS[at] for at in np.flatnonzero(row)} for row in found["candidates"]]
    assert {len(one) for one in sets} >= {1, 2}
    assert [one for one, clear in zip(sets, is_clear, strict=True) if clear] == [
        set(one.candidates) for one, clear in zip(judged, is_clear, strict=True) if clear
    ]


def test_without_a_threshold_nothing_is_certain_and_the_best_guess_is_always_a_candidate() -> None:
    stated = uncertainty(LABELS, thresholds=(None, None, None), lac=0.0)
    found = answers(with_certainty(logits_alone(18), stated), np.eye(4, dtype=np.float32) * 200)
    assert not found["is_certain"].any()
    np.testing.assert_array_equal(found["candidates"], np.eye(4, dtype=bool))


def test_other_candidates_than_lacs_are_refused_with_the_way_out() -> None:
    stated = uncertainty(LABELS)
    with pytest.raises(ModelError, match=r"expected candidates by lac .* calibrate with --sidecar"):
        with_certainty(logits_alone(18), replace(stated, sets=stated.sets[::-1]))


def test_taken_out_again_the_graph_is_as_it_was() -> None:
    plain = logits_alone(18)
    assert without_certainty(with_certainty(plain, uncertainty(LABELS))) == plain


def test_of_a_graph_without_them_nothing_is_taken_out() -> None:
    plain = logits_alone(18)
    plain.graph.node[0].name = "certainty/scaled"
    assert without_certainty(plain) == plain


@pytest.fixture
def calibrated(exported_tiny: Path, tmp_path: Path) -> Path:
    """A copy of the exported model, calibrated."""
    for beside in exported_tiny.parent.glob(f"{exported_tiny.stem}.*"):
        shutil.copy(beside, tmp_path)
    path = tmp_path / exported_tiny.name
    write_uncertainty(path, uncertainty(Classifier.load(path, threads=1).labels))
    return path


def test_a_calibrated_export_is_still_its_checkpoints(calibrated: Path, tiny_run) -> None:
    verified = verify_model(VerifyRequest(calibrated, tiny_run.folder))
    assert verified.parity.failures == ()
    assert "operator by operator" in verified.graph
    session = onnxruntime.InferenceSession(str(calibrated), providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(1).integers(0, 256, (3, 40, 50, 3), np.uint8)
    by_name = dict(zip(CERTAINTY_OUTPUTS, session.run(list(CERTAINTY_OUTPUTS), {"image": pixels}), strict=True))
    for row, certain, image in zip(by_name["candidates"], by_name["is_certain"], pixels, strict=True):
        told = Classifier.load(calibrated, threads=1).predict(image)
        assert told.is_certain == bool(certain[0])
        assert set(told.candidates) == {label for label, is_in in zip(told.probabilities, row, strict=True) if is_in}


def lower_threshold(model: onnx.ModelProto) -> None:
    (constant,) = [one for one in model.graph.initializer if one.name == "certainty/threshold"]
    constant.CopyFrom(numpy_helper.from_array(np.float32(0.01), constant.name))


def swap_nodes(model: onnx.ModelProto) -> None:
    (node,) = [one for one in model.graph.node if one.name == "certainty/is_certain"]
    node.op_type = "Less"


def rewire(model: onnx.ModelProto) -> None:
    (node,) = [one for one in model.graph.node if one.name == "certainty/scaled"]
    node.input[0] = "probabilities"


def rename(model: onnx.ModelProto) -> None:
    """A node that is left, of a value that is taken out with the others."""
    (node,) = [one for one in model.graph.node if one.name == "certainty/is_certain"]
    node.name = "other"


@pytest.mark.parametrize("damage", [lower_threshold, swap_nodes, rewire, rename])
def test_verify_finds_outputs_that_say_something_else(
    calibrated: Path, tiny_run, damage: Callable[[onnx.ModelProto], None]
) -> None:
    model = onnx.load(calibrated)
    damage(model)
    calibrated.write_bytes(onnx_bytes(model, read_model(calibrated).metadata.with_checksum("0" * 64)))
    calibrated.with_suffix(".json").unlink()
    (line,) = verify_model(VerifyRequest(calibrated, tiny_run.folder, divergence=True)).parity.failures
    assert line.startswith("expected outputs calibrated_probabilities, is_certain, candidates by the thresholds")


def test_outputs_of_a_graph_that_nobody_calibrated_are_found() -> None:
    assert certainty_failures(with_certainty(logits_alone(18), uncertainty(LABELS)), None)
    assert certainty_failures(logits_alone(18), None) == []


@pytest.mark.parametrize("change", ["uncertainty", "outputs"])
def test_metadata_that_contradict_themselves_are_refused(calibrated: Path, change: str) -> None:
    stated = json.loads(read_model(calibrated).metadata.to_json())
    if change == "uncertainty":
        stated["uncertainty"]["sets"][0]["classes"].popitem()
    else:
        stated["outputs"][3]["dtype"] = "float32"
    with pytest.raises(ModelError, match=f"{change}"):
        ModelMetadata.from_json(json.dumps(stated))


def test_sets_are_those_of_the_metadata() -> None:
    """The planted ones: a class is a candidate from 1 - 0.7 on."""
    stated: Uncertainty = replace(
        uncertainty(LABELS),
        temperature=1.0,
        sets=(PredictionSets("lac", 0.9, 0.7, 1, 2.0, dict.fromkeys(LABELS, (1, 1))),),
    )
    rows = np.log(np.array([[0.34, 0.33, 0.32, 0.01], [0.5, 0.31, 0.1, 0.09]], np.float32))
    found = answers(with_certainty(logits_alone(18), stated), rows)
    np.testing.assert_array_equal(found["candidates"], [[1, 1, 1, 0], [1, 1, 0, 0]])
    np.testing.assert_array_equal(found["is_certain"], [[False], [False]])
