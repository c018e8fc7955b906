"""Apps that make a usual mistake, and what the checkers say of their answers."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from languages import run
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.golden.kit import write_kit
from fer_edge.golden.mistakes import MISTAKES, wrong_order
from fer_edge.labels import FER2013, FERPLUS
from fer_edge.runtime.classifier import Classifier

pytest.importorskip("cv2")

from apps import (
    FILE_MISTAKES,
    FLOAT_MISTAKES,
    PIXEL_MISTAKES,
    TINY,
    answers_to,
    answers_with,
    bgr,
    inputs,
    manifest_of,
)


def check(kit: Path, answers: Any, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "answers.json"
    file.write_text(answers if isinstance(answers, str) else json.dumps(answers))
    return run(sys.executable, kit / "check.py", "--answers", file, folder=tmp_path)


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The mistake that a checker named."""
    assert done.returncode == 1, done.stdout
    assert len(done.stderr.splitlines()) == 1
    found = re.search(r"^FAILED: .*; your answers are (?:nearest to )?those of (.+)", done.stderr)
    assert found, done.stderr
    return found[1]


SAYS = {mistake.name: mistake.says for mistake in MISTAKES}


def test_an_app_without_a_mistake_passes(tiny_kit, tmp_path):
    done = check(tiny_kit, answers_to(inputs(tiny_kit)), tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        r"ok: 14 vectors, 26 images, answers of answers.json: logits within \S+ \(allowed 0.001\), "
        r"probabilities within \S+ \(allowed 0.0001\)\n",
        done.stdout,
    )


@pytest.mark.parametrize("name", PIXEL_MISTAKES)
def test_a_mistake_with_pixels_is_named(name, tiny_kit, tmp_path):
    assert said(check(tiny_kit, answers_with(name, tiny_kit), tmp_path)) == SAYS[name]


@pytest.mark.parametrize("name", FILE_MISTAKES)
def test_a_mistake_with_files_is_named(name, tiny_kit, tmp_path):
    assert said(check(tiny_kit, answers_with(name, tiny_kit), tmp_path)) == SAYS[name]


@pytest.mark.parametrize("name", FLOAT_MISTAKES)
def test_a_mistake_with_floats_is_named(name, tiny_raw_kit, tmp_path):
    assert said(check(tiny_raw_kit, answers_with(name, tiny_raw_kit), tmp_path)) == SAYS[name]


def test_every_mistake_is_made_here_or_is_another_makers_models():
    made = {*PIXEL_MISTAKES, *FILE_MISTAKES, *FLOAT_MISTAKES}
    assert set(SAYS) - made == {"range-0-255", "range-0-1", "no-mean-std"}
    assert made <= set(SAYS)


def test_a_mistake_with_files_alone_is_named(tiny_kit, tmp_path):
    """cv2.imread gives BGR; what the app makes otherwise is right."""
    decoded = {vector["name"] for vector in manifest_of(tiny_kit)["vectors"] if "image" in vector}
    feeds = ((name, bgr(images) if name in decoded else images) for name, images in inputs(tiny_kit))
    assert said(check(tiny_kit, answers_to(feeds), tmp_path)) == SAYS["swapped-red-blue"]


@pytest.mark.parametrize("form", ["label", "list", "object"])
def test_labels_in_another_order_are_named(form, tiny_kit, tmp_path):
    order = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # of the CSV file's column
    answers = answers_to(inputs(tiny_kit))
    for rows in answers.values():
        for row in rows:
            best = int(np.argmax(row["logits"]))
            probabilities = row["probabilities"]
            row.clear()
            if form != "object":
                row["label"] = order[best]
            if form == "list":
                row["probabilities"] = probabilities
            if form == "object":
                row["probabilities"] = dict(zip(order, probabilities, strict=True))
    assert "labels in the order of FER-2013's CSV file" in said(check(tiny_kit, answers, tmp_path))


def test_orders_of_other_label_sets():
    assert wrong_order(FERPLUS.names) == tuple(sorted(FERPLUS.names))
    assert wrong_order(("a", "b", "c")) is None
    assert wrong_order(FER2013.names) == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def test_probabilities_by_name_without_logits_are_enough(tiny_kit, tmp_path):
    for change, passes in ((lambda images: images, True), (bgr, False)):
        answers = {
            name: [{"probabilities": dict(zip(FER2013.names, row["probabilities"], strict=True))} for row in rows]
            for name, rows in answers_to((name, change(images)) for name, images in inputs(tiny_kit)).items()
        }
        done = check(tiny_kit, answers, tmp_path)
        assert done.returncode == int(not passes), done.stderr
        assert passes or said(done) == SAYS["swapped-red-blue"]


@pytest.mark.parametrize("seed", range(8))
def test_another_difference_is_given_no_name(seed, tiny_kit, tmp_path):
    noise = np.random.default_rng(seed)
    scale = noise.choice([0.01, 0.3, 3.0])
    answers = answers_to(inputs(tiny_kit))
    for rows in answers.values():
        for row in rows:
            row["logits"] = (row["logits"] + noise.normal(0, scale, 7)).tolist()
    done = check(tiny_kit, answers, tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(
        r"FAILED: vector grey-faces, image 0: logits differ by \S+, allowed 0.001; your answers are those of none of "
        r"the 21 mistakes that the kit knows\n",
        done.stderr,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda answers: "no JSON", "answers.json: expected JSON, found something else"),
        (lambda answers: "[" * 100_000, "answers.json: expected JSON, found something else"),
        (lambda answers: [1], "expected an object with an entry for each vector, found a list"),
        (
            lambda answers: {"grey-faces": answers["grey-faces"]},
            "expected all 14 vectors, found 1, none for rgb-faces",
        ),
        (lambda answers: {**answers, "mine": []}, 'expected the kit\'s vectors, found "mine"'),
        (
            lambda answers: {**answers, "rgb-faces": answers["rgb-faces"][:1]},
            "rgb-faces: expected a list of 2 answers, f",
        ),
        (
            lambda answers: {**answers, "jpeg-rgb": {}},
            "jpeg-rgb, image 0: expected label, probabilities or logits, found none",
        ),
        (
            lambda answers: {**answers, "jpeg-rgb": {"label": "joy"}},
            'expected one of the labels angry, disgust, .*"joy"',
        ),
        (lambda answers: {**answers, "jpeg-rgb": {"label": ["sad"]}}, "expected one of the labels .* found a list"),
        (lambda answers: {**answers, "jpeg-rgb": {"logits": [1.0] * 6}}, "image 0: expected 7 logits, found 6"),
        (
            lambda answers: {**answers, "jpeg-rgb": {"logits": [float("nan")] * 7}},
            "answers.json: expected JSON, found something else: NaN",
        ),
        (lambda answers: {**answers, "jpeg-rgb": {"logits": ["1"] * 7}}, 'logits that are numbers, found "1"'),
        (lambda answers: {**answers, "jpeg-rgb": {"probabilities": {"joy": 1}}}, 'in probabilities, found "joy"'),
        (lambda answers: {**answers, "jpeg-rgb": {"probabilities": {"sad": 1}}}, "found 1, none for angry"),
    ],
)
def test_what_is_no_answer_is_one_line(change, message, tiny_kit, tmp_path):
    right = {
        vector["name"]: [{"logits": row} for row in vector["logits"]] for vector in manifest_of(tiny_kit)["vectors"]
    }
    file = tmp_path / "answers.json"
    changed = change(right)
    file.write_text(changed if isinstance(changed, str) else json.dumps(changed))
    done = CliRunner().invoke(app, ["golden", "--check", str(tiny_kit), "--answers", str(file)])
    assert done.exit_code == 3, done.output
    assert len(done.stderr.splitlines()) == 1
    assert re.search(message, done.stderr), done.stderr


def test_the_command_line_compares_answers(tiny_kit, tmp_path):
    file = tmp_path / "answers.json"
    for change, code in ((lambda images: images, 0), (bgr, 3)):
        file.write_text(json.dumps(answers_to((name, change(images)) for name, images in inputs(tiny_kit))))
        done = CliRunner().invoke(app, ["golden", "--check", str(tiny_kit), "--answers", str(file)])
        assert done.exit_code == code, done.output
        assert ("ok: 14 vectors" in done.stdout) == (code == 0)
        assert ("your answers are those of swapped red and blue; feed red first" in done.stderr) == (code == 3)
    (tmp_path / "no-kit").mkdir()
    for words, code, message in (
        (("--check", tmp_path / "no-kit", "--answers", file), 1, "expected a kit of golden vectors, found no manifest"),
        (("--check", tiny_kit), 2, "expected --check KIT with --answers FILE"),
        (("--answers", file), 2, "expected --check KIT with --answers FILE"),
        (("--check", tiny_kit, "--answers", tmp_path / "none.json"), 1, "none.json: expected what an app answered"),
    ):
        done = CliRunner().invoke(app, ["golden", *map(str, words)])
        assert done.exit_code == code, done.output
        assert message in done.stderr


def test_answers_are_checked_without_onnxruntime_and_the_model(tiny_kit, tmp_path):
    kit = shutil.copytree(tiny_kit, tmp_path / "kit")
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('not here')")
    file = tmp_path / "answers.json"
    file.write_text(json.dumps(answers_to(inputs(kit))))
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import runpy; sys.argv = ['check.py', '--answers', "
    code += f"{str(file)!r}]; runpy.run_path({str(kit / 'check.py')!r}, run_name='__main__')"
    done = run(sys.executable, "-c", code, folder=tmp_path)
    assert done.returncode == 0, done.stderr


def test_an_older_kit_names_no_mistake(tiny_kit, tmp_path):
    kit = shutil.copytree(tiny_kit, tmp_path / "kit")
    manifest = manifest_of(kit)
    del manifest["mistakes"]
    (kit / "manifest.json").write_text(json.dumps(manifest))
    feeds = ((name, bgr(images)) for name, images in inputs(kit))
    done = check(kit, answers_to(feeds), tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(r"FAILED: vector rgb-faces, image 0: logits differ by \S+, allowed 0.001\n", done.stderr)


def test_the_shipped_models_kit_knows_every_mistake_that_its_app_can_make(shipped_kit):
    known = {mistake["name"] for mistake in manifest_of(shipped_kit)["mistakes"]}
    assert known == {*PIXEL_MISTAKES, *FILE_MISTAKES, "label-order"}


def test_the_shipped_models_answers_to_bgr_and_cv2_are_named(shipped_kit, shipped_model, tmp_path):
    for name in ("swapped-red-blue", "no-antialias", "nearest-upper-left", "luma-mean", "transposed"):
        feeds = ((vector, PIXEL_MISTAKES[name](images)) for vector, images in inputs(shipped_kit))
        assert said(check(shipped_kit, answers_to(feeds, shipped_model), tmp_path)) == SAYS[name]


def test_a_foreign_models_kit_knows_what_its_description_forbids(tmp_path):
    from foreign_models import LABELS, write_model

    path = write_model(tmp_path / "theirs.onnx", shape=("n", 24, 24, 3))
    kit = write_kit(path, tmp_path / "kit", description={"labels": LABELS, "mean": (0.5,), "std": (0.5,)}).folder
    known = {mistake["name"] for mistake in manifest_of(kit)["mistakes"]}
    assert known >= {"swapped-red-blue", "range-0-255", "no-mean-std", "margin-1.5"}
    assert not known & {"luma-mean", "divided-before", "divided-twice", "planes"}
    answers = {}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for vector in manifest_of(kit)["vectors"]:
        feed = np.fromfile(kit / vector["file"], np.float32).reshape(vector["shape"])
        (found,) = session.run(None, {session.get_inputs()[0].name: feed * np.float32(0.5) + np.float32(0.5)})
        answers[vector["name"]] = [{"logits": row.tolist()} for row in found]
    assert said(check(kit, answers, tmp_path)) == SAYS["no-mean-std"]


def graph_with(mistake: str, path: Path) -> Path:
    """tiny.onnx exported with a mistake in its graph."""
    model = onnx.load(TINY)
    nodes, constants = model.graph.node, model.graph.initializer
    if mistake == "swapped-red-blue":
        constants.append(onnx.numpy_helper.from_array(np.array([2, 1, 0]), "blue_first"))
        (weigh,) = (node for node in nodes if "luma" in node.input)
        weigh.input[1] = "swapped"  # of the colours' weights: grey images have none to swap
        nodes.insert(0, onnx.helper.make_node("Gather", ["luma", "blue_first"], ["swapped"]))
    elif mistake == "no-antialias":
        (resize,) = (node for node in nodes if node.op_type == "Resize")
        (antialias,) = (attribute for attribute in resize.attribute if attribute.name == "antialias")
        antialias.i = 0
    else:  # divided by 255 before what the graph does to 0-255
        at = next(at for at, node in enumerate(nodes) if node.op_type == "Sub")
        constants.append(onnx.numpy_helper.from_array(np.array(255, np.float32), "levels"))
        nodes[at].input[0] = "small"
        nodes.insert(at, onnx.helper.make_node("Div", ["face", "levels"], ["small"]))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("mistake", ["swapped-red-blue", "no-antialias", "divided-before"])
@pytest.mark.parametrize("check_model", ["python", "node", "cpp"])
def test_a_model_exported_with_a_mistake_is_named(check_model, mistake, tiny_kit, tmp_path, request):
    model = graph_with(mistake, tmp_path / "mistaken.onnx")
    if check_model == "python":
        done = run(sys.executable, tiny_kit / "check.py", model, folder=tmp_path)
    elif check_model == "cpp":
        done = run(request.getfixturevalue("cpp_build") / "check", tiny_kit, model, folder=tmp_path)
    else:
        project = request.getfixturevalue("node_project")
        done = run("node", tiny_kit / "check.mjs", model, folder=project)
    assert "the file is not the kit's tiny.onnx" in done.stderr
    assert said(done).startswith(SAYS[mistake])


def test_the_classifier_is_the_app_without_a_mistake(tiny_kit):
    """What the other tests compare with."""
    for name, images in inputs(tiny_kit):
        (vector,) = (vector for vector in manifest_of(tiny_kit)["vectors"] if vector["name"] == name)
        _, logits = Classifier.load(TINY).probabilities_and_logits(images)
        np.testing.assert_allclose(logits, vector["logits"], atol=1e-4)
