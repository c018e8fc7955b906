"""The numbers of docs/evaluation.md's examples are those that were measured."""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "groups" / "fer-resnet18"
PAGE = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")


def test_the_example_of_groups_says_what_was_measured() -> None:
    table = (RESULTS / "groups-validation.md").read_text(encoding="utf-8")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    rows = {cells[0]: cells[1:] for cells in lines if cells}
    points = r"bright over dark by ([\d.]+) points \(\S+ to ([\d.]+)\)"
    gap = re.search(points + r"; not told from chance \(p = ([\d.]+)\)", table)
    assert gap is not None
    few = rows["fewer than 5"]
    example = " ".join(PAGE[PAGE.index("Read them so:") :].split("\n\n")[0].split())
    assert f"right on {rows['8 or more of 10'][1]}, where fewer than 5 do on {few[1]};" in example
    assert f"for {few[6]} of these answers are not certain" in example
    assert f"are {gap[1]} points, which is not told from chance (p = {gap[3]}): a gap of {gap[2]} points" in example


def test_the_example_of_a_release_says_what_was_measured() -> None:
    found: dict[str, Any] = json.loads((RESULTS / "changes-validation.json").read_text(encoding="utf-8"))
    example = " ".join(PAGE[PAGE.index("Example: what INT8 changed") :].split("\n\n")[0].split())
    total, changed = found["overall"], len(found["changed_faces"])
    assert f"{changed} answers of {total['num_faces']:,}, of which {total['only_old_right']} were right" in example
    assert f"and {total['only_new_right']} are now; as many would come of chance" in example
    assert f"(p = {total['p_value']:.2g})" in example
