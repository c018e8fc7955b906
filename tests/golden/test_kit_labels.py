"""Models of any number of classes with any names, through the runtime, the commands, the kits and the page."""

import csv
import io
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from languages import FIXTURES, run
from PIL import Image
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.data.sample import synthetic_face
from fer_edge.errors import ModelError, WebError
from fer_edge.golden.kit import write_kit
from fer_edge.labels import FER2013, FERPLUS
from fer_edge.metadata import METADATA_KEY
from fer_edge.runtime.annotation import annotate
from fer_edge.runtime.checksum import add_checksum
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.photos import FaceSearch
from fer_edge.web.onnxruntime_web import FILES
from fer_edge.web.site import write_site

sys.path.insert(0, str(FIXTURES))
from make_tiny_model import PIXELS_IN, write_model  # the script beside the fixtures

LABEL_SETS = {
    "two": ("calm", "not calm"),
    "scripts": (
        "\u5b09\u3057\u3044",
        "\u062d\u0632\u064a\u0646",
        "na\u00efve",
        "\U0001f600",
        "\u60b2\u3057\u3044 \u9854",
    ),
    "ferplus": FERPLUS.names,
    "escapes": ("a,b", 'say "hi"', "back\\slash", "<b>&amp;</b>", "]", '"], ["', "source", '", "labels": ["x'),
}


@pytest.fixture(scope="module", params=LABEL_SETS)
def labelled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    """A model of a few KB and its labels."""
    labels = LABEL_SETS[request.param]
    return write_model("tiny", PIXELS_IN, labels, tmp_path_factory.mktemp(request.param)), labels


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("faces")
    for index in range(4):
        Image.fromarray(synthetic_face(index, seed=1)).save(folder / f"{index}.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def labelled_kit(labelled, tmp_path_factory) -> Path:
    return write_kit(labelled[0], tmp_path_factory.mktemp("kit") / "kit").folder


def test_predictions_have_the_models_labels(labelled, faces):
    path, labels = labelled
    classifier = Classifier.load(path, threads=1)
    assert classifier.labels == classifier.metadata.label_set.names == labels
    for prediction in classifier.predict_many(faces):
        assert tuple(prediction.probabilities) == labels
        assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert prediction.label == max(prediction.probabilities, key=prediction.probabilities.__getitem__)
    photo = classifier.predict_faces(faces[0], search=FaceSearch("crop"))
    assert photo.faces[0].label in labels
    assert annotate(np.zeros((48, 48, 3), np.uint8), photo.faces).any()


def test_csv_json_chart_and_info_say_the_labels(labelled, faces):
    path, labels = labelled
    images = [str(face) for face in faces]
    expected = [one.label for one in Classifier.load(path, threads=1).predict_many(faces)]
    table = CliRunner().invoke(app, ["predict", *images, "--model", str(path), "--csv"])
    header, *rows = csv.reader(io.StringIO(table.stdout))
    assert len(header) == len(set(header)) == 3 + len(labels) + 12
    assert [name.removeprefix("probability of ") for name in header[3 : 3 + len(labels)]] == list(labels)
    assert [row[1] for row in rows] == expected
    assert all(len(row) == len(header) for row in rows)
    found = json.loads(CliRunner().invoke(app, ["predict", *images, "--model", str(path), "--json"]).stdout)
    assert [one["label"] for one in found["results"]] == expected
    assert list(found["results"][0]["probabilities"]) == list(labels)
    chart = CliRunner().invoke(app, ["predict", images[0], "--model", str(path)]).stdout
    assert all(f"  {label} " in chart for label in labels)
    assert f"labels       {', '.join(labels)}\n" in CliRunner().invoke(app, ["info", str(path)]).stdout
    told = json.loads(CliRunner().invoke(app, ["info", str(path), "--json"]).stdout)
    assert told["metadata"]["labels"] == told["card"]["labels"] == list(labels)


@pytest.mark.parametrize("language", ["python", "node", "cpp", "csharp"])
def test_checkers_pass_the_model_and_fail_its_labels_in_another_order(
    labelled, labelled_kit, language, request, tmp_path
):
    path, labels = labelled
    if language == "python":
        command, folder = (sys.executable, labelled_kit / "check.py"), labelled_kit
    elif language == "node":
        folder = request.getfixturevalue("node_project")
        command = ("node", labelled_kit / "check.mjs")
    elif language == "csharp":
        folder = labelled_kit
        command = ("mono", request.getfixturevalue("csharp_build"), "check", labelled_kit)
    else:
        folder = labelled_kit
        command = (request.getfixturevalue("cpp_build") / "check", labelled_kit)
    done = run(*command, path, folder=folder)
    assert done.returncode == 0, done.stderr
    other = write_model("tiny", PIXELS_IN, (*labels[1:], labels[0]), tmp_path)
    done = run(*command, other, folder=folder)
    assert done.returncode == 1
    assert "FAILED: " in done.stderr
    fewer = write_model("fewer", PIXELS_IN, (*labels, "one more"), tmp_path)
    done = run(*command, fewer, folder=folder)
    assert done.returncode == 1
    assert f"expected {len(labels)} logits, found {len(labels) + 1}" in done.stderr or "of shape" in done.stderr


@pytest.mark.parametrize("language", ["node", "cpp", "csharp"])
def test_examples_say_the_labels(labelled, faces, language, request, tmp_path):
    path, _ = labelled
    expected = Classifier.load(path, threads=1).predict(faces[1])
    if language == "node":
        done = run("node", "predict.mjs", path, faces[1], folder=request.getfixturevalue("node_project"))
        image = faces[1]
    else:
        image = tmp_path / "face.pgm"
        with Image.open(faces[1]) as face:
            face.convert("L").save(image)
        program = (
            (request.getfixturevalue("cpp_build") / "predict",)
            if language == "cpp"
            else ("mono", request.getfixturevalue("csharp_build"), "predict")
        )
        done = run(*program, path, image, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{image}: {expected.label} {expected.confidence:.4f}\n"


def test_the_page_is_told_the_models_labels(labelled, tmp_path, monkeypatch):
    path, labels = labelled
    runtime = {name: b"" for names in FILES.values() for name in names}
    monkeypatch.setattr("fer_edge.web.site.runtime_files", lambda providers, folder: runtime)
    site = tmp_path / "site"
    write_site(site, path)
    told = json.loads((site / "site.json").read_bytes())
    assert told["labels"] == list(labels)
    assert json.loads((site / told["models"][0]["card"]).read_bytes())["labels"] == list(labels)
    other = write_model("other", PIXELS_IN, labels[::-1], tmp_path)
    with pytest.raises(WebError, match=r"other\.onnx: expected the labels .* of tiny\.onnx, found .* one checkpoint"):
        write_site(tmp_path / "no", path, webgpu_model=other)


def test_outputs_have_as_many_columns_as_labels(tmp_path):
    model = onnx.load(write_model("tiny", PIXELS_IN, FERPLUS.names, tmp_path))
    (entry,) = model.metadata_props
    raw = json.loads(entry.value)
    assert entry.key == METADATA_KEY
    entry.value = json.dumps({**raw, "labels": FER2013.names, "content_sha256": "0" * 64})
    path = tmp_path / "short.onnx"
    path.write_bytes(add_checksum(model.SerializeToString()))
    with pytest.raises(
        ModelError, match="expected an output probabilities of shape batch, 7, found one of shape batch, 8"
    ):
        Classifier.load(path)


def test_a_line_break_in_a_name_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"'labels\[1\]': expected text that can be shown"):
        write_model("tiny", PIXELS_IN, ("one", "two\nlines"), tmp_path)
