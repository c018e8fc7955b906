"""What docs/serving.md says of speed and attacks is what the committed results say."""

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture(scope="module")
def page() -> str:
    return " ".join((ROOT / "docs" / "serving.md").read_text(encoding="utf-8").split())


def series(model: str, images: int, threads: int = 1) -> dict[str, Any]:
    (found,) = [
        one
        for one in json.loads((RESULTS / "serving.json").read_text())["series"]
        if (one["model"], one["images_per_request"], one["batch_deadline_ms"], one["threads"])
        == (model, images, 0, threads)
    ]
    return dict(found)


def at(found: dict[str, Any], fraction: float) -> dict[str, Any]:
    return next(row for row in found["rows"] if row["fraction_offered"] == fraction)


def test_speeds_on_the_page_are_those_that_were_measured(page: str) -> None:
    one = series("fer-resnet18", 1)
    assert one["aim_met"]
    row = at(one, 0.7)
    told = f"`fer-resnet18` with one face a request gave {row['answered_of_model_alone']:.0%} of".replace("%", " %")
    assert f"{told} what the model alone does at a p99 of {row['p99_ms']:.0f} ms" in page
    most_of_one = max(
        (each for each in one["rows"] if each["p99_ms"] < 50), key=lambda each: each["answered_of_model_alone"]
    )
    best = f"({most_of_one['answered_of_model_alone']:.0%} at {most_of_one['p99_ms']:.0f} ms)".replace("%", " %")
    assert best in page
    row = at(series("fer-resnet18", 8), 0.7)
    told = f"`fer-resnet18` gave {row['answered_of_model_alone']:.0%}, at a p99 of {row['p99_ms']:.0f} ms: a request"
    assert f"{told} is eight times".replace("%", " %") in page
    most = [series("fer-tiny", images)["most_of_model_alone_under_50_ms"] for images in (8, 1)]
    assert f"gave {most[0]:.0%} with eight faces a request, and {most[1]:.0%} with one".replace("%", " %") in page
    reached = max(row["answered_of_model_alone"] for row in series("fer-tiny", 1)["rows"])
    assert f"at {reached:.0%} of the model alone whatever the wait".replace("%", " %") in page
    eight, two_threads = at(series("fer-resnet18", 8), 0.7), at(series("fer-resnet18", 8, threads=2), 0.7)
    assert f"has a p99 of {eight['queue_p99_ms']:.0f} ms by calculation" in page
    assert f"it was {two_threads['p99_ms']:.0f} ms, of which {two_threads['queue_p99_ms']:.0f} are the queue's" in page
    alone = [
        max(series(name, 1)["model_alone_images_per_s"]["before"].values()) for name in ("fer-tiny", "fer-resnet18")
    ]
    assert round(alone[0] / alone[1]) == 7


def test_the_attack_on_the_page_is_the_one_that_was_run(page: str) -> None:
    found = json.loads((RESULTS / "attacks" / "serving.json").read_text())
    assert found["faults"] == []
    assert f"{found['count']:,} hostile requests" in page
    assert found["count"] >= 10_000
    assert f"their p99 was {found['p99_ratio']:.2f} times that without" in page
    passed = {kind: some.get("200", 0) for kind, some in found["statuses_by_kind"].items()}
    assert f"but for {passed.pop('mutated')} that a flipped byte had left sound" in page
    assert set(passed.values()) == {0}
