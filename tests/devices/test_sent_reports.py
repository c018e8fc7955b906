"""Reports come from other people's machines: each keeps its row, and what they say is read with care."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.devices.matrix import Matrix, Row, as_json, merged
from fer_edge.errors import ModelError

SHA256 = "ab" * 32
NATIVE = Row("native", "this machine", "passed", "ok", images=45, labels_changed=0, max_logit_difference=1e-7)
MATRIX = Matrix("tiny.onnx", SHA256, "int8", 0.1, 20, "sample", 0.7, (NATIVE,), "here", "2026-11-27T12:00:00Z")


def test_two_owners_who_both_send_report_json_both_get_a_row(tmp_path: Path, write_report: Callable[..., Path]) -> None:
    failed = write_report(tmp_path / "a" / "report.json", passed=False, reason="vector one differs")
    passed = write_report(tmp_path / "b" / "report.json", processor="Intel N100", machine="x86_64")
    matrix = merged(merged(MATRIX, [failed]), [passed])
    assert [(row.device, row.outcome) for row in matrix.rows[1:]] == [
        ("reported: report", "failed"),
        ("reported: report (2)", "passed"),
    ]
    assert not matrix
    assert len(merged(matrix, [passed]).rows) == 3  # the same machine again


@pytest.mark.parametrize(
    "changes",
    [
        {"max_logit_difference": 5.0},
        {"max_logit_difference": None},
        {"images": 0},
        {"max_logit_difference": -1.0},
        {"labels_changed": 26},
        {"labels_changed": -1},
    ],
)
def test_figures_that_contradict_a_report_are_refused(
    tmp_path: Path, changes: dict[str, Any], write_report: Callable[..., Path]
) -> None:
    with pytest.raises(ModelError, match=r"r\.json: expected figures that agree"):
        merged(MATRIX, [write_report(tmp_path / "r.json", **changes)])


def test_a_report_that_could_not_even_load_the_model_is_taken_as_failed(
    tmp_path: Path, write_report: Callable[..., Path]
) -> None:
    changes = {"images": 0, "labels_changed": None, "max_logit_difference": None, "passed": False}
    assert not merged(MATRIX, [write_report(tmp_path / "r.json", **changes)])


@pytest.mark.parametrize("name", ["[/nope] [red]", "a | b\nsecond line", "\x1b[2Jcleared", "<script>"])
def test_a_processors_name_is_shown_as_text_and_breaks_no_table(
    tmp_path: Path, name: str, write_report: Callable[..., Path]
) -> None:
    (tmp_path / "m.json").write_text(as_json(MATRIX))
    report = write_report(tmp_path / "r.json", processor=name)
    done = CliRunner().invoke(app, ["devices", "merge", str(tmp_path / "m.json"), str(report)])
    assert done.exit_code == 0, done.output
    assert "\x1b[2J" not in done.output
    table = [line for line in (tmp_path / "m.md").read_text().splitlines() if line.startswith("|")]
    assert len(table) == 4
    assert all(line.replace("\\|", "").count("|") == 8 for line in table)
    assert "<script>" not in "".join(table)
