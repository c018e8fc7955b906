"""The bounds of memory and time in SECURITY.md are those that benchmarks/memory.py measured."""

import json
import math
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
ROWS = json.loads((ROOT / "benchmarks" / "results" / "memory.json").read_text(encoding="utf-8"))["rows"]
TWICE = "the file's bytes twice"


def stated(kind: str) -> tuple[float, float, int]:
    """GB and seconds at most that the page states of a kind of image, and how many times its file comes on top."""
    (cells,) = (line.split("|") for line in PAGE.splitlines() if line.startswith(f"| {kind}"))
    gigabytes = max(float(number) for number in re.findall(r"([\d.]+) GB", cells[2]))
    return gigabytes, max(float(number) for number in re.findall(r"\d+\.\d+", cells[3])), 1 + (TWICE in cells[2])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WebP"])
def test_no_image_took_more_than_the_page_states(kind: str) -> None:
    most_gb, most_seconds, times = stated(kind)
    rows = [row for row in ROWS if row["image"].startswith(kind) and "--out" not in row["image"]]
    assert rows
    needed = [(row["peak_mb"] - times * row["file_mb"]) / 1000 for row in rows]
    assert math.ceil(10 * max(needed)) / 10 == most_gb, needed
    assert max(row["seconds"] for row in rows) == most_seconds
    assert max(row["after_mb"] for row in ROWS) <= 204  # "at most 0.2 GB stays", rounded


def test_a_bound_that_is_too_low_is_found() -> None:
    (lossless,) = (row for row in ROWS if row["image"] == "WebP, lossless, noise")
    once = lossless["peak_mb"] - lossless["file_mb"]
    assert once / 1000 > stated("WebP")[0]  # so the file counts twice
