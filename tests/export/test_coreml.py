"""Core ML's package: its graph answers as the checkpoint, and damage is found, also by who knows the checksums.

Core ML itself runs on Apple's systems alone, and in none of these tests.
"""

import json
import plistlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from damaged_files import changed_copy, content_of

from fer_edge.backends.evaluation import evaluate_model
from fer_edge.backends.registry import open_model
from fer_edge.benchmark.subjects import models_in, read_subject
from fer_edge.errors import ModelError, StorageError
from fer_edge.export.exporter import export_checkpoint
from fer_edge.export.parity.file_comparison import SAME_BYTES
from fer_edge.export.parity.verification import VerifyRequest, verify_model
from fer_edge.export.request import ExportRequest
from fer_edge.folder_files import pack, unpacked

coremltools = pytest.importorskip("coremltools", reason="needs pip install 'fer-edge[coreml]'")

SPECIFICATION = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"
UNTRIED = "Core ML itself was not run"


@pytest.fixture(scope="module", params=["fp32", "fp16", "int8"])
def exported(request, tiny_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("coreml")
    done = export_checkpoint(
        ExportRequest(tiny_run.folder, file_format="coreml", precision=request.param, folder=folder, data="sample:420")
    )
    assert not done.failures
    return done


@pytest.fixture(scope="module")
def fp32(tiny_run, tmp_path_factory):
    return export_checkpoint(
        ExportRequest(tiny_run.folder, file_format="coreml", folder=tmp_path_factory.mktemp("coreml-fp32"))
    )


def verify(model: Path, tiny_run):
    return verify_model(VerifyRequest(model, tiny_run.folder))


def changing(name, change):
    """A change of one file in a package."""

    def of_package(data: bytes) -> bytes:
        files = unpacked(data, Path("package"))
        return pack(files | {name: change(files[name])})

    return {".mlpackage": of_package}


def test_a_package_is_written_and_compared_byte_by_byte(exported, tiny_run):
    assert [path.name for path in exported.paths] == [f"{exported.name}{end}" for end in (".mlpackage", ".json", ".md")]
    package = exported.paths[0]
    manifest = json.loads((package / "Manifest.json").read_text())
    root = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
    assert (package / "Data" / root["path"]).is_file()
    found = verify(package, tiny_run)
    assert found.parity, found.parity.failures
    assert found.graph.startswith(SAME_BYTES)


def test_nobody_takes_it_for_core_ml(fp32, tiny_run):
    assert UNTRIED in fp32.metadata.limits
    assert UNTRIED in fp32.summary()
    assert UNTRIED in fp32.paths[2].read_text(encoding="utf-8")
    assert UNTRIED in verify(fp32.paths[0], tiny_run).graph
    assert "verified" not in fp32.summary()


def test_apples_tools_read_what_an_app_needs(exported):
    before = content_of(exported.paths[0])
    specification = coremltools.utils.load_spec(str(exported.paths[0]))
    assert content_of(exported.paths[0]) == before  # it writes the manifest again
    description = specification.description
    (image,) = description.input
    assert (image.name, image.type.imageType.width, image.type.imageType.height) == ("image", 48, 48)
    assert {one.name for one in description.output} == {"label", "probabilities", "logits"}
    assert description.predictedFeatureName == "label"
    assert description.predictedProbabilitiesName == "probabilities"
    stated = json.loads(description.metadata.userDefined["fer_edge.metadata"])
    assert stated["labels"] == list(exported.metadata.labels)


def test_the_graph_answers_as_the_checkpoint(exported, tiny_run):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 120, 90, 3), dtype=np.uint8)
    model = open_model(exported.paths[0], threads=1)
    feed = model.prepare(pixels)
    allowed = {"fp32": 1e-4, "fp16": 0.1, "int8": 0.5}[exported.metadata.precision]
    np.testing.assert_allclose(model.run(pixels).logits, tiny_run.reference.answer(feed)[1], atol=allowed)


def test_evaluate_and_benchmark_take_a_folder(fp32):
    assert evaluate_model(fp32.paths[0], source="sample:105", provider="auto").subject.facts["provider"] == "cpu"
    assert read_subject(fp32.paths[0]).file_bytes > sum(
        path.stat().st_size for path in fp32.paths[0].rglob("*") if path.is_file()
    )
    assert models_in(fp32.paths[0].parent) == [fp32.paths[0]]


def test_a_package_is_replaced_by_the_same_name_and_a_foreign_folder_is_kept(tiny_run, tmp_path):
    request = ExportRequest(tiny_run.folder, file_format="coreml", folder=tmp_path, name="m")
    first = content_of(export_checkpoint(request).paths[0])
    assert len(first) == len(content_of(export_checkpoint(request).paths[0]))
    (tmp_path / "m.mlpackage" / "note.txt").write_text("mine")
    with pytest.raises((ModelError, StorageError), match=r"which is kept|choose another --name"):
        export_checkpoint(request)
    assert (tmp_path / "m.mlpackage" / "note.txt").read_text() == "mine"


def test_a_changed_weight_is_found(exported, tiny_run, tmp_path):
    """A thousandth more of one of them, which no answer tells."""
    dtype = np.float32 if exported.metadata.precision == "fp32" else np.float16

    def change(data: bytes) -> bytes:
        weight = tiny_run.reference.classifier.network[-1].weight.detach().numpy().astype(dtype)
        place = data.index(weight.tobytes())
        changed = (weight.flat[0] * dtype(1.002)).astype(dtype).tobytes()
        return data[:place] + changed + data[place + len(changed) :]

    failures = verify(changed_copy(exported.paths[0], tmp_path, changing(WEIGHTS, change)), tiny_run).parity.failures
    assert any("expected the .mlpackage file that the checkpoint gives here" in failure for failure in failures)


def test_8_bits_are_weights_alone_and_one_step_of_one_is_found(exported, fp32, tiny_run, tmp_path):
    if exported.metadata.precision != "int8":
        pytest.skip("of int8")
    files = unpacked(content_of(exported.paths[0]), exported.paths[0])
    assert 3 * len(files[WEIGHTS]) < len(unpacked(content_of(fp32.paths[0]), fp32.paths[0])[WEIGHTS])
    assert exported.metadata.quantisation["activations"] == "float16"
    assert "weights only, float16 activations" in exported.quantisation.summary()

    def change(data: bytes) -> bytes:
        place = len(data) // 2
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    failures = verify(changed_copy(exported.paths[0], tmp_path, changing(WEIGHTS, change)), tiny_run).parity.failures
    assert any("the first difference is at byte" in failure for failure in failures)


def test_other_preprocessing_is_found(fp32, tiny_run, tmp_path):
    scale = np.float32(1 / 255).tobytes()
    damaged = changed_copy(
        fp32.paths[0],
        tmp_path,
        changing(SPECIFICATION, lambda data: data.replace(scale, np.float32(1 / 250).tobytes())),
    )
    failures = verify(damaged, tiny_run).parity.failures
    assert any("expected probabilities within" in failure for failure in failures)


def test_other_labels_are_refused_in_the_package_and_in_the_sidecar(fp32, tmp_path):
    def change(data: bytes) -> bytes:
        return data.replace(b"\x05angry", b"\x05happy")

    with pytest.raises(ModelError, match=r"expected a classifier of the labels|found others"):
        open_model(changed_copy(fp32.paths[0], tmp_path / "file", changing(SPECIFICATION, change)))
    others = {"labels": list(reversed(fp32.metadata.labels))}
    with pytest.raises(ModelError, match=r"expected the metadata in .* to be those in the package"):
        open_model(changed_copy(fp32.paths[0], tmp_path / "sidecar", {}, others))


@pytest.mark.parametrize(
    "files",
    [
        changing(SPECIFICATION, lambda data: data[: len(data) // 2]),
        changing(SPECIFICATION, lambda _: b"PK\x03\x04" + bytes(100)),
        changing(SPECIFICATION, lambda _: plistlib.dumps({})),
        changing(WEIGHTS, lambda data: data[:200]),
        changing(WEIGHTS, lambda data: bytes(len(data))),
        {".mlpackage": lambda _: pack({"Manifest.json": b"{}"})},
    ],
    ids=["half", "archive", "plist", "few weights", "zeros", "no model"],
)
def test_what_is_no_package_is_one_line(fp32, tmp_path, files):
    with pytest.raises(ModelError) as failure:
        open_model(changed_copy(fp32.paths[0], tmp_path, files)).run(np.zeros((1, 48, 48, 1), np.uint8))
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("change", ["damage", "another file", "a link"])
def test_any_change_of_the_folder_is_refused_before_it_is_read(fp32, tmp_path, change):
    package = tmp_path / fp32.paths[0].name
    shutil.copytree(fp32.paths[0], package)
    shutil.copy(fp32.paths[1], tmp_path)
    if change == "damage":
        (package / WEIGHTS).write_bytes((package / WEIGHTS).read_bytes()[:-1] + b"\x07")
    elif change == "another file":
        (package / "more").write_text("")
    else:
        (package / "more").symlink_to("/etc/passwd")
    with pytest.raises(ModelError, match=r"expected the SHA-256|no links"):
        open_model(package)


def test_branches_are_joined_as_core_ml_joins_them():
    """As GoogLeNet's."""
    from coremltools.converters.mil import Builder

    from fer_edge.backends._mil_program import MilProgram

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 2, 3, 3))])
    def program(x):
        return Builder.concat(values=[x, Builder.relu(x=x), x], axis=1, name="joined")

    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 2, 3, 3)).astype(np.float32))
    found = MilProgram(list(program.functions["main"].operations), "x").run(image)
    torch.testing.assert_close(found["joined"], torch.cat([image, image.clamp(min=0), image], 1))
