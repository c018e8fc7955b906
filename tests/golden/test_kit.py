"""What a kit holds: inputs of every shape, the model's own answers, nothing of FER-2013, nothing large."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
from foreign_models import LABELS, write_model
from languages import FIXTURES
from PIL import Image

from fer_edge.errors import ModelError, StorageError
from fer_edge.golden.kit import default_folder, write_kit
from fer_edge.golden.manifest import plain_manifest
from fer_edge.golden.tolerance import GOLDEN_TOLERANCES
from fer_edge.golden.vectors import make_vectors
from fer_edge.labels import FER2013
from fer_edge.metadata import METADATA_KEY, NO_CHECKSUM, ModelMetadata
from fer_edge.runtime.checksum import add_checksum, file_sha256
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.images import decode_image

TINY, TINY_RAW = FIXTURES / "tiny.onnx", FIXTURES / "tiny_raw.onnx"


def manifest_of(kit):
    return json.loads((kit / "manifest.json").read_text())


def test_vectors_cover_channels_batches_and_sizes_on_both_sides_of_the_networks(tiny_kit):
    shapes = [vector["shape"] for vector in manifest_of(tiny_kit)["vectors"]]
    assert {shape[3] for shape in shapes} == {1, 3, 4}
    assert {shape[0] for shape in shapes} >= {1, 2, 3, 7}
    assert [7, 48, 48, 1] in shapes
    assert any(max(shape[1:3]) < 48 for shape in shapes)
    assert any(min(shape[1:3]) > 48 for shape in shapes)
    assert any(shape[1] < 48 < shape[2] for shape in shapes)


def test_a_kit_is_small(tiny_kit, tiny_raw_kit):
    for kit, limit_kb in ((tiny_kit, 350), (tiny_raw_kit, 540)):
        assert sum(path.stat().st_size for path in kit.rglob("*") if path.is_file()) < limit_kb * 1e3


def test_expected_answers_are_the_classifiers_and_the_manifest_names_the_model(tiny_kit):
    manifest = manifest_of(tiny_kit)
    assert manifest["model"]["sha256"] == file_sha256(TINY.read_bytes())
    assert tuple(manifest["model"]["labels"]) == FER2013.names
    bounds = GOLDEN_TOLERANCES["fp32"]
    assert manifest["tolerance"]["max_logit_difference"] == bounds.max_logit_difference
    classifier = Classifier.load(TINY)
    for vector in manifest["vectors"]:
        pixels = np.fromfile(tiny_kit / vector["file"], np.uint8).reshape(vector["shape"])
        probabilities, logits = classifier.probabilities_and_logits(pixels)
        np.testing.assert_allclose(vector["logits"], logits, atol=1e-5)
        np.testing.assert_allclose(vector["probabilities"], probabilities, atol=1e-6)
        assert vector["labels"] == [FER2013.names[best] for best in probabilities.argmax(axis=1)]


def test_image_files_decode_to_the_pixels_beside_them(tiny_kit):
    images = [vector for vector in manifest_of(tiny_kit)["vectors"] if "image" in vector]
    assert [vector["name"] for vector in images] == ["jpeg-rgb", "jpeg-turned", "jpeg-grey", "png-transparent"]
    for vector in images:
        pixels = np.fromfile(tiny_kit / vector["image"]["pixels"], np.uint8).reshape(vector["image"]["shape"])
        np.testing.assert_array_equal(decode_image(tiny_kit / vector["image"]["file"]), pixels)
    with Image.open(tiny_kit / "images" / "jpeg-turned.jpg") as stored:
        assert stored.size == (80, 60)
        assert manifest_of(tiny_kit)["vectors"][10]["shape"] == [1, 80, 60, 3]


def test_colours_differ_so_that_their_order_shows(tiny_kit):
    """An app that feeds BGR must fail: the expected answers to it lie outside the tolerance."""
    manifest = manifest_of(tiny_kit)
    classifier = Classifier.load(TINY)
    for vector in manifest["vectors"]:
        if vector["shape"][3] != 3:
            continue
        pixels = np.fromfile(tiny_kit / vector["file"], np.uint8).reshape(vector["shape"])
        _, logits = classifier.probabilities_and_logits(np.ascontiguousarray(pixels[..., ::-1]))
        assert np.abs(logits - vector["logits"]).max() > 2 * manifest["tolerance"]["max_logit_difference"]


def test_the_shipped_model_tells_blue_for_red_from_rounding(shipped_kit, shipped_model):
    manifest = manifest_of(shipped_kit)
    (vector,) = (vector for vector in manifest["vectors"] if vector["name"] == "rgb-faces")
    pixels = np.fromfile(shipped_kit / vector["file"], np.uint8).reshape(vector["shape"])
    _, logits = Classifier.load(shipped_model).probabilities_and_logits(np.ascontiguousarray(pixels[..., ::-1]))
    assert np.abs(logits - vector["logits"]).max() > 2 * manifest["tolerance"]["max_logit_difference"]


def test_a_raw_models_vectors_are_prepared_faces(tiny_raw_kit):
    manifest = manifest_of(tiny_raw_kit)
    assert manifest["model"]["dtype"] == "float32"
    assert manifest["model"]["outputs"] == ["logits"]
    assert {tuple(vector["shape"][1:]) for vector in manifest["vectors"]} == {(1, 48, 48)}
    faces = np.fromfile(tiny_raw_kit / "vectors" / "jpeg-rgb.bin", "<f4")
    assert faces.size == 48 * 48
    assert faces.min() < 0 < faces.max()
    assert (tiny_raw_kit / "vectors" / "jpeg-rgb.pixels").stat().st_size == 112 * 96 * 3


def test_the_plain_manifest_says_the_same(tiny_kit):
    manifest = manifest_of(tiny_kit)
    assert (tiny_kit / "manifest.txt").read_text() == plain_manifest(manifest)
    expected = [line.split()[1:] for line in plain_manifest(manifest).splitlines() if line.startswith("expects ")]
    assert len(expected) == 26
    first = manifest["vectors"][0]
    assert manifest["model"]["labels"][int(expected[0][0])] == first["labels"][0]
    assert [line for line in plain_manifest(manifest).splitlines() if line.startswith("label ")] == [
        f"label {label}" for label in FER2013.names
    ]
    assert [float(value) for value in expected[0][1:]] == first["logits"][0] + first["probabilities"][0]


def test_a_kit_is_the_same_every_time_it_is_written(tiny_kit, tmp_path):
    again = write_kit(TINY, tmp_path / "kit").folder
    files = {path.relative_to(tiny_kit) for path in tiny_kit.rglob("*")}
    assert files == {path.relative_to(again) for path in again.rglob("*")}
    assert all(
        (again / name).read_bytes() == (tiny_kit / name).read_bytes() for name in files if (again / name).is_file()
    )


def test_an_older_kit_is_replaced_and_anything_else_is_kept(tmp_path):
    model = shutil.copy(TINY, tmp_path)
    folder = default_folder(tmp_path / "tiny.onnx")
    assert folder == tmp_path / "tiny-golden"
    write_kit(tmp_path / "tiny.onnx")
    (folder / "vectors" / "mine.bin").write_bytes(bytes(1000))
    smaller = write_kit(tmp_path / "tiny.onnx", inputs=make_vectors()[:1])
    assert smaller.size_bytes == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) - 1000
    assert sorted(path.name for path in (folder / "vectors").iterdir()) == sorted(
        ["mine.bin", f"{make_vectors()[0].name}.bin"]
    )
    (folder / "check.py").write_text("mine")
    with pytest.raises(StorageError, match=r"check.py: expected no file, or the one that was written here before"):
        write_kit(tmp_path / "tiny.onnx")
    (folder / "manifest.json").write_text('{"kit": "another"}')
    with pytest.raises(
        StorageError, match="tiny-golden: expected a new or empty folder, or an older kit, found something"
    ):
        write_kit(tmp_path / "tiny.onnx")
    assert json.loads((folder / "manifest.json").read_text()) == {"kit": "another"}
    with pytest.raises(StorageError, match="choose another with --out"):
        write_kit(tmp_path / "tiny.onnx", tmp_path / "tiny.onnx")
    assert (tmp_path / "tiny.onnx").read_bytes() == TINY.read_bytes()
    assert str(model) == str(tmp_path / "tiny.onnx")


def test_a_model_without_numbers_gets_no_kit(tmp_path):
    model = onnx.load(TINY)
    (weights,) = (tensor for tensor in model.graph.initializer if tensor.name == "weights")
    values = onnx.numpy_helper.to_array(weights) * np.float32("nan")
    weights.CopyFrom(onnx.numpy_helper.from_array(values, "weights"))
    (card,) = (entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    card.value = replace(ModelMetadata.from_json(card.value), content_sha256=NO_CHECKSUM).to_json()
    (tmp_path / "nan.onnx").write_bytes(add_checksum(model.SerializeToString()))
    with pytest.raises(ModelError, match=r"nan\.onnx: expected finite logits, found infinite ones or NaN"):
        write_kit(tmp_path / "nan.onnx", tmp_path / "kit")
    assert not (tmp_path / "kit").exists()


def test_kits_are_written_without_torch_onnx_and_network(repository, tmp_path):
    code = (
        "import sys, socket\n"
        "def refuse(*_): raise OSError('no network')\n"
        "socket.socket.connect = refuse\n"
        "from fer_edge.golden.kit import write_kit\n"
        "from pathlib import Path\n"
        f"write_kit(Path({str(TINY)!r}), Path({str(tmp_path / 'kit')!r}))\n"
        "assert not {'torch', 'onnx', 'matplotlib'} & set(sys.modules), sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kit" / "check.py").exists()


@pytest.mark.parametrize("precision", GOLDEN_TOLERANCES)
def test_every_precision_has_bounds_and_a_reason(precision):
    tolerance = GOLDEN_TOLERANCES[precision]
    assert 0 < tolerance.max_probability_difference < tolerance.max_logit_difference
    assert tolerance.tie_margin >= 2 * tolerance.max_probability_difference
    assert len(tolerance.reason) > 40


def test_an_input_of_float16_is_refused_before_anything_is_written_and_with_the_way_out(tmp_path):
    path = write_model(tmp_path / "theirs.onnx", shape=("n", 24, 24, 3), dtype=onnx.TensorProto.FLOAT16)
    with pytest.raises(ModelError, match="found float16; convert it so that its input is float32"):
        write_kit(path, tmp_path / "kit", description={"labels": LABELS})
    assert not (tmp_path / "kit").exists()
