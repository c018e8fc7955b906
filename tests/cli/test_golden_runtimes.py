"""Kits of formats that onnxruntime does not run: ``check.py`` runs the model by its own runtime."""

import json
import subprocess
import sys
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_edge.backends.registry import open_model
from fer_edge.golden import make_vectors
from fer_edge.golden.kit import write_kit
from fer_edge.golden.mistakes import MISTAKES

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


def sources(kit: Path):
    """Of each vector of the kit: its entry, and the pixels (N, H, W, C) that it was made of."""
    made = {vector.name: vector.pixels for vector in make_vectors()}
    for entry in json.loads((kit / "manifest.json").read_text())["vectors"]:
        name, _, number = entry["name"].rpartition("-")
        if entry["name"] in made:
            yield entry, made[entry["name"]]
        else:  # a model of one image at a time
            yield entry, made[name][int(number) - 1 : int(number)]


def stored(kit: Path, entry, pixels):
    """What lies in a file: not upright, and without its alpha."""
    with Image.open(kit / entry["image"]["file"]) as image:
        found = np.asarray(image)
    return found.reshape(1, *found.shape[:2], -1)[..., :3]


def wide(kit: Path, entry, pixels):
    with Image.open(kit / entry["photo"]["file"]) as image:
        photo = np.asarray(image)
    x, y, width, height = entry["photo"]["box"]
    padded, side = np.pad(photo, ((99, 99), (99, 99), (0, 0)), mode="edge"), round(1.5 * max(width, height))
    left, top = 99 + round(x + width / 2 - side / 2), 99 + round(y + height / 2 - side / 2)
    return padded[np.newaxis, top : top + side, left : left + side]


def bgr(kit: Path, entry, pixels):
    return pixels[..., [2, 1, 0, 3][: pixels.shape[3]]] if pixels.shape[3] > 1 else pixels


def nearest(kit: Path, entry, pixels):
    rows, columns = ((np.arange(48) + 0.5) * size / 48 for size in pixels.shape[1:3])
    return pixels[:, rows.astype(int)][:, :, columns.astype(int)]


def mean(kit: Path, entry, pixels):
    grey = pixels[..., :3].mean(axis=3, keepdims=True)
    return np.rint(grey).astype(np.uint8) if pixels.shape[3] > 1 else pixels


PIXELS = {
    "swapped-red-blue": bgr,
    "nearest": nearest,
    "luma-mean": mean,
    "transposed": lambda kit, entry, pixels: pixels.swapaxes(1, 2),
    "exif-ignored": lambda kit, entry, pixels: stored(kit, entry, pixels) if "turned" in entry["name"] else pixels,
    "alpha-dropped": lambda kit, entry, pixels: stored(kit, entry, pixels) if "transp" in entry["name"] else pixels,
    "margin-1.5": lambda kit, entry, pixels: wide(kit, entry, pixels) if "photo" in entry else pixels,
}
BYTES = {
    "divided-before": lambda feed, mean, std: feed // 255,
    "float-bytes": lambda feed, *_: np.frombuffer(feed.astype("<f4").tobytes()[: feed.size], np.uint8),
    "normalised-before": lambda feed, mean, std: np.trunc((feed / 255 - mean) / std).astype(np.int8).view(np.uint8),
}


def test_mistakes_of_apps_are_named(model, kit, tmp_path):
    """Each that a kit of this format knows of those that are made here; the rest of the app is right."""
    backend = open_model(model, threads=1)
    known = {mistake["name"] for mistake in json.loads((kit / "manifest.json").read_text())["mistakes"]}
    says = {mistake.name: mistake.says for mistake in MISTAKES}
    assert known >= {*PIXELS, *BYTES} - {"alpha-dropped"}
    file = tmp_path / "answers.json"

    def said(feed_of):
        answers = {}
        for entry, pixels in sources(kit):
            found = backend.run_feed(np.ascontiguousarray(feed_of(entry, pixels)))
            answers[entry["name"]] = [{"logits": row.tolist()} for row in found.logits]
        file.write_text(json.dumps(answers))
        done = check(kit, "--answers", file)
        return done.returncode, done.stdout + done.stderr

    assert said(lambda entry, pixels: backend.prepare(pixels))[0] == 0

    def mistaken(name, entry, pixels):
        if name in PIXELS:
            return backend.prepare(PIXELS[name](kit, entry, pixels))
        right = np.asarray(backend.prepare(pixels))
        return BYTES[name](right, backend.metadata.mean, backend.metadata.std).reshape(right.shape)

    for name in known & {*PIXELS, *BYTES}:
        code, line = said(partial(mistaken, name))
        assert code == 1
        assert line.endswith(f"those of {says[name]}\n"), (name, line)


def test_a_kit_without_a_runtime_compares_what_an_app_answered(make_run, tmp_path):
    from fer_edge.export.exporter import export_checkpoint
    from fer_edge.export.request import ExportRequest

    pytest.importorskip("coremltools", reason="needs pip install 'fer-edge[coreml]'")
    request = ExportRequest(make_run(1, gain=1.8), file_format="coreml", folder=tmp_path)
    kit = write_kit(export_checkpoint(request).paths[0]).folder
    done = check(kit)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "check.py runs no models of this format" in done.stderr
    vectors = json.loads((kit / "manifest.json").read_text())["vectors"]
    answers = {one["name"]: [{"logits": logits} for logits in one["logits"]] for one in vectors}
    for off_by, code in ((0, 0), (1, 1)):
        answers[vectors[0]["name"]][0]["logits"][0] += off_by
        (tmp_path / "answers.json").write_text(json.dumps(answers))
        done = check(kit, "--answers", tmp_path / "answers.json")
        assert done.returncode == code, done.stderr
