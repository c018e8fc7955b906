import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.metadata import NO_CHECKSUM, ModelMetadata
from fer_edge.runtime.checksum import add_checksum, content_hash_of_zip
from fer_edge.runtime.model_file import read_model


@pytest.fixture
def model(repository: Path) -> Path:
    return repository / "tests" / "fixtures" / "tiny.onnx"


def test_everything_about_a_model_is_printed(model: Path) -> None:
    done = CliRunner().invoke(app, ["info", str(model)])
    assert done.exit_code == 0, done.output
    lines = {line[:13].strip(): line[13:] for line in done.stdout.splitlines()}
    assert lines["file"] == f"{model} ({model.stat().st_size:,} bytes), intact"
    assert lines["labels"] == "angry, disgust, fear, happy, neutral, sad, surprise"
    assert lines["input"] == "image tensor(uint8) [batch, height, width, channels]"
    assert lines["output"] == "logits tensor(float) [batch, 7]"
    assert lines["operators"].startswith("Slice 1, Cast 1, Mul 1, ReduceSum 1, Transpose 1, Resize 1")
    assert lines["opset"] == "18, IR 8, onnxruntime 1.14 or later"
    assert lines["file hash"] == read_model(model).sha256
    assert "quantised" not in lines


def test_nothing_is_printed_as_python_would() -> None:
    """Lists, nested values and truth in words; quantised models state all three."""
    for name in ("fer-tiny", "fer-resnet18", "ferplus-resnet18"):
        done = CliRunner().invoke(app, ["info", name])
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("quantised")]
        assert "held_back_accuracy (fp32 0." in line
        assert re.search(r"trials \d+", line)
        for sign in ("{", "}", "['", "[]", "None", "True", "False", "': "):
            assert sign not in line


def test_json_holds_card_graph_and_hashes(model: Path) -> None:
    done = CliRunner().invoke(app, ["info", str(model), "--json"])
    found = json.loads(done.stdout)
    assert ModelMetadata.from_mapping(found["card"]) == read_model(model).metadata
    assert found["size_bytes"] == model.stat().st_size
    assert found["operators"]["Softmax"] == 1
    assert found["providers"]["cpu"] == "ready"


def test_damaged_model_is_refused_in_one_line(model: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(model, tmp_path))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    done = CliRunner().invoke(app, ["info", str(path)])
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {path}: expected the content hash")
    assert done.stderr.count("\n") == 1


def archive_with(card: ModelMetadata) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as writer:
        writer.writestr("m/extra/fer_edge.card", card.to_json())
        writer.writestr("m/code.py", "raise SystemExit('this must not run')")
    return stream.getvalue()


def test_torchscript_is_described_without_running_it(model: Path, tmp_path: Path) -> None:
    card = replace(
        read_model(model).metadata,
        format="torchscript",
        opset=None,
        ir_version=None,
        minimum_onnxruntime=None,
        content_sha256=NO_CHECKSUM,
    )
    path = tmp_path / "m.torchscript"
    path.write_bytes(archive_with(card.with_checksum(content_hash_of_zip(archive_with(card)))))
    done = CliRunner().invoke(app, ["info", str(path)])
    assert done.exit_code == 0, done.output
    assert "format       torchscript, fp32" in done.stdout
    assert "input        image uint8 [batch, height, width, channels]" in done.stdout
    assert "torch: needed to run it" in done.stdout
    assert "opset" not in done.stdout
    path.write_bytes(archive_with(card))
    refused = CliRunner().invoke(app, ["info", str(path)])
    assert refused.exit_code == 1
    assert "expected the content hash" in refused.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"mean": 0.5', '"mean": 1' + "0" * 400, "metadata field 'mean': expected a finite number, found 1000"),
        ('"mean": 0.5', '"mean": 1' + "0" * 5000, "expected metadata in JSON, found something else (Exceeds the limit"),
        ('"mean": 0.5', '"mean": NaN', "expected metadata in JSON, found something else (the number NaN)"),
        ('"settings": {', '"settings": {"a": 1e999, ', "found something else (the number 1e999)"),
        ('"settings": {', '"settings": {"a": ' + "[" * 900 + "]" * 900 + ", ", "objects nested too deeply"),
        ('"image_size": 48', '"image_size": 1' + "0" * 30, "field 'image_size': expected an integer from 1 to"),
    ],
)
def test_hostile_cards_are_one_line(model: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    graph = onnx.load(model)
    for entry in graph.metadata_props:
        card = replace(ModelMetadata.from_json(entry.value), settings={"a b": 1}, content_sha256=NO_CHECKSUM).to_json()
        assert old in card
        entry.value = card.replace(old, new)
    path = tmp_path / "hostile.onnx"
    path.write_bytes(add_checksum(graph.SerializeToString()))
    for option in ([], ["--json"]):
        done = CliRunner().invoke(app, ["info", str(path), *option])
        assert done.exit_code == 1
        assert done.stdout == ""
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_text_in_a_card_cannot_command_the_terminal(model: Path, tmp_path: Path) -> None:
    graph = onnx.load(model)
    for entry in graph.metadata_props:
        card = ModelMetadata.from_json(entry.value)
        entry.value = replace(card, license="\x1b[2J\ud800", content_sha256=NO_CHECKSUM).to_json()
    path = tmp_path / "m.onnx"
    path.write_bytes(add_checksum(graph.SerializeToString()))
    done = CliRunner().invoke(app, ["info", str(path)])
    assert done.exit_code == 1
    assert "metadata field 'license': expected text that can be shown" in done.stderr
    assert "found \\x1b[2J\\ud800" in done.stderr


def test_info_needs_neither_torch_nor_onnx(repository: Path, model: Path) -> None:
    code = (
        "import sys; sys.modules.update(torch=None, onnx=None, matplotlib=None);"
        f"sys.argv = ['cli.py', 'info', {str(model)!r}];"
        "from fer_edge.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0, done.stderr
    assert "intact" in done.stdout
