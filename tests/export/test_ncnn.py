"""ncnn's files: the same answers, and damage is found, also by who knows the checksums."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from damaged_files import changed_copy
from PIL import Image

from fer_edge.backends import _ncnn_files
from fer_edge.backends.evaluation import evaluate_model
from fer_edge.backends.ncnn import blobs, opened
from fer_edge.backends.registry import open_model
from fer_edge.benchmark.subjects import read_subject
from fer_edge.errors import ModelError, UsageError
from fer_edge.export.card.metadata import describe
from fer_edge.export.exporter import export_checkpoint
from fer_edge.export.formats.ncnn import FORMAT
from fer_edge.export.formats.registry import Source
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.export.parity.file_comparison import SAME_BYTES
from fer_edge.export.parity.verification import VerifyRequest, verify_model
from fer_edge.export.request import ExportRequest
from fer_edge.runtime.model_file import read_any
from fer_edge.training.checkpoint import CheckpointInfo, classifier_from_config
from fer_edge.training.config import TrainConfig

ncnn = pytest.importorskip("ncnn", reason="needs pip install 'fer-edge[ncnn]'")
pytest.importorskip("pnnx", reason="needs pip install 'fer-edge[ncnn]'")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def exported(request, tiny_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ncnn")
    done = export_checkpoint(
        ExportRequest(tiny_run.folder, file_format="ncnn", precision=request.param, folder=folder, data="sample:420")
    )
    assert not done.failures
    return done


@pytest.fixture(scope="module")
def fp32(tiny_run, tmp_path_factory):
    return export_checkpoint(
        ExportRequest(tiny_run.folder, file_format="ncnn", folder=tmp_path_factory.mktemp("ncnn-fp32"))
    )


def verify(model: Path, tiny_run, **more):
    return verify_model(VerifyRequest(model, tiny_run.folder, **more))


def test_files_are_written_and_verified(exported, tiny_run):
    ends = (".param", ".bin", ".labels.txt", ".json", ".md")
    assert [path.name for path in exported.paths] == [f"{exported.name}{end}" for end in ends]
    assert exported.metadata.input.shape == (1, 48, 48, 1)
    assert exported.metadata.input.kind == "faces"
    found = verify(exported.paths[0], tiny_run, divergence=True)
    assert found.parity, found.parity.failures
    assert found.graph.startswith(SAME_BYTES)
    assert "9 layers and the weights of 5 were compared" in found.graph
    names = [layer.name for layer in found.layers]
    assert names[0] == "faces"
    assert names[-1] == "logits"
    assert "network.2" in names
    assert any(0 < layer.weight_error <= 1 for layer in found.layers) == (exported.metadata.precision == "fp16")


@pytest.mark.parametrize("halves", [False, True])
def test_it_answers_as_an_app_runs_it(exported, tiny_run, halves):
    """By ncnn alone, as the docs say, and with its own options, by which it halves values on x86 too."""
    net = ncnn.Net()
    if not halves:
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    assert net.load_param(str(exported.paths[0])) == 0
    assert net.load_model(str(exported.paths[1])) == 0
    labels = exported.paths[2].read_text(encoding="utf-8").splitlines()
    assert labels == list(exported.metadata.labels)
    face = noise(48, 48)

    def answer(name):
        extractor = net.create_extractor()
        extractor.input("image", ncnn.Mat.from_pixels(face, ncnn.Mat.PixelType.PIXEL_GRAY, 48, 48))
        return np.array(extractor.extract(name)[1])

    probabilities, logits = tiny_run.reference.answer(face[np.newaxis, ..., np.newaxis])
    allowed = 1e-5 if exported.metadata.precision == "fp32" and not halves else 1e-2
    np.testing.assert_allclose(answer("probabilities"), probabilities[0], atol=allowed)
    np.testing.assert_allclose(answer("logits"), logits[0], atol=10 * allowed)


@pytest.mark.skipif(
    "ncnn_DIR" not in os.environ or shutil.which("cmake") is None,
    reason="needs cmake and ncnn's library for C++: ncnn_DIR=.../lib/cmake/ncnn",
)
def test_the_example_in_cpp_answers_as_python_does(exported, tmp_path):
    """Built by the commands of its README, which tell how to get the library."""
    example = Path(__file__).parents[2] / "examples" / "ncnn"
    subprocess.run(["cmake", "-S", example, "-B", tmp_path / "build"], check=True, timeout=120)
    subprocess.run(["cmake", "--build", tmp_path / "build"], check=True, timeout=300)
    face = tmp_path / "face.pgm"
    pixels = noise(1, 48, 48, 1)
    Image.fromarray(pixels[0, ..., 0]).save(face)
    command = [tmp_path / "build" / "classify", *exported.paths[:3], face]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    told = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert list(told) == list(exported.metadata.labels)
    expected = open_model(exported.paths[0]).run(pixels).probabilities[0]
    np.testing.assert_allclose([float(value) for value in told.values()], expected, atol=6e-5)  # four digits
    face.write_bytes(b"few")
    failed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert failed.returncode == 1
    assert "expected a binary PGM" in failed.stderr


@pytest.mark.parametrize("opened_by", [open_model, read_any])
def test_a_description_of_what_says_itself_is_refused(fp32, opened_by):
    with pytest.raises(UsageError, match="expected no description of a model that says itself what it is"):
        opened_by(fp32.paths[0], description={"labels": ["a", "b"]})


def test_photos_are_prepared_and_several_are_run(fp32, tiny_run):
    pixels = noise(3, 120, 90, 3)
    model = open_model(fp32.paths[0], threads=2)
    feed = model.prepare(pixels)
    assert (feed.shape, feed.dtype) == ((3, 48, 48, 1), np.uint8)
    np.testing.assert_allclose(model.run(pixels).logits, tiny_run.reference.answer(feed)[1], atol=1e-4)


def test_evaluate_and_benchmark_take_it(fp32):
    done = evaluate_model(fp32.paths[0], source="sample:105", provider="auto")
    assert done.subject.facts["provider"] == "cpu"
    subject = read_subject(fp32.paths[0])
    assert subject.file_bytes == sum(path.stat().st_size for path in fp32.paths[:3])


def test_a_changed_weight_is_found_and_located(exported, tiny_run, tmp_path):
    """A thousandth more, which no answer tells."""
    weights = open_model(exported.paths[0]).weights()
    name, largest = max(weights.items(), key=lambda item: item[1].values.size)
    stored = largest.values.tobytes()
    changed = largest.values.copy()
    changed.flat[np.abs(changed).argmax()] *= changed.dtype.type(1.002)
    damaged = changed_copy(exported.paths[0], tmp_path, {".bin": lambda data: data.replace(stored, changed.tobytes())})
    failures = verify(damaged, tiny_run).parity.failures
    assert any("a weight is not the checkpoint's" in failure for failure in failures), name
    assert any("1 weights, the first at byte" in failure for failure in failures)


@pytest.mark.parametrize(("before", "after"), [(b"2=255.0", b"2=256.0"), (b" 4=1 5=1 6=144 9=1", b" 4=1 5=1 6=144")])
def test_another_net_is_found(fp32, tiny_run, tmp_path, before, after):
    """Other preprocessing, and an activation that is gone."""
    damaged = changed_copy(fp32.paths[0], tmp_path, {".param": lambda data: data.replace(before, after)})
    failures = verify(damaged, tiny_run).parity.failures
    assert any("diverge at " in failure for failure in failures)
    assert any(
        "the .param file that the checkpoint gives here, found another: its text differs" in one for one in failures
    )


def test_other_labels_are_refused(fp32, tiny_run, tmp_path):
    others = list(reversed(fp32.metadata.labels))
    text = ("\n".join(others) + "\n").encode()
    for folder, files, metadata in (
        ("file", {".labels.txt": lambda _: text}, {}),
        ("sidecar", {}, {"labels": others}),
    ):
        with pytest.raises(ModelError, match="expected the labels of the metadata"):
            open_model(changed_copy(fp32.paths[0], tmp_path / folder, files, metadata))
    both = changed_copy(fp32.paths[0], tmp_path / "both", {".labels.txt": lambda _: text}, {"labels": others})
    assert any("expected labels" in failure for failure in verify(both, tiny_run).parity.failures)


@pytest.mark.parametrize(
    ("suffix", "change", "message"),
    [
        (".param", lambda data: data[: len(data) // 2], "expected an ncnn net"),
        (".param", lambda data: b"7767518" + data[7:], "its first line is"),
        (".param", lambda data: b"PK\x03\x04" + bytes(200), "expected an ncnn net"),
        (".param", lambda data: data.replace(b"Softmax", b"PyTorch"), "a layer of the kind PyTorch"),
        (".param", lambda data: data.replace(b"0=16 ", b"0=16 19=1 "), "has the setting 19=1"),
        (".param", lambda data: data.replace(b"0=16 ", b"0=-16 "), "layers that fit together"),
        (".param", lambda data: data.replace(b"6=144", b"6=288"), "its weights are for 2 channels, it takes 1"),
        (".param", lambda data: data.replace(b" 1=2 ", b" 1=900 11=900 ", 1), "setting 11=|larger than"),
        (".param", lambda data: data.replace(b"probabilities", b"something"), "and the outputs"),
        (".param", lambda data: data.replace(b"image", b"other"), "expected the input image"),
        (".bin", lambda data: data[:-1], "expected at least"),
        (".bin", lambda data: data + bytes(4), "as the layers say, found"),
        (".bin", lambda data: b"\x01" + data[1:], "found the tag 01000000"),
    ],
)
def test_what_ncnn_would_crash_on_is_one_line(fp32, tmp_path, suffix, change, message):
    with pytest.raises(ModelError, match=message) as failure:
        open_model(changed_copy(fp32.paths[0], tmp_path, {suffix: change}))
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("suffix", [".param", ".bin", ".labels.txt"])
def test_damage_is_refused_before_anything_is_read(fp32, tmp_path, suffix):
    for path in fp32.paths[:4]:
        shutil.copy(path, tmp_path)
    damaged = tmp_path / f"{fp32.name}{suffix}"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x07")
    with pytest.raises(ModelError, match="expected the SHA-256"):
        open_model(tmp_path / fp32.paths[0].name)


def test_a_sidecar_without_the_weights_is_refused(fp32, tmp_path):
    model = changed_copy(fp32.paths[0], tmp_path, {})
    sidecar = model.with_suffix(".json")
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "files": {}}))
    with pytest.raises(ModelError, match=r"to name .*\.labels\.txt and its SHA-256"):
        open_model(model)


def test_what_pnnx_cannot_convert_is_one_line(tiny_run, tmp_path, monkeypatch):
    import pnnx

    broken = tmp_path / "pnnx"
    broken.write_text("#!/bin/sh\necho 'no such\noperator' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(pnnx, "EXEC_PATH", str(broken))
    with pytest.raises(ModelError, match=r"pnnx cannot convert it \(exit code 3\): no such operator") as failure:
        export_checkpoint(ExportRequest(tiny_run.folder, file_format="ncnn", folder=tmp_path / "out"))
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(("architecture", "size"), [("mobilenet_v3_small", 48), ("googlenet", 64), ("tiny", 40)])
def test_other_networks_and_sizes_have_names_for_all_weights(architecture, size):
    """Merged, depthwise and side-by-side layers; the shapes that are worked out are those that ncnn has."""
    torch.manual_seed(0)
    config = TrainConfig(architecture=architecture, image_size=size)
    classifier = classifier_from_config(config).eval()
    for module in classifier.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # as a trained one: what is folded into weights is not 1 and 0
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    record = CheckpointInfo(
        config=config, mean=0.5, std=0.25, data_source="sample:70", data_fingerprint="0" * 64, starting_weights="none"
    )
    source = Source(PixelsToProbabilities(classifier, size, 0.5, 0.25).eval(), lambda: onnx.ModelProto())
    param, weights, _ = FORMAT.write(source, describe(record, name="m", model_format=FORMAT)).values()
    layers = _ncnn_files.read_param(param, Path("m"))
    shapes = _ncnn_files.read_shapes(layers, size, Path("m"))
    face = noise(size, size)
    found = blobs(opened(param, weights), face, shapes)
    assert {name: value.shape for name, value in found.items()} == shapes
    parameters = dict(classifier.named_parameters())
    assert {layer.name + ".weight" for layer in layers if layer.kind in _ncnn_files.WEIGHTED} <= set(parameters)
    expected = source.module.answer(face[np.newaxis, ..., np.newaxis])[1][0]
    np.testing.assert_allclose(found["logits"], expected, atol=1e-4 * np.abs(expected).max())
