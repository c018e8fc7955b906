import sys

import numpy as np
import pytest
from made_results import made_benchmark, made_result, made_row
from PIL import Image

from fer_edge.benchmark.output import write_benchmark
from fer_edge.benchmark.plots import plot_latency_against_accuracy, plot_throughput
from fer_edge.evaluation.plot_style import _families

ROWS = [
    made_result(made_row(runtime, precision, batch), batch * speed, accuracy=accuracy)
    for runtime, precision, speed, accuracy in (
        ("onnxruntime", "int8", 1.0, 0.61),
        ("openvino", "bf16", 2.0, 0.612),
        ("torch-eager", "fp32", 10.0, 0.612),
    )
    for batch in (1, 8)
]


@pytest.mark.parametrize("draw", [plot_latency_against_accuracy, plot_throughput])
def test_a_picture_is_drawn_with_something_in_it(draw, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.png"
    assert draw(ROWS, path)
    pixels = np.asarray(Image.open(path).convert("L"))
    assert pixels.shape[1] > 700
    assert (pixels < 128).mean() > 0.002


def test_two_files_of_one_network_in_one_runtime_have_different_markers(tmp_path):
    pytest.importorskip("matplotlib")

    def coloured(*models: str) -> int:
        rows = [
            made_result(made_row("onnxruntime", "int8", 1, model=model), speed, accuracy=0.6)
            for model, speed in zip(models, (1.0, 2.0), strict=True)
        ]
        plot_latency_against_accuracy(rows, tmp_path / "picture.png")
        pixels = np.asarray(Image.open(tmp_path / "picture.png").convert("RGB")).astype(int)
        return int((np.abs(pixels - (0x3B, 0x6E, 0xA8)).sum(axis=2) < 40).sum())

    assert coloured("one", "other") < 0.9 * coloured("one", "one")


def test_a_file_may_have_any_name(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [
        made_result(made_row(model=name), 1.0, accuracy=0.6) for name in ("_$net^{2}$", "[red]net" * 12, "net-\u559c")
    ]
    assert plot_latency_against_accuracy(rows, tmp_path / "picture.png")
    assert Image.open(tmp_path / "picture.png").size[0] > 1500  # the long name has its place, and so has the plot


def test_several_models_without_matplotlib_are_written_without_pictures(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as where it is not installed
    _families.cache_clear()
    rows = [
        made_result(made_row(model=name, batch=batch), 1.0, accuracy=0.6) for name in ("one", "two") for batch in (1, 8)
    ]
    said = []
    written = write_benchmark(made_benchmark(*rows), tmp_path, "several", None, said.append)
    assert [path.name for path in written] == ["several.json", "several.csv", "several.md"]
    assert said == ["no pictures: expected the package 'matplotlib', found none; run: pip install 'fer-edge[plots]'"]


def test_nothing_is_drawn_of_what_was_not_measured(tmp_path):
    path = tmp_path / "picture.png"
    assert plot_latency_against_accuracy([made_result(made_row(), 1.0)], path) is None
    assert plot_throughput([one for one in ROWS if one.row.batch == 1], path) is None
    assert not path.exists()
