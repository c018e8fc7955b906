"""The numbers of docs/scoring.md are those of the committed measurement, which says what the page says of it."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def test_the_tables_are_the_measured_ones() -> None:
    page = (ROOT / "docs" / "scoring.md").read_text(encoding="utf-8")
    blocks = (RESULTS / "scoring.md").read_text(encoding="utf-8").split("\n\n")
    tables = [one.strip() for one in blocks if one.lstrip().startswith("|")]
    assert len(tables) == 2
    assert all(one in page for one in tables)


def test_what_the_page_says_of_one_processs_time_was_measured() -> None:
    profiles = json.loads((RESULTS / "scoring.json").read_text(encoding="utf-8"))["profiles"]
    steps = {one["model"]: one["us"] for one in profiles}
    resnet18, tiny = steps["fer-resnet18"], steps["fer-tiny"]
    assert 0.85 < resnet18["model"] / sum(resnet18.values()) < 0.95
    assert 0.3 < tiny["open"] / sum(tiny.values()) < 0.5
    by_batch = next(one["model_us_by_batch"] for one in profiles if one["model"] == "fer-resnet18")
    assert by_batch["8"] < 1.15 * by_batch["32"]


def test_speed_is_flat_and_memory_bounded_over_100_000_files() -> None:
    rows = json.loads((RESULTS / "scoring.json").read_text(encoding="utf-8"))["rows"]
    tiny = {row["images"]: row for row in rows if (row["model"], row["engine"]) == ("fer-tiny", "local")}
    many, fewer = tiny[100_000], tiny[10_000]
    assert many["images_per_s"] > 1100
    fifths = many["images_per_s_by_fifth"]
    assert min(fifths) > 0.75 * max(fifths)
    assert fifths[-1] > 0.9 * fifths[0]
    for who in ("driver_peak_mb", "worker_peak_mb"):
        assert many[who] < 1.15 * fewer[who]


def test_rays_memory_is_bounded_over_100_000_files() -> None:
    rows = json.loads((RESULTS / "scoring.json").read_text(encoding="utf-8"))["rows"]
    ray = {row["images"]: row for row in rows if row["engine"] == "ray"}
    many, fewer = ray[100_000], ray[10_000]
    assert many["worker_peak_mb"] < 1.15 * fewer["worker_peak_mb"]
    assert many["driver_peak_mb"] < 1.15 * fewer["driver_peak_mb"]
    files = sorted({row[1] for row in many["over_time"]})
    assert len(files) > 3  # waves
    by_wave = [max(row[2] for row in many["over_time"] if row[1] == count) for count in files]
    assert max(by_wave[2:]) < 1.03 * by_wave[1]  # once the first has been taken to its place
