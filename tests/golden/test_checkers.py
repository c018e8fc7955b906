"""Every checker that can run here passes sound models and fails damaged ones, naming what differs."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from foreign_models import LABELS, write_model
from headless import run_page
from languages import FIXTURES, need, run

from fer_edge.golden.kit import write_kit

TINY, TINY_RAW = FIXTURES / "tiny.onnx", FIXTURES / "tiny_raw.onnx"

QUICK = pytest.mark.parametrize("check", ["python", "node", "cpp", "csharp"], indirect=True)
"""For what the JavaScript checker decides in the same lines everywhere: a browser takes seconds to start."""

Checker = Callable[[Path, Path], subprocess.CompletedProcess[str]]
"""Kit and model to exit code, line of figures on stdout or reason on stderr."""


@pytest.fixture(params=["python", "node", "wasm", "browser", "cpp", "csharp"])
def check(request: pytest.FixtureRequest) -> Checker:
    if request.param == "python":
        return lambda kit, model: run(sys.executable, kit / "check.py", model, folder=kit)
    if request.param == "cpp":
        build = request.getfixturevalue("cpp_build")
        return lambda kit, model: run(build / "check", kit, model, folder=kit)
    if request.param == "csharp":
        program = request.getfixturevalue("csharp_build")
        return lambda kit, model: run("mono", program, "check", kit, model, folder=kit)
    if request.param == "browser":
        need("chromium")
        project = request.getfixturevalue("browser_project")
        return lambda kit, model: check_in_browser(project, kit, model)
    project = request.getfixturevalue("node_project" if request.param == "node" else "browser_project")
    package = {"node": "onnxruntime-node", "wasm": "onnxruntime-web"}[request.param]
    return lambda kit, model: run("node", kit / "check.mjs", model, package, folder=project)


def check_in_browser(project: Path, kit: Path, model: Path) -> subprocess.CompletedProcess[str]:
    script = """
        import * as ort from "/ort/ort.wasm.min.mjs";
        import { checkKit, fetchFrom } from "/kit/check.mjs";
        ort.env.wasm.wasmPaths = "/ort/";
        ort.env.wasm.numThreads = 1;
        ort.env.logLevel = "fatal";
        const model = await fetchFrom("/model/")("FILE");
        show(await checkKit(ort, model, fetchFrom("/kit/")));
    """.replace("FILE", model.name)
    folders = {"ort": project / "node_modules" / "onnxruntime-web" / "dist", "kit": kit, "model": model.parent}
    outcome = run_page(script, folders)
    passed = outcome.startswith("ok: ")
    return subprocess.CompletedProcess([], int(not passed), outcome if passed else "", f"FAILED: {outcome}")


def changed(tmp_path: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    model = onnx.load(TINY)
    change(model)
    path = tmp_path / "changed.onnx"
    onnx.save(model, path)
    return path


def change_weights(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[onnx.ModelProto], None]:
    def apply(model: onnx.ModelProto) -> None:
        (weights,) = (tensor for tensor in model.graph.initializer if tensor.name == "weights")
        values = change(onnx.numpy_helper.to_array(weights).copy())
        weights.CopyFrom(onnx.numpy_helper.from_array(values, "weights"))

    return apply


@pytest.mark.parametrize("kind", ["pixels", "raw"])
def test_a_sound_model_passes_with_one_line_of_figures(check, kind, request):
    kit = request.getfixturevalue("tiny_kit" if kind == "pixels" else "tiny_raw_kit")
    done = check(kit, TINY if kind == "pixels" else TINY_RAW)
    assert done.returncode == 0, done.stderr
    figures = re.fullmatch(
        r"ok: 14 vectors, 26 images, onnxruntime 1\.\S+.*?: logits within (\S+) \(allowed 0.001\), "
        r"probabilities within (\S+) \(allowed 0.0001\)\n?",
        done.stdout,
    )
    assert figures, done.stdout
    assert 0 < float(figures[1]) < 1e-4
    assert 0 < float(figures[2]) < 1e-5


@pytest.mark.parametrize("check", ["python", "node", "wasm", "cpp", "csharp"], indirect=True)
def test_the_shipped_model_passes(check, shipped_model, shipped_kit):
    done = check(shipped_kit, shipped_model)
    assert done.returncode == 0, done.stderr


def test_one_changed_weight_is_named_by_the_first_vector_and_its_difference(check, tiny_kit, tmp_path):
    def grow(weights: np.ndarray) -> np.ndarray:
        weights[20, 3] += 1
        return weights

    done = check(tiny_kit, changed(tmp_path, change_weights(grow)))
    assert done.returncode == 1
    line = (
        r"FAILED: vector grey-faces, image 0: logits differ by 0\.\d+, allowed 0\.001; the file is not the kit's.*\n?"
    )
    assert re.fullmatch(line, done.stderr), done.stderr


@QUICK
def test_outputs_in_another_order_fail(check, tiny_kit, tmp_path):
    swapped = changed(tmp_path, change_weights(lambda weights: weights[:, [1, 0, 2, 3, 4, 5, 6]]))
    done = check(tiny_kit, swapped)
    assert done.returncode == 1
    assert "FAILED: vector grey-faces, image 0: logits differ by" in done.stderr


def test_a_card_with_labels_in_another_order_fails(check, tiny_kit, tmp_path):
    data = TINY.read_bytes()
    assert data.count(b'"angry", "disgust", "fear"') == 1
    model = tmp_path / "labels.onnx"
    model.write_bytes(data.replace(b'"angry", "disgust", "fear"', b'"fear", "disgust", "angry"'))
    done = check(tiny_kit, model)
    assert done.returncode == 1
    assert re.search(r"expected (angry, found fear|fear, found angry|the labels)", done.stderr), done.stderr


@QUICK
def test_a_kit_with_labels_in_another_order_fails(check, tiny_kit, tmp_path):
    kit = shutil.copytree(tiny_kit, tmp_path / "kit")
    for name, old, new in (
        ("manifest.json", '"labels": ["angry", "disgust"', '"labels": ["disgust", "angry"'),
        ("manifest.txt", "label angry\nlabel disgust", "label disgust\nlabel angry"),
    ):
        text = (kit / name).read_text()
        assert text.count(old) == 1
        (kit / name).write_text(text.replace(old, new))
    done = check(kit, TINY)
    assert done.returncode == 1
    assert "labels" in done.stderr


@QUICK
def test_a_changed_byte_that_changes_no_answer_fails_by_the_hash(check, tiny_kit, tmp_path):
    data = TINY.read_bytes()
    assert data.count(b"its answers mean nothing") == 1
    model = tmp_path / "byte.onnx"
    model.write_bytes(data.replace(b"its answers mean nothing", b"its answers mean Nothing"))
    done = check(tiny_kit, model)
    assert done.returncode == 1
    assert re.match(
        r"FAILED: all vectors agree; the file is not the kit's tiny\.onnx: SHA-256 [0-9a-f]{64}", done.stderr
    )


@QUICK
def test_answers_that_are_no_numbers_fail(check, tiny_kit, tmp_path):
    done = check(tiny_kit, changed(tmp_path, change_weights(lambda weights: weights * np.float32("nan"))))
    assert done.returncode == 1
    assert re.search(r"logits differ by nan", done.stderr, re.IGNORECASE), done.stderr


@QUICK
@pytest.mark.parametrize("content", [b"", b"no model", "half"])
def test_a_file_that_is_no_model_is_one_line(check, tiny_kit, tmp_path, content):
    model = tmp_path / "broken.onnx"
    model.write_bytes(TINY.read_bytes()[:1500] if content == "half" else content)
    done = check(tiny_kit, model)
    assert done.returncode == 1
    assert done.stderr.startswith("FAILED: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("check", ["browser"], indirect=True)
def test_a_browser_that_decodes_otherwise_is_found(check, tiny_kit, tmp_path):
    kit = shutil.copytree(tiny_kit, tmp_path / "kit")
    shutil.copy(kit / "images" / "jpeg-rgb.jpg", kit / "images" / "jpeg-turned.jpg")
    done = check(kit, TINY)
    assert "images/jpeg-turned.jpg: expected 60x80 pixels upright, found 96x112" in done.stderr


@QUICK
@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_another_makers_model_is_checked_by_what_the_kit_says_of_it(check, tmp_path, outputs):
    path = write_model(tmp_path / "theirs.onnx", shape=("n", 24, 24, 3), softmax=outputs == "probabilities")
    kit = write_kit(path, tmp_path / "kit", description={"labels": LABELS, "outputs": outputs}).folder
    assert check(kit, path).stdout.startswith("ok: ")
    other = write_model(tmp_path / "other.onnx", shape=("n", 24, 24, 3), softmax=outputs == "probabilities", gain=1.5)
    found = check(kit, other)
    assert found.returncode == 1
    assert "logits differ by" in found.stderr


@QUICK
def test_one_answer_that_is_no_number_fails_though_the_next_are_right(check, tmp_path):
    path = write_model(tmp_path / "theirs.onnx", shape=("n", 24, 24, 3), softmax=True)
    kit = write_kit(path, tmp_path / "kit", description={"labels": LABELS, "outputs": "probabilities"}).folder
    model = onnx.load(path)
    model.graph.node[-1].output[0] = "sound"
    model.graph.node.append(onnx.helper.make_node("Add", ["sound", "first"], ["scores"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([np.nan, 0, 0], np.float32), "first"))
    onnx.save(model, tmp_path / "nan.onnx")
    found = check(kit, tmp_path / "nan.onnx")
    assert found.returncode == 1
    assert re.search(r"logits differ by nan", found.stderr, re.IGNORECASE), found.stderr


@pytest.mark.parametrize("fault", [None, "weight", "labels", "byte"])
def test_cpp_and_csharp_say_the_same(fault, tiny_kit, cpp_build, csharp_build, tmp_path):
    """On one build of onnxruntime, to the last digit."""
    model = tmp_path / "model.onnx"
    data = TINY.read_bytes()
    old, new = {
        "labels": (b'"angry", "disgust", "fear"', b'"fear", "disgust", "angry"'),
        "byte": (b"its answers mean nothing", b"its answers mean Nothing"),
    }.get(fault, (b"", b""))
    model.write_bytes(data.replace(old, new) if old else data)
    if fault == "weight":
        model = changed(tmp_path, change_weights(lambda weights: weights * np.float32(1.1)))
    cpp = run(cpp_build / "check", tiny_kit, model, folder=tmp_path)
    found = run("mono", csharp_build, "check", tiny_kit, model, folder=tmp_path)
    assert (found.returncode, found.stdout, found.stderr) == (cpp.returncode, cpp.stdout, cpp.stderr)
    assert found.returncode == (0 if fault is None else 1)
