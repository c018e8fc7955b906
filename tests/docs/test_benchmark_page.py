"""The release diff on docs/benchmark.md is what the command wrote and said."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ROOT / "benchmarks" / "results" / "release"
PAGE = (ROOT / "docs" / "benchmark.md").read_text(encoding="utf-8")


def test_the_table_and_the_error_are_the_committed_ones() -> None:
    written = (RELEASE / "now.md").read_text(encoding="utf-8")
    table = next(part for part in written.split("\n\n") if part.startswith("| model") and "answers changed" in part)
    assert table in PAGE
    last = (RELEASE / "exit_codes.txt").read_text(encoding="utf-8").split("\n\n")
    codes = [part.splitlines()[1] for part in last if part.strip()]
    assert codes == [f"exit code {code}" for code in (0, 0, 3, 0)]
    assert last[2].splitlines()[2].removeprefix("error: ") in PAGE


def test_the_sentences_say_what_changed() -> None:
    resnet, _ = json.loads((RELEASE / "now-changes.json").read_text(encoding="utf-8"))["accuracy"]
    most = max(resnet["classes"], key=lambda one: (one["new"] - one["old"]) * one["num_faces"])
    assert f"the {most['name']} faces of `fer-resnet18` gained most ({most['old']:.1%}"[:-1] in PAGE
    assert f"to {100 * most['new']:.1f} %)" in PAGE
    assert f"{resnet['overall']['only_old_right']} faces that were right are wrong now" in PAGE
    lost = [face for face in resnet["changed_faces"] if face["old"] == face["label"]]
    assert len(lost) == resnet["overall"]["only_old_right"]


def test_measured_again_nothing_changed_and_the_ratios_are_those_of_the_page() -> None:
    again = (RELEASE / "again.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.split("|")]
        for line in again[again.index("## Against") :].split("\n\n")[1].splitlines()[2:]
    ]
    ratios = [f"{cells[8]} ({cells[9]})" for cells in rows]
    assert f"ratios of {' and '.join(ratios)}" in PAGE
    assert again.count("| unchanged |") == 2
