"""The committed models of a few KB (tests/fixtures/make_tiny_model.py), and ways to spoil them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from fer_edge.metadata import METADATA_KEY, NO_CHECKSUM, ModelMetadata
from fer_edge.runtime.checksum import add_checksum
from fer_edge.runtime.classifier import Classifier

FIXTURES = Path(__file__).parent.parent / "fixtures"

Change = Callable[[onnx.ModelProto], None]


@pytest.fixture
def tiny_model() -> Path:
    return FIXTURES / "tiny.onnx"


@pytest.fixture
def tiny_raw_model() -> Path:
    return FIXTURES / "tiny_raw.onnx"


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return Classifier.load(FIXTURES / "tiny.onnx", threads=1)


@pytest.fixture
def changed_model(tmp_path: Path, tiny_model: Path) -> Callable[[Change], Path]:
    """Writes the tiny model, changed and sealed again, alone in a folder."""

    def write(change: Change) -> Path:
        model = onnx.load(tiny_model)
        for entry in model.metadata_props:
            if entry.key == METADATA_KEY:
                entry.value = replace(ModelMetadata.from_json(entry.value), content_sha256=NO_CHECKSUM).to_json()
        change(model)
        path = tmp_path / "changed.onnx"
        path.write_bytes(add_checksum(model.SerializeToString()))
        return path

    return write
