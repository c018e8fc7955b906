"""Writing a calibration into a model file or beside it."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from uncertainties import uncertainty

from fer_edge.errors import DataError, ModelError
from fer_edge.export.card.contract import contract_table
from fer_edge.export.card.uncertainty import TITLE, with_uncertainty
from fer_edge.export.formats.registry import format_named
from fer_edge.export.graph.certainty import without_certainty
from fer_edge.export.publish import model_path
from fer_edge.export.uncertainty import calibrate_model, write_uncertainty
from fer_edge.metadata import METADATA_KEY, certainty_outputs, sidecar_json
from fer_edge.runtime.checksum import file_sha256
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.model_file import read_model

FIXTURES = Path(__file__).parent.parent / "fixtures"
FOUND = uncertainty()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the small model, with its sidecar and a card."""
    for suffix in (".onnx", ".json"):
        shutil.copy(FIXTURES / f"tiny{suffix}", tmp_path)
    path = tmp_path / "tiny.onnx"
    data = path.read_bytes()
    content = read_model(path).metadata.content_sha256
    path.with_suffix(".md").write_text(
        "# tiny\n\n## How good it is\n\nGood.\n\n## Limits\n\nSome.\n\n"
        f"{len(data)} bytes {file_sha256(data)} {content}\n"
    )
    return path


def test_inside_the_file_the_network_stays_and_outputs_are_added(model: Path) -> None:
    before, metadata = onnx.load(model), read_model(model).metadata
    table = contract_table(metadata)
    model.with_suffix(".md").write_text(model.with_suffix(".md").read_text() + table)
    written = write_uncertainty(model, FOUND)
    assert written == (model, model.with_suffix(".json"), model.with_suffix(".md"))
    after = read_model(model)
    outputs = (*metadata.outputs, *certainty_outputs("batch", 7))
    content = after.metadata.content_sha256
    assert after.metadata == replace(metadata, outputs=outputs, uncertainty=FOUND, content_sha256=content)
    graph = without_certainty(onnx.load(model)).graph
    assert before.graph.SerializeToString() == graph.SerializeToString()
    card = model.with_suffix(".md").read_text()
    assert after.sha256 in card
    assert after.metadata.content_sha256 in card
    assert f"{len(after.data)} bytes" in card
    assert card.count(TITLE) == 1
    assert contract_table(after.metadata) in card
    assert card.count("| `is_certain`") == 1
    assert "at most 10% are wrong" in card
    assert sorted(path.name for path in model.parent.iterdir()) == ["tiny.json", "tiny.md", "tiny.onnx"]


def test_a_calibrated_file_travels_alone_and_is_calibrated_again(model: Path, tmp_path: Path) -> None:
    write_uncertainty(model, uncertainty(thresholds=(None, 0.9, 0.5)))
    write_uncertainty(model, FOUND)
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(model, alone)
    classifier = Classifier.load(alone / "tiny.onnx", threads=1)
    assert classifier.metadata.uncertainty == FOUND
    assert write_uncertainty(alone / "tiny.onnx", FOUND) == (alone / "tiny.onnx",)  # no sidecar where there was none
    assert model.with_suffix(".md").read_text().count(TITLE) == 1


def test_without_onnx_the_way_out_is_said_and_nothing_is_written(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = model.read_bytes()
    monkeypatch.setitem(sys.modules, "onnx", None)
    advice = r"expected the package onnx, .* run: pip install 'fer-edge\[onnx\]', or .* --sidecar"
    with pytest.raises(ModelError, match=advice):
        write_uncertainty(model, FOUND)
    assert model.read_bytes() == before


def test_the_sidecar_alone_leaves_the_file_as_it_is(model: Path) -> None:
    before = model.read_bytes()
    assert write_uncertainty(model, FOUND, sidecar_only=True) == (model.with_suffix(".json"), model.with_suffix(".md"))
    assert model.read_bytes() == before
    assert read_model(model).metadata.uncertainty == FOUND
    write_uncertainty(model, FOUND)
    with pytest.raises(ModelError, match="leave out --sidecar"):
        write_uncertainty(model, uncertainty(), sidecar_only=True)


def test_other_entries_of_a_sidecar_stay(model: Path) -> None:
    beside = model.with_suffix(".json")
    beside.write_text(json.dumps({**json.loads(beside.read_text()), "files": {"tiny.bin": "ab"}}))
    write_uncertainty(model, FOUND, sidecar_only=True)
    assert json.loads(beside.read_text())["files"] == {"tiny.bin": "ab"}


def test_a_card_of_another_file_is_left_alone(model: Path) -> None:
    card = model.with_suffix(".md")
    card.write_text("# My own notes\n")
    assert card not in write_uncertainty(model, FOUND)
    assert card.read_text() == "# My own notes\n"


def test_a_link_and_a_damaged_file_are_refused(model: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.onnx"
    link.symlink_to(model)
    with pytest.raises(ModelError, match="expected the model's own file to calibrate, found a link"):
        write_uncertainty(link, FOUND)
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelError):
        write_uncertainty(model, FOUND)


def test_a_damaged_calibration_is_refused(model: Path) -> None:
    write_uncertainty(model, FOUND)
    data = model.read_bytes()
    assert data.count(b'"threshold": 0.6') == 1
    model.write_bytes(data.replace(b'"threshold": 0.6', b'"threshold": 0.1'))
    with pytest.raises(ModelError, match="content hash"):
        read_model(model)


def test_the_section_stands_before_the_limits_or_at_the_end() -> None:
    once = with_uncertainty("# a\n\n## Limits\n\nSome.\n", FOUND)
    assert once.index(TITLE) < once.index("## Limits")
    assert with_uncertainty(once, FOUND) == once
    assert with_uncertainty("# a\n", FOUND).startswith(f"# a\n\n{TITLE}\n")
    assert "5% | none found: never certain" in " ".join(once.split())


def test_faces_of_training_are_no_faces_to_calibrate_on(model: Path) -> None:
    from fer_edge.data.load import load_faces

    data = load_faces("sample:240")
    stated = read_model(model).metadata
    known = replace(stated.training_data, fingerprint=data.fingerprint())
    sidecar = replace(stated, training_data=known)
    model.with_suffix(".json").unlink()
    fields = onnx.load(model)
    for entry in fields.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = sidecar.with_checksum("0" * 64).to_json()
    from fer_edge.runtime.checksum import add_checksum

    model.write_bytes(add_checksum(fields.SerializeToString()))
    with pytest.raises(DataError, match="expected faces that are new to the model, found those it was trained on"):
        calibrate_model(model, source="sample:240", split="all")


def test_a_calibration_is_of_the_files_own_answers(model: Path) -> None:
    found, left_out = calibrate_model(model, source="sample:240", split="all", seed=3)
    assert (found.temperature_faces, found.threshold_faces, found.checked_faces) == (30, 90, 120)
    assert (left_out.leaked, left_out.repeated, left_out.without_label) == (0, 0, 0)
    assert found.split == "all"
    assert all(one.threshold is None for one in found.risks)  # random weights: never certain, and it says so
    assert found.sets[0].mean_size > 4
    again, _ = calibrate_model(model, source="sample:240", split="all", seed=3)
    assert replace(again, created=found.created) == found
    assert sidecar_json(replace(read_model(model).metadata, uncertainty=found), "ab" * 32)


@pytest.mark.parametrize("sidecar_only", [False, True])
def test_a_calibrated_model_may_be_exported_over(model: Path, sidecar_only: bool) -> None:
    notes: list[str] = []
    write_uncertainty(model, FOUND, sidecar_only=sidecar_only)
    assert model_path(model.parent, "tiny", format_named("onnx"), notes.append) == model
    assert "will be replaced" in notes[0]
