"""The table of docs/parity.md says what the reports say that it links to."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| \[[^\]]+\]\(\.\./benchmarks/results/(parity-[\w-]+\.md)\) \| (.*) \|$", PAGE, re.MULTILINE)


def test_every_report_is_in_the_table() -> None:
    assert {name for name, _ in ROWS} == {path.name for path in RESULTS.glob("parity-*.md")}


@pytest.mark.parametrize(("name", "cells"), ROWS, ids=[name for name, _ in ROWS])
def test_the_row_has_the_numbers_of_its_report(name: str, cells: str) -> None:
    report = (RESULTS / name).read_text(encoding="utf-8")
    assert "parity passed: fer-resnet18" in report
    difference = re.search(r"largest difference of a probability +(\S+) +\(allowed (\S+)\)", report)
    noise = re.search(r"smallest SQNR of the logits +(\S+ dB)", report)
    accuracy = re.search(r"checkpoint (\S+%), model (\S+%) \(.*\), named differently (\S+%)", report)
    assert difference is not None
    assert noise is not None
    assert accuracy is not None
    before, after, changed = accuracy.groups()
    assert cells == " | ".join([*difference.groups(), noise[1], f"{before} → {after}", changed])
