import json
import math

import pytest
from made_results import made_benchmark, made_result, made_row

from fer_edge.benchmark.results import Benchmark, by_setting
from fer_edge.errors import ModelError

COLD = {"start": 100.0, "import": 200.0, "load": 50.0, "first_answer": 10.0}


def test_json_and_back_keeps_every_sample(tmp_path):
    done = made_benchmark(made_result(made_row(), 2.0, cold_starts_ms=[COLD], accuracy=0.5), left_out=["x: y"])
    path = tmp_path / "b.json"
    path.write_text(done.to_json())
    again = Benchmark.read(path)
    assert again.rows[0].latency_ms == done.rows[0].latency_ms
    assert again.to_json() == done.to_json()


@pytest.mark.parametrize(("is_baseline", "name"), [(True, "net"), (False, "net-fp16")])
def test_what_an_earlier_version_exported_from_a_checkpoint_has_the_name_of_today(tmp_path, is_baseline, name):
    row = made_row(precision="fp16", model="net-fp16")
    values = json.loads(made_benchmark(made_result(row, 2.0, is_baseline=is_baseline)).to_json())
    del values["rows"][0]["file"]
    (tmp_path / "b.json").write_text(json.dumps(values))
    assert Benchmark.read(tmp_path / "b.json").rows[0].row.model == name


def test_json_shows_figures_and_puts_samples_on_one_line():
    text = made_benchmark(made_result(made_row(batch=8), 2.0)).to_json()
    row = json.loads(text)["rows"][0]
    assert row["latency"]["p50_ms"] == 2.0
    assert row["latency"]["images_per_s"] == 4000.0
    assert "[1.98, 1.99, 2.0, 2.01, 2.02]" in text


def test_every_key_of_a_row_is_on_the_page_of_the_benchmark(repository):
    page = (repository / "docs" / "benchmark.md").read_text(encoding="utf-8")
    old_names = {"is_rival"}
    assert {key for key in made_result(made_row(), 1.0).to_dict() if f"`{key}`" not in page} == old_names


def test_a_row_that_was_never_timed_has_no_latency():
    done = made_result(made_row(), 1.0)
    done.latency_ms = []
    assert not done.is_timed
    assert done.to_dict()["latency"] is None
    assert made_benchmark(done).timed == []


def test_cold_start_is_the_median_of_each_part_and_of_the_totals():
    slow = {part: 3 * value for part, value in COLD.items()}
    done = made_result(made_row(), 1.0, cold_starts_ms=[COLD, COLD, slow])
    assert done.cold_start_ms() == {**COLD, "total": 360.0}
    assert made_result(made_row(), 1.0).cold_start_ms() == {}


def test_what_the_graph_prepares_moves_from_run_to_preprocess():
    photos = {"decode": [1.0, 1.0], "prepare": [0.5, 0.5], "run": [10.0, 10.0]}
    outside = made_result(made_row("torch-eager"), 1.0, photos_ms=photos).photo_ms()
    unknown = made_result(made_row("openvino"), 1.0, photos_ms=photos).photo_ms()
    inside = made_result(made_row(), 1.0, photos_ms=photos, preprocessing_share=0.1).photo_ms()
    assert outside == {"decode": 1.0, "preprocess": 0.5, "run": 10.0, "total": 11.5}
    assert unknown == {"decode": 1.0, "preprocess": None, "run": 10.5, "total": 11.5}
    assert inside == {"decode": 1.0, "preprocess": 1.5, "run": 9.0, "total": 11.5}


def test_rows_are_grouped_by_setting_with_the_fastest_first():
    rows = [made_result(made_row(batch=8), 5.0), made_result(made_row("openvino"), 2.0), made_result(made_row(), 1.0)]
    groups = by_setting(rows)
    assert list(groups) == [(1, 1), (8, 1)]
    assert [one.row.runtime for one in groups[1, 1]] == ["onnxruntime", "openvino"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": "fer_edge benchmark", "version": 99}',
        '{"format": "fer_edge benchmark", "version": 1}',
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=r"other.json: expected the JSON of 'fer-edge benchmark'"):
        Benchmark.read(path)


@pytest.mark.parametrize("latency", ["NaN", "Infinity", "0", "-1.5", '"1.0"', "true", "null"])
def test_a_latency_that_is_none_is_refused(tmp_path, latency):
    path = tmp_path / "benchmark.json"
    values = json.loads(made_benchmark(made_result(made_row(), 1.25)).to_json())
    values["rows"][0]["samples"]["latency_ms"][1][2] = json.loads(latency)
    path.write_text(json.dumps(values))
    with pytest.raises(ModelError, match=r"benchmark.json: expected the JSON of 'fer-edge benchmark', found .*ms\)"):
        Benchmark.read(path)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(ModelError, match=r"none.json: cannot be read: No such file"):
        Benchmark.read(tmp_path / "none.json")


def test_no_nan_reaches_the_json():
    with pytest.raises(ValueError, match="not JSON compliant"):
        made_benchmark(made_result(made_row(), 1.0, accuracy=math.nan)).to_json()
