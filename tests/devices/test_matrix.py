"""The matrix: what it prints, what it keeps, and which reports it takes."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.devices.matrix import Matrix, Row, as_json, merged, read_matrix
from fer_edge.devices.progress import Reporter
from fer_edge.errors import ModelError, UsageError

SHA256 = "ab" * 32
PASSED = Row("native", "this machine", "passed", "ok", images=45, labels_changed=0, max_logit_difference=1e-7)
FAILED = replace(PASSED, device="x86-haswell", outcome="failed", reason="logits differ by 0.5", labels_changed=6)
NOT_RUN = Row("arm-max", "an ARM", "not run", "no qemu")


def matrix_of(*rows: Row) -> Matrix:
    return Matrix("tiny.onnx", SHA256, "int8", 0.1, 20, "sample", 0.7, rows, "here", "2026-11-27T12:00:00Z")


def test_it_is_true_only_where_something_ran_and_nothing_failed() -> None:
    assert matrix_of(PASSED, NOT_RUN)
    assert not matrix_of(PASSED, FAILED)
    assert not matrix_of(NOT_RUN)
    assert not matrix_of()


def test_it_is_kept_as_json_and_read_again(tmp_path: Path) -> None:
    matrix = matrix_of(PASSED, FAILED, NOT_RUN)
    (tmp_path / "m.json").write_text(as_json(matrix))
    assert read_matrix(tmp_path / "m.json") == matrix
    assert json.loads(as_json(matrix))["passed"] is False
    (tmp_path / "m.json").write_text('{"schema": "another"}')
    with pytest.raises(ModelError, match=r"m\.json: expected a matrix of 'verify --devices', found another file"):
        read_matrix(tmp_path / "m.json")


def test_the_page_names_what_failed_and_what_was_not_run() -> None:
    page = matrix_of(PASSED, FAILED, NOT_RUN).markdown()
    assert "| x86-haswell | this machine | failed | 1e-07 | 6 of 45 |" in page
    assert "* x86-haswell: failed: logits differ by 0.5" in page
    assert "* arm-max: not run: no qemu" in page
    assert "passed" not in page.partition("arm-max")[2]


def test_a_report_becomes_a_row_that_says_who_sent_it_and_replaces_its_former_one(
    tmp_path: Path, write_report: Callable[..., Path]
) -> None:
    report = write_report(tmp_path / "pi5.json")
    matrix = merged(matrix_of(PASSED), [report])
    assert matrix.rows[1].device == "reported: pi5"
    assert matrix.rows[1].reported_by == "pi5.json"
    assert "Cortex-A76" in matrix.rows[1].stands_for
    assert "passed (reported)" in matrix.markdown()
    assert matrix
    worse = merged(matrix, [write_report(tmp_path / "pi5.json", passed=False, reason="vector one differs")])
    assert [row.outcome for row in worse.rows] == ["passed", "failed"]
    assert not worse


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model": {"file": "tiny.onnx", "sha256": "cd" * 32}}, r"expected a report of tiny\.onnx \(abababababab\)"),
        ({"model": None}, r"expected a report of tiny\.onnx .*, found none"),
        ({"report": "another"}, "expected a report of 'check.py --report', found another file"),
        ({"images": "many"}, "expected a report of 'check.py --report', found another file"),
    ],
)
def test_reports_of_other_models_and_other_files_are_refused(
    tmp_path: Path, changes, expected, write_report: Callable[..., Path]
) -> None:
    with pytest.raises(ModelError, match=expected):
        merged(matrix_of(PASSED), [write_report(tmp_path / "r.json", **changes)])


def test_no_report_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="expected a report"):
        merged(matrix_of(PASSED), [])


def test_the_command_merges_into_the_files_and_fails_where_the_matrix_does(
    tmp_path: Path, write_report: Callable[..., Path]
) -> None:
    (tmp_path / "tiny-devices.json").write_text(as_json(matrix_of(PASSED)))
    words = ["devices", "merge", str(tmp_path / "tiny-devices.json"), str(write_report(tmp_path / "pi5.json"))]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "passed (reported)" in (tmp_path / "tiny-devices.md").read_text()
    write_report(tmp_path / "pi5.json", passed=False, reason="vector one differs")
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 3
    assert "reported: pi5: vector one differs" in done.output
    assert read_matrix(tmp_path / "tiny-devices.json").rows[1].outcome == "failed"


def test_a_person_sees_how_many_are_done_and_which_are_left() -> None:
    for is_terminal in (True, False):
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=is_terminal, width=100)
        with Reporter(2, console) as reporter:
            reporter.on_row(PASSED, ["x86-haswell"])
            reporter.on_row(FAILED, [])
        shown = stream.getvalue()
        assert "1 of 2  native: passed" in shown
        assert "2 of 2  x86-haswell: failed" in shown
        assert ("2/2" in shown) == is_terminal


def test_the_documentation_has_every_key_of_the_json_file() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")
    written = matrix_of(PASSED).to_dict()
    assert {key for key in (*written, *written["rows"][0]) if f"`{key}`" not in page} == set()
