"""The numbers of docs/layers.md are those that the shipped models' graphs have."""

from pathlib import Path

import pytest

from fer_edge.export.graph.model_layers import layers_of_model

ROOT = Path(__file__).resolve().parents[2]
TEXT = " ".join((ROOT / "docs" / "layers.md").read_text(encoding="utf-8").split())

pytest.importorskip("onnx")


def test_worked_example_of_resnet18() -> None:
    found = layers_of_model(ROOT / "exported" / "fer-resnet18-int8.onnx")
    layers = {one.name: one for one in found.layers}
    first, last = layers["network.layer1.0.bn1"], layers["network.layer4.1.bn2"]
    assert f"counts {found.multiply_adds:,} multiply-adds for one face" in TEXT
    assert first.multiply_adds == last.multiply_adds
    assert f"the same {last.multiply_adds:,}, but" in TEXT
    assert f"`network.layer1.0.bn1` has {first.intensity:.1f} multiply-adds a byte" in TEXT
    assert f"{last.weight_bytes:,} bytes of weights for four pixels, has {last.intensity:.1f}." in TEXT


def test_worked_example_of_tiny() -> None:
    found = layers_of_model(ROOT / "exported" / "fer-tiny-int8.onnx")
    assert f"counts {found.multiply_adds:,}, a ninth of that, in {len(found.layers)} layers" in TEXT
    assert f"None has more than {max(one.multiply_adds for one in found.layers):,}." in TEXT
