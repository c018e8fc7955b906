"""The numbers of docs/layers.md are those that the shipped models' graphs have."""

import json
from pathlib import Path
from typing import Any

import pytest

from fer_edge.export.graph.model_layers import layers_of_model

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
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


def cells_of(row: dict[str, Any]) -> list[str]:
    nodes = row["nodes"]
    convolutions = sum(one["share"] for one in nodes if one["multiply_adds"])
    preprocessing = sum(
        one["share"] for one in nodes if any("preprocessing." in name for name in (one["name"], *one["layers"]))
    )
    return [
        f"`{row['model']}`",
        row["runtime"],
        f"{row['latency_ms_p50']:.2f}",
        str(len(nodes)),
        f"{convolutions:.0%}",
        f"{preprocessing:.0%}",
        f"{row['nodes_ms']:.2f}",
        f"{row['bound_ms']:.2f}",
        f"{row['bound_ms'] / row['nodes_ms']:.0%}",
    ]


def measured() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / "layers.json").read_text())
    return found


def test_the_table_has_the_measured_numbers() -> None:
    text = (ROOT / "docs" / "layers.md").read_text(encoding="utf-8")
    lines = [line for line in text[text.index("| model | runtime") :].split("\n\n")[0].splitlines()[2:] if line]
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in lines] == [
        cells_of(row) for row in measured()["rows"]
    ]


def test_what_to_do_next_is_read_from_the_measurement() -> None:
    rows = {(row["model"], row["runtime"]): row for row in measured()["rows"]}

    def node(model: str, runtime: str, layer: str) -> dict[str, Any]:
        found: dict[str, Any] = next(one for one in rows[model, runtime]["nodes"] if layer in one["layers"])
        return found

    def percent(value: float) -> str:
        return f"{value:.0%}"

    large, tiny = "fer-resnet18-int8", rows["fer-tiny-int8", "onnxruntime"]
    own, other = (node(large, runtime, "network.layer1.0.bn1") for runtime in ("onnxruntime", "openvino"))
    assert f"takes {1000 * own['ms']:.0f} µs in onnxruntime, {percent(own['fraction_of_bound'])} of bound" in TEXT
    assert f"{1000 * other['ms']:.0f} µs in OpenVINO, {percent(other['fraction_of_bound'])} of bound" in TEXT
    names = ("network.layer4.0.bn2", "network.layer4.1.bn1", "network.layer4.1.bn2")
    last = [node(large, "onnxruntime", name) for name in names]
    multiply_adds = sum(one["multiply_adds"] for one in last) / rows[large, "onnxruntime"]["multiply_adds"]
    share = percent(sum(one["share"] for one in last))
    assert f"take {share} of onnxruntime's time with {percent(multiply_adds)} of the multiply-adds" in TEXT
    assert {one["bound_by"] for one in last} == {"memory"}
    reached = sorted(node(large, "openvino", name)["fraction_of_bound"] for name in names)
    assert f"OpenVINO reaches {percent(reached[0])} to {percent(reached[-1])} there" in TEXT
    shortest = min(one["ms"] for one in tiny["nodes"])
    floor = percent(shortest * len(tiny["nodes"]) / tiny["nodes_ms"])
    assert f"Its {len(tiny['nodes'])} nodes take at least {1000 * shortest:.0f} µs each" in TEXT
    assert f"whatever they compute: {floor} of the time" in TEXT
    reached_by_tiny = node("fer-tiny-int8", "onnxruntime", "network.layer1.bn1")["fraction_of_bound"]
    assert f"`network.layer1.bn1` reaches {percent(reached_by_tiny)} of bound" in TEXT
    assert f"preprocessing takes {cells_of(tiny)[5]} in short nodes" in TEXT
