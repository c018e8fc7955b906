"""What docs/evidence.md shows is what the commands printed."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["accept.txt", "forged.txt"])
def test_the_page_shows_what_was_printed(name: str) -> None:
    machine, *printed = (ROOT / "benchmarks" / "results" / "evidence" / name).read_text(encoding="utf-8").splitlines()
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    assert "\n".join(line.rstrip() for line in printed) in page
    assert machine.removeprefix("# ") in page
