"""``benchmark --layers`` and ``info --layers`` of the committed tiny model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_edge.benchmark import layer_run
from fer_edge.benchmark.layer_plot import MOST_BARS, bars_of, plot_layers
from fer_edge.benchmark.layer_report import cells_of, layer_of, summary_lines, to_markdown
from fer_edge.benchmark.roofline import Roofline
from fer_edge.cli import app

TINY = Path(__file__).parent.parent / "fixtures" / "tiny.onnx"


@pytest.fixture
def measured_before(monkeypatch):
    """The probe takes seconds; it has tests of its own."""
    roofline = Roofline(1, {"fp32": 1e11, "int8": 4e11}, {"fp32": "onnxruntime", "int8": "onnxruntime"}, 1e10, 1e10)
    monkeypatch.setattr(layer_run, "measure_roofline", lambda threads: roofline)


@pytest.mark.usefixtures("measured_before")
def test_times_bounds_and_energy_of_a_real_run(tmp_path):
    pytest.importorskip("matplotlib")
    options = ("--layers", "--quick", "--runtimes", "onnxruntime", "--out", str(tmp_path), "--json")
    done = CliRunner().invoke(app, ["benchmark", str(TINY), *options])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "layers.json").read_text())
    assert found == json.loads(done.stdout)
    (row,) = found["rows"]
    nodes = {name: node for node in row["nodes"] for name in node["layers"]}
    assert nodes["logits"]["multiply_adds"] == row["multiply_adds"] == 252
    assert sum(node["share"] for node in row["nodes"]) == pytest.approx(1)
    assert sum(node["ms"] for node in row["nodes"]) == pytest.approx(row["nodes_ms"], rel=1e-3)
    assert 0 < row["bound_ms"] < row["nodes_ms"]
    assert row["joules_per_image"] is None or row["joules_per_image"] > 0
    assert (row["joules_per_image"] is None) == bool(row["energy_not_measured"])
    assert (tmp_path / "layers-tiny-onnxruntime-fp32-1t.png").stat().st_size > 10_000
    assert (
        "![tiny onnxruntime fp32, 1 thread](layers-tiny-onnxruntime-fp32-1t.png)"
        in (tmp_path / "layers.md").read_text()
    )


def test_runtime_and_file_without_counters_are_refused(tmp_path):
    options = ("--layers", "--out", str(tmp_path))
    done = CliRunner().invoke(app, ["benchmark", str(TINY), *options, "--runtimes", "torchscript"])
    assert done.exit_code == 2
    expected = "expected a runtime that counts the time of its nodes (onnxruntime or openvino), found torchscript"
    assert expected in " ".join(done.stderr.split())
    done = CliRunner().invoke(app, ["benchmark", str(TINY), *options, "--scenario", "offline"])
    assert done.exit_code == 2
    assert "--layers" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_layers_of_a_model_and_of_a_checkpoint(repository):
    done = CliRunner().invoke(app, ["info", str(TINY), "--layers"])
    assert done.exit_code == 0, done.output
    assert "logits" in done.stdout
    assert "total: 252 multiply-adds" in done.stdout
    checkpoint = repository / "exported" / "fer-tiny.pt"
    done = CliRunner().invoke(app, ["info", str(checkpoint), "--layers", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["multiply_adds"] == sum(one["multiply_adds"] for one in found["layers"]) == 35_557_120


def row_of(count):
    node = {"precision": "fp32", "multiply_adds": 0, "weight_bytes": 0, "activation_bytes": 10, "intensity": 0.0}
    times = [1.0 + place % 7 for place in range(count)]
    nodes = [
        {
            **node,
            "name": f"n{place}",
            "operator": "Add",
            "layers": [f"layer{place}", "relu"] if place % 2 else [],
            "ms": ms,
            "share": ms / sum(times),
            "bound_ms": 0.5 if place % 3 else None,
            "bound_by": ("compute", "memory")[place % 2] if place % 3 else None,
            "fraction_of_bound": 0.5 / ms if place % 3 else None,
        }
        for place, ms in enumerate(times)
    ]
    return {
        **{"model": "m", "runtime": "r", "precision": "fp32", "threads": 2, "images": 8, "latency_ms_p50": 9.0},
        **{"nodes_ms": sum(times), "bound_ms": 4.0, "multiply_adds": 5, "bandwidth_bytes_per_s": 1e9},
        **{"joules_per_image": None, "energy_not_measured": "no counter", "nodes": nodes},
    }


def test_short_nodes_are_folded_and_nothing_is_lost(tmp_path):
    row = row_of(60)
    shown, others = bars_of(row)
    assert (len(shown), len(others)) == (MOST_BARS, 60 - MOST_BARS)
    assert min(one["ms"] for one in shown) >= max(one["ms"] for one in others)
    *lines, last = cells_of(row, 0.02)
    assert last[0] == f"{60 - len(lines)} others, each under 2%"
    assert sum(float(line[4][:-1]) for line in (*lines, last)) == pytest.approx(100, abs=2)
    assert (layer_of(row["nodes"][1]), layer_of(row["nodes"][0])) == ("layer1 +1", "(n0)")
    assert "energy: not measured: no counter" in summary_lines(row)
    assert "| layer5 +1 " in to_markdown({"machine": "here", "rooflines": [], "rows": [row]}, {})
    pytest.importorskip("matplotlib")
    plot_layers(row, "title", layer_of, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 10_000


@pytest.mark.parametrize("words", [("benchmark", str(TINY), "--layers"), ("info", str(TINY), "--layers")])
def test_without_onnx_it_names_the_extra(words, tmp_path):
    code = "import sys; sys.modules['onnx'] = None; from fer_edge.cli.app import app; app(sys.argv[1:])"
    command = [sys.executable, "-c", code, *words]  # a process of its own: here onnx is imported already
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: expected the package 'onnx', found none; run: pip install 'fer-edge[onnx]'"
    ]
