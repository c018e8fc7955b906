"""What docs/golden.md says of the mistakes is what benchmarks/golden_mistakes.py measured."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOUND = json.loads((ROOT / "benchmarks" / "results" / "golden_mistakes.json").read_text())
PAGE = (ROOT / "docs" / "golden.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("model", FOUND["models"], ids=lambda model: model["model"])
def test_the_pages_row_is_what_was_measured(model) -> None:
    named = [row["app"] in ("those of", "nearest to") for row in model["mistakes"]]
    two = list(model["two"].values())
    both = sum(told in ("those of", "nearest to") for told in two)
    cells = [
        f"`{model['model'].removesuffix('.onnx')}`",
        f"{sum(named)} of {len(named)}",
        *(f"{count} of {len(two)}" for count in (both, two.count("one of them"), two.count("none"))),
        f"{two.count('one and another') + two.count('another')} of {len(two)}",
        "{} of {}".format(*(sum(one[key] for one in model["none"].values()) for key in ("named", "tried"))),
    ]
    assert f"| {' | '.join(cells)} |" in PAGE


def test_the_page_says_the_kits_size() -> None:
    model = FOUND["models"][0]
    assert f"14 vectors, 26 images, {model['kit_bytes'] / 1e3:.0f} kB;" in PAGE
    assert f"about {model['mistakes_bytes'] / 1e3:.0f} kB in each of its two manifests" in PAGE


def test_the_table_is_of_the_same_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import golden_mistakes

    written = (ROOT / "benchmarks" / "results" / "golden_mistakes.md").read_text(encoding="utf-8")
    assert golden_mistakes.table(FOUND) == written
