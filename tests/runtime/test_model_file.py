import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from fer_edge.errors import ModelError
from fer_edge.metadata import METADATA_KEY
from fer_edge.runtime.checksum import add_checksum
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.model_file import read_model

ChangedModel = Callable[[Callable[[onnx.ModelProto], None]], Path]


def edit_card(edit: Callable[[str], str]) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        for entry in model.metadata_props:
            entry.value = edit(entry.value)

    return change


@pytest.fixture
def copied(tmp_path: Path, tiny_model: Path) -> Path:
    """The tiny model and its JSON, in a folder of their own."""
    shutil.copy(tiny_model.with_suffix(".json"), tmp_path)
    return Path(shutil.copy(tiny_model, tmp_path))


def test_intact_model_is_read_with_its_card(tiny_model: Path) -> None:
    model = read_model(tiny_model)
    assert model.metadata.name == "tiny"
    assert model.metadata.content_sha256.encode() in model.data
    assert model.onnx is not None
    assert model.onnx.opset == model.metadata.opset == 18


def test_model_may_travel_without_its_json(copied: Path) -> None:
    copied.with_suffix(".json").unlink()
    assert read_model(copied).metadata.name == "tiny"


def test_unchanged_model_sealed_again_still_loads(changed_model: ChangedModel) -> None:
    assert Classifier.load(changed_model(lambda model: None)).metadata.name == "tiny"


def test_bit_flips_are_refused_even_without_the_json(copied: Path) -> None:
    copied.with_suffix(".json").unlink()
    data = copied.read_bytes()
    for bit in random.Random(5).sample(range(len(data) * 8), 300):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        copied.write_bytes(changed)
        with pytest.raises(ModelError, match=r"tiny\.onnx: "):
            read_model(copied)


def test_missing_model_folder_empty_file_and_other_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere\.onnx: no such model; make one with 'fer-edge export"):
        read_model(tmp_path / "nowhere.onnx")
    with pytest.raises(ModelError, match="expected a model file, found a folder"):
        read_model(tmp_path)
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(ModelError, match="expected a model, found an empty file"):
        read_model(tmp_path / "empty.onnx")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ModelError, match="expected an ONNX model, found other bytes"):
        read_model(tmp_path / "text.onnx")
    with pytest.raises(ModelError, match=r"cannot be read: .*embedded null"):
        read_model("a\0b")


def test_pytorch_archives_are_refused_unread(tmp_path: Path) -> None:
    for suffix in (".torchscript", ".pt2", ".onnx"):
        path = tmp_path / f"model{suffix}"
        path.write_bytes(b"PK\x03\x04 whatever follows")
        with pytest.raises(ModelError, match=r"found a PyTorch archive, which needs torch and .*--trust") as raised:
            Classifier.load(path)
        assert ("after renaming it to .torchscript or .pt2 again" in str(raised.value)) == (suffix == ".onnx")


def test_model_without_a_card_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    model = onnx.load(tiny_model)
    del model.metadata_props[:]
    path = tmp_path / "plain.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"expected one entry of metadata \('fer_edge\.card'\), found none: labels"):
        read_model(path)


def test_model_with_two_cards_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    model = onnx.load(tiny_model)
    model.metadata_props.add(key=METADATA_KEY, value="{}")
    path = tmp_path / "two.onnx"
    path.write_bytes(add_checksum(model.SerializeToString()))
    with pytest.raises(ModelError, match=r"expected one entry of metadata .* found 2"):
        read_model(path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda card: card.replace('"angry", "disgust"', '"angry", "ANGRY"'),
            "metadata field 'labels': expected names that differ, found 'angry' and 'ANGRY'; export again",
        ),
        (lambda card: card.replace('"format_version": 1', '"format_version": 9'), "metadata field 'format_version': "),
        (
            lambda card: card.replace('"std": 0.25', '"std": "wide"'),
            "metadata field 'std': expected a finite number above 0, found",
        ),
        (lambda card: card[:-1], "expected metadata in JSON, found something else"),
        (lambda card: f"[{card}]", "expected metadata in JSON, found a list"),
    ],
)
def test_malformed_cards_are_refused(edit: Callable[[str], str], message: str, changed_model: ChangedModel) -> None:
    path = changed_model(edit_card(edit))
    with pytest.raises(ModelError) as raised:
        read_model(path)
    assert str(raised.value).startswith(f"{path}: {message}")


def test_external_data_is_refused_before_onnxruntime_sees_it(changed_model: ChangedModel) -> None:
    def change(model: onnx.ModelProto) -> None:
        weights = next(tensor for tensor in model.graph.initializer if tensor.name == "weights")
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value="../../etc/passwd")

    with pytest.raises(ModelError, match=r"found external data: 1 tensors kept in another file \(first: 'weights'\)"):
        read_model(changed_model(change))


def test_json_beside_the_model_must_agree(copied: Path) -> None:
    beside = copied.with_suffix(".json")
    content = json.loads(beside.read_text())
    beside.write_text(json.dumps({**content, "file_sha256": "0" * 64}))
    with pytest.raises(ModelError, match=r"tiny\.onnx: expected the SHA-256 000000000000\.\.\. that tiny\.json names"):
        read_model(copied)
    beside.write_text(json.dumps({**content, "mean": 0.4}))
    with pytest.raises(ModelError, match=r"expected the metadata in tiny\.json to be those in the model, found others"):
        read_model(copied)
    beside.write_text("{}")
    with pytest.raises(ModelError, match=r"tiny\.json: metadata field 'format_version': expected a value, found none"):
        read_model(copied)
    beside.write_text("not JSON")
    with pytest.raises(ModelError, match=r"tiny\.json: expected metadata in JSON"):
        read_model(copied)


def as_ort(model: Path, target: Path, edit: Callable[[str], str] = lambda card: card) -> Path:
    content = onnx.load(model)
    edit_card(lambda card: edit(card.replace('"format": "onnx"', '"format": "ort"')))(content)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(target)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(content.SerializeToString(), options)
    target.write_bytes(add_checksum(target.read_bytes()))
    return target


def test_ort_model_keeps_its_card_and_answers_alike(tmp_path: Path, tiny_model: Path, classifier: Classifier) -> None:
    loaded = Classifier.load(as_ort(tiny_model, tmp_path / "tiny.ort"))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 60, 50, 3), dtype=np.uint8)
    assert loaded.metadata.name == "tiny"
    assert np.allclose(loaded.probabilities(pixels), classifier.probabilities(pixels), atol=1e-6)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda card: card.replace('"format": "onnx"', '"format": "ort"'), "'format': expected onnx, as the file has"),
        (lambda card: card.replace('"opset": 18', '"opset": 17'), "'opset': expected 18, as the file has it, found 17"),
        (lambda card: card.replace('"opset": 18', '"opset": null'), "'opset': expected 18, as the file has it,"),
        (lambda card: card.replace('"ir_version": 8', '"ir_version": 9'), "'ir_version': expected 8, as the file"),
        (
            lambda card: card.replace('"precision": "fp32"', '"precision": "int8"'),
            "'precision': expected fp32 or fp16 (nothing in the graph quantises), as the file has it, found",
        ),
    ],
)
def test_claims_that_the_file_does_not_bear_out_are_refused(
    edit: Callable[[str], str], message: str, changed_model: ChangedModel
) -> None:
    path = changed_model(edit_card(edit))
    with pytest.raises(ModelError) as raised:
        read_model(path)
    assert str(raised.value).startswith(f"{path}: metadata field {message}")


def test_a_graph_that_quantises_is_int8(changed_model: ChangedModel) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node.append(onnx.helper.make_node("DequantizeLinear", ["x", "scale"], ["y"]))

    with pytest.raises(ModelError, match=r"expected int8 \(the graph quantises\), as the file has it, found fp32"):
        read_model(changed_model(change))


def test_name_of_another_format_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    shutil.copy(tiny_model, tmp_path / "tiny.ort")
    with pytest.raises(ModelError, match=r"tiny\.ort: metadata field 'format': expected ort, as the file has it"):
        read_model(tmp_path / "tiny.ort")
    shutil.copy(tiny_model, tmp_path / "tiny.bin")
    assert read_model(tmp_path / "tiny.bin").metadata.format == "onnx"


def test_damaged_ort_model_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    path = as_ort(tiny_model, tmp_path / "tiny.ort")
    data = path.read_bytes()
    for bit in random.Random(6).sample(range(len(data) * 8), 200):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(ModelError, match=r"tiny\.ort: "):
            read_model(path)


def test_a_pipe_is_refused_as_model_and_as_card_instead_of_waiting_for_it(tmp_path: Path, copied: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(ModelError, match=r"pipe.onnx: expected a file, found a device, pipe or socket"):
        read_model(tmp_path / "pipe.onnx")
    copied.with_suffix(".json").unlink()
    os.mkfifo(copied.with_suffix(".json"))
    with pytest.raises(ModelError, match=r"tiny.json: expected a file, found a device, pipe or socket"):
        read_model(copied)


def test_a_file_larger_than_any_model_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.onnx").open("wb") as stream:
        stream.truncate(2**40)  # holes: it takes no space
    with pytest.raises(ModelError, match=r"huge.onnx: expected at most 2147483648 bytes, found 1099511627776"):
        read_model(tmp_path / "huge.onnx")
