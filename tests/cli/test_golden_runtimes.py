"""Kits of formats that onnxruntime does not run: ``check.py`` runs the model by its own runtime."""

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from fer_edge.golden.kit import write_kit

pytest.importorskip("torch")

RUNTIMES = sorted(
    Path(one.name).stem
    for one in resources.files("fer_edge.golden").joinpath("checkers", "runtimes").iterdir()
    if one.name.endswith(".py")
)


@pytest.fixture(scope="module", params=RUNTIMES)
def model(request, make_run, tmp_path_factory) -> Path:
    from fer_edge.export.exporter import export_checkpoint
    from fer_edge.export.formats.registry import format_named
    from fer_edge.export.request import ExportRequest

    backend = format_named(request.param).opened_by
    if not backend.is_installed:
        pytest.skip(f"{backend.package} is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    return export_checkpoint(ExportRequest(make_run(1, gain=1.8), file_format=request.param, folder=folder)).paths[0]


@pytest.fixture(scope="module")
def kit(model) -> Path:
    return write_kit(model).folder


def check(kit: Path, *arguments: object):
    command = [sys.executable, kit / "check.py", *map(str, arguments)]
    return subprocess.run(command, cwd=kit, capture_output=True, text=True, timeout=120)


def test_the_model_that_the_kit_is_of_passes_and_its_runtime_is_named(model, kit, tmp_path):
    done = check(kit, "--report", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["passed"] is True
    assert report["runtime"] in done.stdout
    assert not report["runtime"].startswith("onnxruntime")
    assert not (kit / "check.cpp").exists()
    stated = json.loads((kit / "manifest.json").read_text())["model"]
    assert stated["file"] == model.name
    assert {model.with_name(name).exists() for name in stated.get("files", {})} <= {True}


def test_another_answer_and_another_file_are_named(model, kit, tmp_path):
    manifest = kit / "manifest.json"
    before = manifest.read_bytes()
    stated = json.loads(before)
    try:
        stated["vectors"][0]["logits"][0][0] += 1
        manifest.write_text(json.dumps(stated))
        done = check(kit)
        assert done.returncode == 1
        assert f"FAILED: vector {stated['vectors'][0]['name']}, image 0: logits differ by 1" in done.stderr
        stated = json.loads(before)
        stated["model"]["sha256"] = "0" * 64
        manifest.write_text(json.dumps(stated))
        done = check(kit)
        assert done.returncode == 1
        assert f"all vectors agree; the file is not the kit's {model.name}" in done.stderr
    finally:
        manifest.write_bytes(before)


def test_a_file_that_the_runtime_refuses_is_one_line(model, kit, tmp_path):
    broken = tmp_path / model.name
    broken.write_bytes(model.read_bytes()[:40])
    done = check(kit, broken)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]  # runtimes write lines of their own before it
    assert last.startswith("FAILED: ")
    assert "cannot be loaded" in last
