"""The example of docs/scenarios.md is the committed measurement; its lengths are those of the code."""

import json
from pathlib import Path
from typing import Any

from fer_edge.benchmark.early_stopping import most_above
from fer_edge.benchmark.scenario_report import to_table
from fer_edge.benchmark.scenario_run import ScenarioSettings

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "scenarios"
PAGE = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())


def found(part: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((RESULTS / part / "scenarios.json").read_text(encoding="utf-8"))
    return values


def row(part: str, model: str, scenario: str, kind: str = "pixels") -> dict[str, Any]:
    wanted = (model, scenario, kind)
    return next(one for one in found(part)["rows"] if (one["model"], one["scenario"], one["input"]) == wanted)


def test_the_tables_are_the_measured_ones() -> None:
    for part in ("int8", "sustained"):
        table = to_table(found(part))
        assert table in PAGE
        assert table in (RESULTS / part / "scenarios.md").read_text(encoding="utf-8")
        assert found(part)["machine"] in PAGE
        assert (found(part)["is_partial"], found(part)["failures"], found(part)["audit_failures"]) == (False, [], [])


def test_the_sentences_are_those_of_the_rows() -> None:
    face, jpeg, photo = (
        row("int8", "fer-resnet18-int8", "single-stream", kind)["p50_ms"] for kind in ("pixels", "jpeg", "photo")
    )
    assert f"A median photo takes {photo:.1f} ms, of which the face's answer has {face:.1f}" in TEXT
    assert f"its JPEG adds {jpeg - face:.2f} ms" in TEXT
    assert f"{1000 / photo:.0f} photos a second" in TEXT
    server = row("int8", "fer-resnet18-int8", "server")
    offline = row("int8", "fer-resnet18-int8", "offline")
    assert f"{server['rate_per_s'] / offline['images_per_s']:.0%}".replace("%", " %") in TEXT
    tried = ", ".join(f"{one['rate']:.0f}{'' if one['is_valid'] else ' (too many late)'}" for one in server["probes"])
    assert f"tried {tried} queries a second" in TEXT


def test_sustained_runs_are_long_and_their_drift_is_on_the_page() -> None:
    for one in found("sustained")["rows"]:
        assert len(one["by_second"]) >= 100
        told = (
            f"{one['model']}`: drift {one['drift']:.3f}, slowest second {one['slowest_over_median']:.2f} of the median"
        )
        assert told in TEXT
    assert (RESULTS / "sustained" / "scenarios-sustained.png").stat().st_size > 10_000


def test_lengths_are_those_of_the_code() -> None:
    default = ScenarioSettings()
    assert (default.queries, default.min_s, default.max_s, default.bound_ms) == (1000, 2.0, 60.0, 20.0)
    assert "2 s at least, 60 s at most" in PAGE
    assert [most_above(queries, 99) for queries in (1000, 662)] == [2, 1]
    assert "Of 1,000 queries p99 is the second slowest, of 662 the slowest." in TEXT
