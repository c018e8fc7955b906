"""Settings follow from what was measured, and only for the file that was measured."""

import sys
from pathlib import Path

import numpy as np
import pytest

from fer_edge.errors import ModelError
from fer_edge.runtime.model_file import read_any
from fer_edge.serving import triton_settings
from fer_edge.serving.triton_settings import Cell, TritonSettings, _chosen, measure_settings, settings_of_benchmark

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmark"))
from made_results import made_benchmark, made_result, made_row  # what the benchmark's tests make


def chosen(*cells):
    return _chosen([Cell(*one) for one in cells], "0" * 64, "cpu", "a machine", "2026-01-01T00:00:00Z")


def test_the_fastest_instances_and_the_smallest_batch_near_their_best():
    found = chosen(
        (1, 2, 1, 1.0, 1000), (1, 2, 8, 4.0, 2000), (2, 1, 1, 1.5, 1300), (2, 1, 8, 5.5, 2900), (2, 1, 32, 21.4, 2990)
    )
    assert (found.instances, found.threads, found.batch, found.max_batch) == (2, 1, 8, 32)
    assert found.queue_delay_us == 1500  # one image alone, of these instances
    assert found.images_per_s == 2900


def test_batches_that_bring_less_than_the_noise_are_not_preferred():
    assert chosen((1, 1, 1, 1.0, 1000), (1, 1, 8, 7.8, 1030)).batch == 1


def test_one_image_alone_must_have_been_measured():
    with pytest.raises(ModelError, match="expected batch size 1 among those that were measured with 2 threads"):
        chosen((1, 2, 8, 4.0, 2000), (1, 2, 16, 8.0, 2100))
    assert chosen((1, 2, 4, 4.0, 1000)).batch == 4  # the only batch of a model of a fixed one


def test_from_a_benchmark_only_rows_of_the_very_file_count(tmp_path):
    rows = [
        made_result(made_row(batch=batch, threads=threads), p50, sha256="a" * 64, file="mine.onnx")
        for batch, threads, p50 in ((1, 1, 2.0), (8, 1, 12.0), (32, 1, 60.0), (1, 2, 1.5), (8, 2, 7.0), (32, 2, 27.9))
    ]
    other = made_result(made_row(batch=1), 0.1, sha256="b" * 64, file="other.onnx")
    path = tmp_path / "benchmark.json"
    path.write_text(made_benchmark(other, *rows).to_json())
    found = settings_of_benchmark(path, "a" * 64, Path("mine.onnx"))
    assert (found.instances, found.threads, found.batch, found.max_batch) == (1, 2, 8, 32)
    assert (found.queue_delay_us, found.provider, found.machine) == (1500, "cpu", "Test CPU, 2 cores")
    with pytest.raises(
        ModelError, match=r"expected rows of x\.onnx \(SHA-256 cccccccccccc.*found those of other\.onnx, "
    ):
        settings_of_benchmark(path, "c" * 64, Path("x.onnx"))


def test_of_several_runtimes_and_providers_one_is_taken(tmp_path):
    fast = made_row("openvino", batch=1)
    rows = [made_result(made_row(batch=1), 2.0), made_result(fast, 0.5), made_result(made_row(provider="cuda"), 0.1)]
    path = tmp_path / "benchmark.json"
    path.write_text(made_benchmark(*rows).to_json())
    assert [one.p50_ms for one in settings_of_benchmark(path, "0" * 64, Path("m")).cells] == [pytest.approx(2.0)]


def test_settings_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "measurement.json"
    path.write_text(chosen((1, 1, 1, 1.0, 1000)).to_json())
    assert TritonSettings.read(path) == chosen((1, 1, 1, 1.0, 1000))
    for text in ("", "{}", '{"format": "fer_edge triton settings", "version": 1}', "[]"):
        path.write_text(text)
        with pytest.raises(ModelError, match="expected settings that 'fer-edge triton --measure' wrote"):
            TritonSettings.read(path)


def test_a_measurement_runs_every_way_that_uses_all_cores(tiny, monkeypatch):
    monkeypatch.setattr("fer_edge.runtime.cores.available_cores", lambda: 2)
    pixels = np.zeros((4, 48, 48, 1), np.uint8)
    found = measure_settings(tiny, read_any(tiny).sha256, pixels, batches=(1, 4), seconds=0.01)
    assert {(one.instances, one.threads, one.batch) for one in found.cells} == {
        (2, 1, 1),
        (2, 1, 4),
        (1, 2, 1),
        (1, 2, 4),
    }
    for one in found.cells:
        assert one.p50_ms > 0
        # All instances together, at the mean of their runs: never more than the fastest half allows by much.
        assert 0 < one.images_per_s <= 4 * one.instances * one.batch * 1000 / one.p50_ms
    best = max(found.cells, key=lambda one: one.images_per_s)
    assert (found.instances, found.threads) == (best.instances, best.threads)
    assert found.sha256 == read_any(tiny).sha256


def test_the_time_of_a_run_is_that_of_the_run(monkeypatch):
    ticks = iter([0.0, 0.5, 1.0, 1.5, 2.0])
    monkeypatch.setattr(triton_settings.time, "perf_counter", lambda: next(ticks))

    class Model:
        runs = 0

        def run_feed(self, feed):
            self.runs += 1

    model = Model()
    assert triton_settings._timed(model, None, 1.2) == ([0.5, 0.5, 0.5], 1.5)
    assert model.runs == 5  # the first two are not timed
