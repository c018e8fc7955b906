"""``evaluate --groups`` and ``--compare``: files, tables, JSON and exit codes."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.metadata import METADATA_KEY

FIXTURES = Path(__file__).parent.parent / "fixtures"
TINY = FIXTURES / "tiny.onnx"


def run(*arguments: object):
    return CliRunner().invoke(app, ["evaluate", "--model", *map(str, arguments), "--data", "sample:210"])


@pytest.fixture(scope="module")
def groups(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("table") / "groups.csv"
    rows = [f"sample:{number},{'odd' if number % 2 else 'even'}" for number in range(210)]
    path.write_text("\n".join(["path,parity", *rows]) + "\n")
    return path


def test_groups_are_told_in_tables_json_and_files(groups, tmp_path):
    done = run(TINY, "--groups", groups, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "parity" in done.stdout
    assert "at equal class mix" in done.stdout
    assert {path.name for path in (tmp_path / "out").glob("groups-*")} == {
        f"groups-validation.{end}" for end in ("json", "md", "png")
    }
    found = json.loads(run(TINY, "--groups", groups, "--json").stdout)["groups"]
    (column,) = found["columns"]
    assert [group["name"] for group in column["groups"]] == ["even", "odd"]
    assert sum(group["num_faces"] for group in column["groups"]) == found["num_faces"] > 20


def test_a_table_of_other_faces_is_one_line(tmp_path):
    table = tmp_path / "groups.csv"
    table.write_text("path,age\nnobody.png,9\n")
    done = run(TINY, "--groups", table)
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "expected paths of faces that are evaluated, such as sample:" in done.stderr


def test_a_model_that_lost_accuracy_is_exit_code_3_and_the_report_is_kept(tmp_path):
    worse = tmp_path / "worse.onnx"
    write_worse(worse)
    good = json.loads(run(TINY, "--json").stdout)["accuracy"]
    done = run(worse, "--compare", TINY, "--out", tmp_path / "out")
    assert done.exit_code == 3, done.output
    assert "expected at most 1 points of accuracy lost since" in done.stderr
    kept = json.loads((tmp_path / "out" / "changes-validation.json").read_text())
    assert kept["overall"]["old"] == pytest.approx(good)
    assert kept["drop_points"] > 1
    assert run(worse, "--compare", TINY, "--max-drop", "100").exit_code == 0
    assert run(TINY, "--compare", worse).exit_code == 0  # it gained some


def test_a_folder_named_by_a_relative_path_is_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["data", "sample", "--count", "84", "--out", "faces"]).exit_code == 0
    done = CliRunner().invoke(
        app, ["evaluate", "--model", str(TINY), "--compare", str(TINY), "--data", "faces", "--split", "test"]
    )
    assert done.exit_code == 0, done.output
    assert f"against {TINY}: 0 of 14 answers changed" in done.stdout


def test_what_cannot_be_compared_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_edge.backends.evaluation.evaluate_model", None)  # asked for, it would raise
    table = tmp_path / "groups.csv"
    table.write_text("path\n1.png\n")
    done = run(TINY, "--groups", table)
    assert (done.exit_code, "one or more of groups" in done.stderr) == (1, True)
    done = run(TINY, "--compare", tmp_path / "gone.onnx")
    assert (done.exit_code, "--compare: expected a model, a checkpoint or a run, found nothing" in done.stderr) == (
        1,
        True,
    )


def test_the_bound_needs_a_model_to_compare_with():
    done = run(TINY, "--max-drop", "1")
    assert done.exit_code == 2
    assert "--max-drop: expected --compare with it" in done.stderr


def write_worse(path: Path, lifted: int = 1) -> None:
    """The tiny model with one class's logit lifted, and metadata that are right."""
    sys.path.insert(0, str(FIXTURES))
    graph = onnx.load(TINY)
    node = next(node for node in graph.graph.node if "logits" in node.output)
    bias = next(one for one in graph.graph.initializer if one.name == node.input[-1])
    values = onnx.numpy_helper.to_array(bias).copy()
    values[np.arange(len(values)) == lifted] += 1000
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    write_with_checksum(graph, path)


def write_with_checksum(graph: onnx.ModelProto, path: Path) -> None:
    from dataclasses import replace

    from fer_edge.export.formats.onnx import onnx_bytes
    from fer_edge.metadata import ModelMetadata

    entry = next(entry for entry in graph.metadata_props if entry.key == METADATA_KEY)
    metadata = ModelMetadata.from_json(entry.value, where="tiny")
    path.write_bytes(
        onnx_bytes(graph, replace(metadata, name="worse", versions={**metadata.versions, "fer_edge": "0"}))
    )
