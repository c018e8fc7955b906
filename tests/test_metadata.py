import json
import re
from dataclasses import replace
from typing import Any

import pytest
from uncertainties import uncertainty

from fer_edge.errors import ModelError
from fer_edge.labels import FERPLUS
from fer_edge.metadata import (
    NO_CHECKSUM,
    SUFFIXES,
    InputContract,
    ModelMetadata,
    TensorContract,
    TrainingData,
    read_sidecar,
    sidecar_json,
)

CARD = ModelMetadata(
    name="faces",
    format="onnx",
    architecture="resnet18",
    settings={"stem": "small"},
    precision="int8",
    input=InputContract(
        name="image",
        dtype="uint8",
        shape=("batch", "height", "width", "channels"),
        kind="pixels",
        channels=(1, 3, 4),
        colour="grey, RGB or RGBA; alpha is dropped",
    ),
    outputs=(
        TensorContract("probabilities", "float32", ("batch", 7)),
        TensorContract("logits", "float32", ("batch", 7)),
    ),
    image_size=48,
    mean=0.5,
    std=0.25,
    training_data=TrainingData("fer2013", "ab" * 32, seed=3),
    metrics={"validation": {"accuracy": 0.7}},
    versions={"torch": "2.13.0"},
    created="2026-01-31T12:00:00+00:00",
    opset=18,
    ir_version=10,
    minimum_onnxruntime="1.18",
    quantisation={"method": "entropy"},
    limits="Not for judging people.",
)


def raw(**changes: Any) -> dict[str, Any]:
    return {**json.loads(CARD.to_json()), **changes}


def test_uncertainty_survives_json_and_is_left_out_where_there_is_none() -> None:
    assert "uncertainty" not in CARD.to_json()
    calibrated = replace(CARD, uncertainty=uncertainty())
    assert ModelMetadata.from_json(calibrated.to_json()) == calibrated
    assert read_sidecar(sidecar_json(calibrated, "ef" * 32), where="faces.json")[0] == calibrated
    for key, value, expected in (
        ("temperature", 0, "'uncertainty.temperature': expected a number above 0, found 0"),
        ("risks", [], "'uncertainty.risks': expected a list of objects, found []"),
        ("confidence_level", 1.5, "'uncertainty.confidence_level': expected a number between 0 and 1, found 1.5"),
    ):
        wrong = json.loads(calibrated.to_json())
        wrong["uncertainty"][key] = value
        with pytest.raises(ModelError, match=re.escape(expected)):
            ModelMetadata.from_mapping(wrong)


INPUT = raw()["input"]
DATA = raw()["training_data"]


def test_card_survives_json() -> None:
    assert ModelMetadata.from_json(CARD.to_json()) == CARD
    assert ModelMetadata.from_json(CARD.to_json(indent=2).encode()) == CARD
    bare = replace(CARD, opset=None, ir_version=None, minimum_onnxruntime=None, quantisation=None, format="pt2")
    assert ModelMetadata.from_json(bare.to_json()) == bare


def test_card_is_ascii_whatever_its_names_are() -> None:
    card = replace(CARD, name="gesichter-ü-顔")
    assert card.to_json().isascii()
    assert ModelMetadata.from_json(card.to_json()).name == "gesichter-ü-顔"


def test_unknown_keys_are_ignored() -> None:
    assert ModelMetadata.from_mapping(raw(added_later=1)) == CARD


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "'format_version': expected 1 (another version of fer_edge made it), found 2"),
        ({"labels": ["angry"]}, "'labels': expected 2 to 1000 names, found 1"),
        ({"labels": [f"class {at}" for at in range(1001)]}, "'labels': expected 2 to 1000 names, found 1001"),
        ({"labels": ["sad", "SAD"]}, "'labels': expected names that differ, found 'sad' and 'SAD'"),
        (
            {"labels": ["sad", "glad\n"]},
            "'labels[1]': expected text that can be shown, without control characters, found glad\\n",
        ),
        ({"labels": ["sad", 3]}, "'labels': expected a list of names, found ['sad', 3]"),
        ({"labels": "angry"}, "'labels': expected a list of names, found angry"),
        ({"name": ""}, "'name': expected text, found"),
        ({"format": "h5"}, f"'format': expected one of {', '.join(SUFFIXES)}, found h5"),
        ({"precision": "int4"}, "'precision': expected one of fp32, fp16, int8, found int4"),
        ({"precision": ["int8"]}, "'precision': expected one of fp32, fp16, int8, found ['int8']"),
        ({"architecture": 18}, "'architecture': expected text, found 18"),
        ({"settings": []}, "'settings': expected an object, found []"),
        ({"image_size": 0}, "'image_size': expected an integer from 1 to 4096, found 0"),
        ({"image_size": True}, "'image_size': expected an integer from 1 to 4096, found True"),
        ({"mean": "0.5"}, "'mean': expected a finite number, found 0.5"),
        ({"mean": float("nan")}, "'mean': expected a finite number, found nan"),
        ({"std": 0}, "'std': expected a finite number above 0, found 0"),
        ({"opset": "18"}, "'opset': expected an integer above 0, found 18"),
        ({"minimum_onnxruntime": "new"}, "'minimum_onnxruntime': expected a version such as 1.18, found new"),
        ({"created": "yesterday"}, "'created': expected an ISO 8601 date, found yesterday"),
        ({"content_sha256": "AB" * 32}, "'content_sha256': expected 64 lower-case hex digits"),
        ({"metrics": {"test": 0.7}}, "'metrics': expected an object"),
        ({"versions": {"torch": 2}}, "'versions': expected text"),
        ({"training_data": {"source": "x"}}, "'training_data.fingerprint': expected a value, found none"),
        ({"training_data": {**DATA, "seed": -1}}, "'training_data.seed': expected an integer from 0 to 4294967295"),
        (
            {"training_data": {**DATA, "seed": True}},
            "'training_data.seed': expected an integer from 0 to 4294967295, found True",
        ),
        ({"mean": 10**400}, "'mean': expected a finite number, found 1000"),
        ({"image_size": 10**9}, "'image_size': expected an integer from 1 to 4096, found 1000000000"),
        ({"minimum_onnxruntime": "9" * 5000}, "'minimum_onnxruntime': expected a version such as 1.18"),
        ({"input": {**INPUT, "channels": [7]}}, "'input.channels': expected one or more of 1, 3, 4, found [7]"),
        ({"input": {**INPUT, "channels": []}}, "'input.channels': expected one or more of 1, 3, 4, found []"),
        ({"input": {**INPUT, "dtype": "float32"}}, "'input.dtype': expected uint8, found float32"),
        ({"input": {**INPUT, "kind": "normalised"}}, "'input.dtype': expected a float, found uint8"),
        ({"outputs": []}, "'outputs': expected a list of objects, found []"),
        ({"outputs": [{"name": "a", "dtype": "float32"}]}, "'outputs[0].shape': expected a value, found none"),
    ],
)
def test_wrong_field_is_named_with_what_was_expected_and_found(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError) as raised:
        ModelMetadata.from_mapping(raw(**changes), where="faces.onnx")
    assert str(raised.value).startswith("faces.onnx: metadata field ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_card_from_before_the_seed_was_kept_is_read() -> None:
    older = {key: value for key, value in DATA.items() if key != "seed"}
    assert ModelMetadata.from_mapping(raw(training_data=older)).training_data.seed == 0


def test_files_of_before_there_was_a_field_are_read() -> None:
    card = raw()
    del card["devices"]
    assert ModelMetadata.from_mapping(card).devices is None


@pytest.mark.parametrize("key", sorted(raw().keys() - {"devices"}))
def test_missing_field_is_named(key: str) -> None:
    card = raw()
    del card[key]
    with pytest.raises(ModelError, match=f"metadata field '{key}': expected a value, found none; export again"):
        ModelMetadata.from_mapping(card)


@pytest.mark.parametrize("key", sorted(raw()))
@pytest.mark.parametrize("value", [None, -1, 1.5, "x", [], {}, [1], True, {"a": 1}, "x" * 1000])
def test_any_value_anywhere_is_read_or_refused_in_one_short_line(key: str, value: Any) -> None:
    refusal = None
    try:
        card = ModelMetadata.from_mapping(raw(**{key: value}))
    except ModelError as error:
        refusal = str(error)
    if refusal is None:
        assert json.loads(card.to_json())[key] == value
    else:
        assert f"metadata field '{key}" in refusal
        assert len(refusal) < 400


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("NaN", "the number NaN"),
        ("-Infinity", "the number -Infinity"),
        ("1e999", "the number 1e999"),
        ("[" * 500 + "]" * 500, "objects nested too deeply"),
    ],
)
def test_what_could_not_be_written_again_is_refused(value: str, found: str) -> None:
    text = CARD.to_json().replace('"small"', value)
    with pytest.raises(ModelError, match=rf"expected metadata in JSON, found something else \({found}\); export again"):
        ModelMetadata.from_json(text)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, b"\xff\xfe"])
def test_what_is_no_json_object_is_refused(text: str | bytes) -> None:
    with pytest.raises(ModelError, match="expected metadata in JSON, found"):
        ModelMetadata.from_json(text)


def test_card_beside_holds_the_hash_of_the_file() -> None:
    with_checksum = CARD.with_checksum("cd" * 32)
    text = sidecar_json(with_checksum, "ef" * 32)
    assert read_sidecar(text, where="faces.json") == (with_checksum, "ef" * 32)
    with pytest.raises(ModelError, match="'file_sha256': expected a value, found none"):
        read_sidecar(with_checksum.to_json(), where="faces.json")


def test_new_card_is_unsealed() -> None:
    assert CARD.content_sha256 == NO_CHECKSUM == "0" * 64


@pytest.mark.parametrize(
    "labels", [("no", "yes"), FERPLUS.names, ("悲しい", "嬉しい"), ("سعيد", "حزين"), ('a,"b"\\', "<b>&", "]", '"], ["')]
)
def test_any_label_set_is_a_models(labels: tuple[str, ...]) -> None:
    metadata = replace(CARD, labels=labels)
    assert metadata.to_json().isascii()
    read = ModelMetadata.from_json(metadata.to_json())
    assert read.labels == read.label_set.names == labels


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["mean", "std"])
def test_numbers_are_finite(key: str, value: float) -> None:
    with pytest.raises(ModelError, match=f"'{key}': expected a finite number"):
        ModelMetadata.from_mapping(raw(**{key: value}))


def test_old_names_are_found_with_a_warning() -> None:
    import fer_edge.metadata as module

    with pytest.warns(DeprecationWarning, match="CARD_KEY is now METADATA_KEY"):
        assert module.CARD_KEY == "fer_edge.card"
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = module.nothing
