"""The numbers of docs/scoring.md are those of the committed measurement, which says what the page says of it."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def test_the_table_is_the_measured_one() -> None:
    page = (ROOT / "docs" / "scoring.md").read_text(encoding="utf-8")
    table = [line for line in (RESULTS / "scoring.md").read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    assert len(table) > 4
    assert "\n".join(table) in page


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
