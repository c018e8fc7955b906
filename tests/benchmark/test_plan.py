import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fer_edge.backends import registry
from fer_edge.benchmark.plan import distinct_names, plan_rows, why_no_row, with_distinct_names
from fer_edge.benchmark.request import BenchmarkRequest
from fer_edge.benchmark.rows import Subject, Wanted
from fer_edge.errors import FerEdgeError, ModelError, ProviderError, UsageError

TINY = Path(__file__).parent.parent / "fixtures" / "tiny.onnx"
SUBJECT = Subject("net", Path("net.onnx"), "onnx", "fp32", "tiny", "family", 48, 0, False, "0" * 64, 10, False)


def copied(folder: Path, name: str = "tiny") -> Path:
    """The tiny model under another path; its metadata keep their name."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in (".onnx", ".json"):
        shutil.copy(TINY.with_suffix(suffix), folder / f"{name}{suffix}")
    return folder / f"{name}.onnx"


def planned(
    *models: Path, runtimes: tuple[str, ...] = ("onnxruntime",), folder: Path = Path("exported")
) -> tuple[list[str], list[str]]:
    """Names of the models of all rows, and what was noted."""
    request = BenchmarkRequest(models=models, folder=folder, runtimes=runtimes)
    notes: list[str] = []
    rows = plan_rows(request, Wanted(runtimes, "cpu", (1,), (1,)), Path(), notes.append, notes.append)
    return [one.row.model for one in rows], notes


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["exported/net.onnx"], ["net"]),
        (["a/net.onnx", "b/net.onnx", "c/other.onnx"], ["a/net.onnx", "b/net.onnx", "other"]),
        (["a/net.onnx", "a/net.ort"], ["net.onnx", "net.ort"]),
        (["a/x/net.onnx", "b/x/net.onnx", "b/y/net.onnx"], ["a/x/net.onnx", "b/x/net.onnx", "y/net.onnx"]),
        (["net.onnx", "/net.onnx"], ["net.onnx", "//net.onnx"]),
        (["a/net.onnx", "net.onnx"], ["a/net.onnx", "net.onnx"]),
    ],
)
def test_a_file_has_as_much_of_its_path_as_tells_it_from_the_others(paths, names):
    found = distinct_names([Path(path).stem for path in paths], [Path(path) for path in paths])
    assert found == [name.replace("//", "/") for name in names]


def test_a_name_is_shown_on_one_line():
    assert distinct_names(["a\nb"], [Path("a\nb.onnx")]) == ["a\\nb"]


def test_two_files_whose_metadata_have_one_name_are_both_measured(tmp_path):
    names, notes = planned(copied(tmp_path / "a"), copied(tmp_path / "b"), copied(tmp_path, "renamed"))
    assert names == ["a/tiny.onnx", "b/tiny.onnx", "renamed"]
    assert notes == []


def test_what_is_exported_from_a_checkpoint_has_its_name_and_another_file_of_that_name_its_path():
    run = replace(SUBJECT, checkpoint=Path("runs/net"), path=Path("runs/net/checkpoints/best.pt"))
    made = replace(SUBJECT, checkpoint=Path("runs/net"), path=Path("/tmp/net-fp16.onnx"))
    assert [one.name for one in with_distinct_names([run, made])] == ["net", "net"]
    given = replace(SUBJECT, path=Path("exported/net.onnx"))
    assert [one.name for one in with_distinct_names([given, run, made])] == ["net.onnx", "net", "net"]


def test_a_file_that_is_named_twice_is_measured_once_and_that_is_said(tmp_path):
    path = copied(tmp_path)
    assert planned(path, path) == (["tiny"], [f"{path}: named twice, measured once"])
    if sys.platform != "win32":  # which lets few make links
        link = tmp_path / "latest.onnx"
        link.symlink_to(path)
        shutil.copy(path.with_suffix(".json"), tmp_path / "latest.json")
        assert planned(path, link) == (["tiny"], [f"{link}: the same file as {path}, measured once"])


def test_a_named_file_that_yields_no_row_is_refused_and_one_of_a_folder_is_said(tmp_path):
    path = copied(tmp_path)
    with pytest.raises(
        UsageError, match=r"tiny.onnx: expected onnxruntime or openvino among --runtimes, for fp32 onnx"
    ):
        planned(path, runtimes=("pt2",))
    notes: list[str] = []
    request = BenchmarkRequest(folder=tmp_path, runtimes=("pt2",))
    with pytest.raises(ModelError, match="expected rows to measure, found none for --runtimes pt2"):
        plan_rows(request, Wanted(("pt2",), "cpu", (1,), (1,)), tmp_path, notes.append, notes.append)
    assert notes[0].startswith(f"{path}: expected onnxruntime or openvino among --runtimes")


def test_files_of_a_folder_that_run_code_are_left_out_and_said(tmp_path):
    copied(tmp_path)
    (tmp_path / "net.pt2").touch()
    names, notes = planned(folder=tmp_path)
    assert names == ["tiny"]
    assert notes == [
        f"{tmp_path / 'net.pt2'}: left out: loading it runs the code in it; add --trust if you trust where it is from"
    ]


@pytest.mark.parametrize(
    ("subject", "options", "kind", "message"),
    [
        (
            {"file_format": "pt2"},
            {"runtimes": ("onnxruntime", "openvino")},
            UsageError,
            "net.onnx: expected pt2 among --runtimes, for fp32 pt2 files, found onnxruntime,openvino; add it, or leave",
        ),
        (
            {},
            {"runtimes": ("openvino",), "provider": "cuda"},
            ProviderError,
            "net.onnx: expected a runtime that runs fp32 onnx files on cuda, found openvino, which cannot; leave out",
        ),
        (
            {"precision": "fp16"},
            {"runtimes": ("onnxruntime",)},
            UsageError,
            "net.onnx: expected a runtime that runs fp16 onnx files among --runtimes, found onnxruntime; add one of",
        ),
    ],
)
def test_a_file_without_a_row_is_told_what_to_change(subject, options, kind, message):
    reason = why_no_row(replace(SUBJECT, **subject), BenchmarkRequest(**options))
    assert isinstance(reason, kind)
    assert str(reason).startswith(message)


def test_a_file_whose_runtime_is_not_installed_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    reason: FerEdgeError = why_no_row(replace(SUBJECT, file_format="pt2"), BenchmarkRequest())
    assert str(reason).endswith(
        "expected the package 'torch', for fp32 pt2 files, found none; run: pip install 'fer-edge[train]'"
    )
