"""OpenVINO's IR: the same answers at every size, and every kind of damage is found, also by who knows the checksums."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from damaged_files import changed_copy

from fer_edge.backends.registry import open_model
from fer_edge.errors import ModelError
from fer_edge.export.exporter import export_checkpoint
from fer_edge.export.parity.verification import VerifyRequest, verify_model
from fer_edge.export.request import ExportRequest

openvino = pytest.importorskip("openvino")


@pytest.fixture(scope="module", params=["fp32", "int8"])
def exported(request, tiny_run, tmp_path_factory):
    """No speed is a gate here: a tiny network is not faster in int8, and onnxruntime does not run these files."""
    folder = tmp_path_factory.mktemp("openvino")
    measured = {"data": "sample:420", "max_drop_points": 3} if request.param == "int8" else {}  # a face of 70 is 1.4
    done = export_checkpoint(
        ExportRequest(tiny_run.folder, file_format="openvino", precision=request.param, folder=folder, **measured)
    )
    assert not done.failures
    return done


def verify(model: Path, tiny_run, **more):
    return verify_model(VerifyRequest(model, tiny_run.folder, **more))


def test_files_are_written_and_verified(exported, tiny_run):
    stem = f"tiny-run{'-int8' if exported.metadata.precision == 'int8' else ''}-openvino"
    assert [path.name for path in exported.paths] == [f"{stem}{end}" for end in (".xml", ".bin", ".json", ".md")]
    found = verify(exported.paths[0], tiny_run)
    assert found.parity, found.parity.failures
    assert "layers and the weights of" in found.graph
    assert exported.metadata.opset is None
    assert exported.devices is None


def test_it_answers_at_any_size_without_being_reshaped_and_as_pillow_resizes(exported, tiny_run):
    """As an app runs it: OpenVINO alone, on the file as it is. Read from ONNX it would not antialias."""
    compiled = openvino.Core().compile_model(
        str(exported.paths[0]), "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    )
    for shape in ((1, 48, 48, 1), (2, 121, 97, 3), (3, 30, 67, 4)):
        pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        answer = compiled({0: pixels})
        expected, _ = tiny_run.reference.answer(pixels)
        allowed = 1e-4 if exported.metadata.precision == "fp32" else 0.25
        assert np.abs(answer["probabilities"] - expected).max() < allowed
    labels = openvino.Core().read_model(str(exported.paths[0])).get_rt_info(["model_info", "labels"]).value
    assert labels.split() == list(exported.metadata.labels)


def test_layers_are_compared_by_name(exported, tiny_run):
    layers = verify(exported.paths[0], tiny_run, divergence=True).layers
    assert layers is not None
    assert layers[0].name == "faces"
    assert layers[-1].name == "logits"
    assert len(layers) >= 8
    assert any(0 < layer.weight_error <= 1 for layer in layers) == (exported.metadata.precision == "int8")
    assert not any(layer.diverges for layer in layers)


def test_one_changed_weight_is_found_and_located(exported, tiny_run, tmp_path):
    backend = open_model(exported.paths[0])
    name, weights = max(backend.weights().items(), key=lambda item: item[1].values.size)
    data = exported.paths[1].read_bytes()
    stored = weights.values if weights.steps is None else np.round(weights.values / weights.steps).astype(np.int8)
    place = data.index(np.ascontiguousarray(stored).tobytes())

    def change(data: bytes) -> bytes:
        values = bytearray(data)
        if weights.steps is None:
            values[place : place + 4] = np.float32(stored.flat[0] + 0.01).tobytes()
        else:  # three steps of 127: hardly seen in the layer's output
            values[place : place + 1] = np.int8(stored.flat[0] + (-3 if stored.flat[0] > 0 else 3)).tobytes()
        return bytes(values)

    damaged = changed_copy(exported.paths[0], tmp_path, {".bin": change})
    found = verify(damaged, tiny_run)
    assert not found.parity
    assert any("a weight is not the checkpoint's" in failure for failure in found.parity.failures), name


def test_other_preprocessing_is_found_before_any_layer(exported, tiny_run, tmp_path):
    """Luma weights of red and blue swapped: grey images answer as before."""
    constants = [
        op for op in openvino.Core().read_model(str(exported.paths[0])).get_ops() if op.get_type_name() == "Constant"
    ]
    luma = next(op.data for op in constants if op.data.size == 3 and op.data.dtype == np.float32)
    np.testing.assert_allclose(luma.ravel() / luma.sum(), (0.299, 0.587, 0.114), rtol=1e-5)
    swapped = luma.ravel()[::-1].tobytes()
    damaged = changed_copy(exported.paths[0], tmp_path, {".bin": lambda data: data.replace(luma.tobytes(), swapped)})
    found = verify(damaged, tiny_run)
    assert not found.parity
    assert any("diverge at faces (preprocessing)" in failure for failure in found.parity.failures)


def test_other_labels_are_refused_in_the_file_and_found_in_the_sidecar(exported, tiny_run, tmp_path):
    labels = " ".join(exported.metadata.labels)
    others = " ".join(reversed(exported.metadata.labels))
    swapped = changed_copy(
        exported.paths[0], tmp_path / "file", {".xml": lambda data: data.replace(labels.encode(), others.encode())}
    )
    with pytest.raises(ModelError, match=f"expected labels '{labels}' in its model_info"):
        verify(swapped, tiny_run)

    def reverse(data: bytes) -> bytes:
        as_json = json.dumps(labels.split()).replace('"', "&quot;").encode()
        assert as_json in data
        reversed_json = json.dumps(others.split()).replace('"', "&quot;").encode()
        return data.replace(labels.encode(), others.encode()).replace(as_json, reversed_json)

    both = changed_copy(exported.paths[0], tmp_path / "both", {".xml": reverse}, metadata={"labels": others.split()})
    found = verify(both, tiny_run)
    assert any("expected labels" in failure for failure in found.parity.failures)


@pytest.mark.parametrize("suffix", [".xml", ".bin"])
def test_damage_is_refused_before_openvino_reads_it(exported, tmp_path, suffix):
    for path in exported.paths[:3]:
        shutil.copy(path, tmp_path)
    damaged = tmp_path / exported.paths[0].with_suffix(suffix).name
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\0x")
    with pytest.raises(ModelError, match="expected the SHA-256"):
        open_model(tmp_path / exported.paths[0].name)


@pytest.mark.parametrize("files", [{}, {"../elsewhere.bin": "0" * 64}, {"other.bin": "0" * 64}])
def test_a_sidecar_that_names_no_weights_or_others_is_refused(exported, tmp_path, files):
    model = changed_copy(exported.paths[0], tmp_path, {})
    sidecar = model.with_suffix(".json")
    stated = json.loads(sidecar.read_text())
    stated["files"] = files
    sidecar.write_text(json.dumps(stated))
    with pytest.raises(ModelError, match=r"to name .*\.bin and its SHA-256|expected files called"):
        open_model(model).run(np.zeros((1, 48, 48, 1), np.uint8))


def test_what_openvino_cannot_read_is_one_line(exported, tmp_path):
    model = changed_copy(exported.paths[0], tmp_path, {".xml": lambda data: b"<net" + data[:100]})
    with pytest.raises(ModelError, match="openvino cannot run it") as failure:
        open_model(model).run(np.zeros((1, 48, 48, 1), np.uint8))
    assert "\n" not in str(failure.value)


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_the_example_in_cpp_answers_as_python_does(exported, tiny_run, tmp_path):
    """With the wheel's own headers and library."""
    wheel = Path(openvino.__file__).parent
    (library,) = (wheel / "libs").glob("libopenvino.so.*")
    source = Path(__file__).parents[2] / "examples" / "openvino" / "classify.cpp"
    program = tmp_path / "classify"
    where = [f"-I{wheel / 'include'}", f"-L{library.parent}", f"-l:{library.name}", f"-Wl,-rpath,{library.parent}"]
    # The wheels of 2025 were built with the older of the compiler's two kinds of string.
    strings = ["-D_GLIBCXX_USE_CXX11_ABI=0"] if openvino.__version__.startswith("2025") else []
    subprocess.run(["g++", "-std=c++17", *strings, source, "-o", program, *where], check=True, timeout=300)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 112, 96, 3), dtype=np.uint8)
    (tmp_path / "face.rgb").write_bytes(pixels.tobytes())
    command = [program, exported.paths[0], tmp_path / "face.rgb", "112", "96"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    told = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert list(told) == list(exported.metadata.labels)
    expected = open_model(exported.paths[0]).run(pixels).probabilities[0]
    np.testing.assert_allclose([float(value) for value in told.values()], expected, atol=2e-6)
    (tmp_path / "face.rgb").write_bytes(b"few")
    failed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert failed.returncode == 1
    assert "expected 32256 bytes, found 3" in failed.stderr
