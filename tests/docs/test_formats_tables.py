"""The tables of formats, in the README and on the page of formats, are what the registry says."""

import json
import re
from pathlib import Path

import pytest

from fer_edge.export.formats.registry import all_formats

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
INT8 = {
    "checkpoint (fp32 `.onnx`)": "onnx",
    "onnxruntime": "onnx",
    "OpenVINO, the same quantisation": "openvino",
    "LiteRT's own quantiser": "litert",
    "ExecuTorch's own quantiser": "executorch",
    "Core ML, 8-bit weights and float16, evaluated by torch": "coreml",
}
MODELS = ("fer-resnet18", "fer-tiny", "ferplus-resnet18")


def rows_of(model):
    rows = json.loads((RESULTS / f"formats-{model}.json").read_text(encoding="utf-8"))["rows"]
    return {(row["format"], row["precision"]): row for row in rows}


@pytest.mark.parametrize("page", ["README.md", "docs/deployment/formats.md"])
def test_each_format_has_its_row_with_its_files_and_precisions(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9]+)` \| (`\.[^|]*) \| ([^|]*) \|", text, re.MULTILINE)
    found = {
        name: (tuple(re.findall(r"`([^`]+)`", files)), tuple(precisions.split(", ")))
        for name, files, precisions in rows
    }
    models = {name: one for name, one in all_formats().items() if one.export is None}
    assert found == {name: (one.suffixes, one.precisions) for name, one in models.items()}


@pytest.mark.parametrize("model", MODELS)
def test_every_format_and_precision_of_each_shipped_model_was_measured(model):
    kinds = {(name, precision) for name, one in all_formats().items() if not one.export for precision in one.precisions}
    rows = rows_of(model)
    assert set(rows) == kinds
    assert {row["state"] for row in rows.values()} == {"written"}
    assert all(row["labels_changed"] == 0 for (_, precision), row in rows.items() if precision == "fp32")


def test_the_table_of_int8_says_what_was_measured():
    page = (ROOT / "docs/deployment/formats.md").read_text(encoding="utf-8")
    for line, (title, name) in enumerate(INT8.items()):
        expected = []
        for model in MODELS:
            row = rows_of(model)[name, "int8" if line else "fp32"]
            time = row["relative_time"]
            expected += [f"{row['labels_changed']:.2%}".replace("%", " %") if line else ""]
            expected += [f"{row['accuracy']:.2%}".replace("%", " %")]
            expected += ["–" if time is None else f"{time:.2f}" if line else "1"]
        (cells,) = re.findall(rf"^\| {re.escape(title)} \|(.*)\|$", page, re.MULTILINE)
        assert [cell.strip() for cell in cells.split("|")] == expected


@pytest.mark.parametrize("report", sorted(RESULTS.glob("formats-*-parity.md")), ids=lambda path: path.stem)
def test_a_report_of_parity_is_of_every_format_and_of_the_rows_of_the_table(report):
    model = report.stem.removeprefix("formats-").removesuffix("-parity")
    text = report.read_text(encoding="utf-8")
    rows = rows_of(model)
    assert text.count("parity passed: ") == len(rows)
    for row in rows.values():
        name = row["files"][0].partition(".")[0]
        (found,) = re.findall(rf"passed: {re.escape(name)} \({row['precision']}\)(.*?)```", text, re.DOTALL)
        assert f"largest difference of a probability  {row['max_probability_difference']:.3g} " in found
        assert f"model {row['accuracy']:.2%} " in found
