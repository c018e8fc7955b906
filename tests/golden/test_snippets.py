"""The JavaScript, Node and C++ of a model's card, run as they stand there, answer as Python does.

The Python of the card is run by tests/export/test_model_card.py.
"""

import json
import shutil

import numpy as np
import pytest
from languages import FIXTURES, INSTALL_TIMEOUT_S, need, run
from PIL import Image

from fer_edge.data.sample import synthetic_face
from fer_edge.export.card.snippets import snippets
from fer_edge.metadata import ModelMetadata
from fer_edge.runtime.classifier import Classifier

HEIGHT, WIDTH = 60, 50


def snippet_of(name: str, language: str) -> str:
    card = ModelMetadata.from_json((FIXTURES / f"{name}.json").read_bytes())
    (code,) = (code for _, kind, code in snippets(card, f"{name}.onnx") if kind == language)
    return code


def rgb_face() -> np.ndarray:
    tint = np.array((1.0, 0.8, 0.6))
    grey = np.kron(synthetic_face(3, seed=1), np.ones((2, 2)))[:HEIGHT, :WIDTH]
    return (grey[..., np.newaxis] * tint).astype(np.uint8)


@pytest.fixture
def javascript(browser_project, tmp_path):
    """Runs a module in a folder with the committed models and onnxruntime-web."""
    return module_runner(browser_project, tmp_path)


@pytest.fixture
def node(node_project, tmp_path):
    """Runs a module in a folder with the committed models, onnxruntime-node and sharp."""
    return module_runner(node_project, tmp_path)


def module_runner(project, folder):
    def run_module(code: str) -> str:
        (folder / "node_modules").symlink_to(project / "node_modules")
        for name in ("tiny.onnx", "tiny_raw.onnx"):
            shutil.copy(FIXTURES / name, folder)
        (folder / "face.mjs").write_text(code)
        done = run("node", "face.mjs", folder=folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_module


def test_javascript_of_the_card(javascript):
    face = rgb_face()
    rgba = np.dstack([face, np.full(face.shape[:2], 255, np.uint8)])
    canvas = (
        f"const pixels = {{ data: new Uint8ClampedArray({json.dumps(rgba.ravel().tolist())}), width: {WIDTH}, "
        f"height: {HEIGHT} }};\n"
        f"const context = {{ getImageData: () => pixels }};\n"
        f"globalThis.canvas = {{ width: {WIDTH}, height: {HEIGHT}, getContext: () => context }};\n"
    )
    said = javascript(canvas + snippet_of("tiny", "js")).split()
    expected = Classifier.load(FIXTURES / "tiny.onnx").predict(face)
    assert said[0] == expected.label
    assert float(said[1]) == pytest.approx(expected.confidence, abs=1e-4)


def test_javascript_of_a_raw_models_card(javascript):
    face = synthetic_face(5, seed=1)
    grey = f"globalThis.grey = new Float32Array({json.dumps(face.ravel().tolist())});\n"
    said = javascript(grey + snippet_of("tiny_raw", "js"))
    assert said.strip() == Classifier.load(FIXTURES / "tiny_raw.onnx").predict(face).label


@pytest.mark.parametrize(
    ("name", "tolerance"), [("tiny", 1e-3), ("tiny_raw", 0.02)], ids=["pixels", "resized by sharp"]
)
def test_node_of_the_card_runs_as_it_is_written(name, tolerance, node, tmp_path):
    photo = Image.fromarray(np.kron(rgb_face(), np.ones((3, 3, 1))).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    photo.save(tmp_path / "face.jpg", quality=95, exif=exif)
    said = node(snippet_of(name, "mjs"))
    expected = Classifier.load(FIXTURES / f"{name}.onnx").predict(tmp_path / "face.jpg").probabilities
    found = {label: float(share) for label, share in (line.split() for line in said.splitlines())}
    assert found == pytest.approx(dict(expected), abs=tolerance)


@pytest.mark.parametrize("page", sorted((FIXTURES.parents[1] / "exported").glob("*.md")), ids=lambda page: page.stem)
def test_shipped_pages_show_these_very_blocks(page):
    card = ModelMetadata.from_json(page.with_suffix(".json").read_bytes())
    text = page.read_text(encoding="utf-8")
    for title, language, code in snippets(card, f"{page.stem}.onnx"):
        assert f"### {title}\n\n```{language}\n{code}```\n" in text


@pytest.mark.parametrize("name", ["tiny", "tiny_raw"])
def test_cpp_of_the_card(name, native_onnxruntime, tmp_path):
    need("c++")
    raw = name == "tiny_raw"
    face = synthetic_face(5, seed=1) if raw else rgb_face()
    classifier = Classifier.load(FIXTURES / f"{name}.onnx")
    feed = classifier.feed(face[np.newaxis] if not raw else face[np.newaxis, ..., np.newaxis])
    feed.tofile(tmp_path / "feed.bin")
    shutil.copy(FIXTURES / f"{name}.onnx", tmp_path)
    kind, call = ("float", "logits(feed)") if raw else ("uint8_t", f"probabilities(feed, {HEIGHT}, {WIDTH})")
    (tmp_path / "call.cpp").write_text(
        snippet_of(name, "cpp")
        + f"""
#include <cstdio>
#include <fstream>

int main() {{
  std::vector<{kind}> feed({feed.size});
  std::ifstream("feed.bin", std::ios::binary).read(reinterpret_cast<char*>(feed.data()), {feed.nbytes});
  Expressions model;
  for (float value : model.{call}) std::printf("%.9g\\n", value);
}}
"""
    )
    library = native_onnxruntime / "lib"
    paths = (f"-isystem{native_onnxruntime / 'include'}", f"-L{library}", f"-Wl,-rpath,{library}")
    compiled = run(
        *("c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "call.cpp", *paths, "-lonnxruntime", "-o", "call"),
        folder=tmp_path,
        timeout=INSTALL_TIMEOUT_S,
    )
    assert compiled.returncode == 0, compiled.stderr
    done = run(tmp_path / "call", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    probabilities, logits = classifier.probabilities_and_logits(
        face[np.newaxis] if not raw else face[np.newaxis, ..., np.newaxis]
    )
    found = [float(line) for line in done.stdout.splitlines()]
    assert found == pytest.approx((logits if raw else probabilities)[0].tolist(), abs=1e-4)
