"""ExecuTorch's program: the same answers at every size, and damage is found, also by who knows the checksums."""

import json
import re
import shlex
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from damaged_files import changed_copy

from fer_edge.backends.contract import Outputs
from fer_edge.backends.evaluation import evaluate_model
from fer_edge.backends.registry import backend_named, open_model
from fer_edge.errors import ModelError
from fer_edge.export.exporter import export_checkpoint
from fer_edge.export.graph.matrix_resize import ImageToProbabilities
from fer_edge.export.parity.file_comparison import SAME_BYTES
from fer_edge.export.parity.reproduction import reproduction_failures
from fer_edge.export.parity.verification import VerifyRequest, verify_model
from fer_edge.export.request import ExportRequest
from fer_edge.golden.kit import write_kit

SHAPES = ((1, 48, 48, 3), (1, 1, 1, 3), (1, 121, 97, 3), (1, 30, 67, 3), (1, 1, 300, 3), (1, 720, 1280, 3))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", SHAPES)
def test_two_matrix_products_resize_as_the_reference_does(tiny_run, shape):
    pixels = noise(*shape)
    with torch.inference_mode():
        _, logits = ImageToProbabilities(tiny_run.reference)(torch.from_numpy(pixels))
    np.testing.assert_allclose(logits.numpy(), tiny_run.reference.answer(pixels)[1], atol=2e-5)


@pytest.fixture(scope="module")
def exported(tiny_run, tmp_path_factory):
    pytest.importorskip("executorch", reason="needs pip install 'fer-edge[executorch]', 530 MB")
    done = export_checkpoint(
        ExportRequest(tiny_run.folder, file_format="executorch", folder=tmp_path_factory.mktemp("executorch"))
    )
    assert not done.failures
    return done


@pytest.fixture(scope="module")
def backend(exported):
    return open_model(exported.paths[0], threads=1)


def verify(model, tiny_run):
    return verify_model(VerifyRequest(model, tiny_run.folder))


def test_files_are_written_and_verified_byte_by_byte(exported, tiny_run):
    assert [path.name for path in exported.paths] == [f"tiny-run-executorch{end}" for end in (".pte", ".json", ".md")]
    assert exported.metadata.input.shape == (1, "height", "width", 3)
    assert exported.metadata.input.max_side == 1280
    assert "executorch" in exported.metadata.versions
    assert "of 1 to 1280 rows and columns" in exported.paths[-1].read_text(encoding="utf-8")
    found = verify(exported.paths[0], tiny_run)
    assert found.parity, found.parity.failures
    assert found.graph == SAME_BYTES


def test_it_answers_at_any_size_as_an_app_runs_it(exported, tiny_run):
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(exported.paths[0])
    method = program.load_method("forward")
    for shape in SHAPES:
        pixels = noise(*shape)
        probabilities, logits = method.execute((torch.from_numpy(pixels),))
        np.testing.assert_allclose(logits.numpy(), tiny_run.reference.answer(pixels)[1], atol=2e-5)
        np.testing.assert_allclose(probabilities.numpy().sum(), 1, atol=1e-5)
    assert program.load_method("labels").execute(()) == list(exported.metadata.labels)
    assert program.load_method("max_side").execute(()) == [1280]


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_the_cpp_loader_of_the_docs_compiles_and_answers_the_same(exported, backend, tmp_path):
    import executorch

    (package,) = executorch.__path__
    page = (Path(__file__).parents[2] / "docs/deployment/phones-and-boards.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```cpp\n(#include <executorch.*?)```", page, re.DOTALL)
    (command,) = re.findall(r"^g\+\+ -std.*?kernels_optimized$", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "classify.cpp").write_text(source)
    command = command.replace("\\\n", " ").replace("$ET", package)
    subprocess.run([*shlex.split(command), "-w"], cwd=tmp_path, check=True)
    pixels = noise(1, 70, 60, 3)
    (tmp_path / "face.rgb").write_bytes(pixels.tobytes())
    told = subprocess.run(
        ["./classify", exported.paths[0], "face.rgb", "70", "60"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    answers = dict(line.rsplit(" ", 1) for line in told.splitlines())
    assert tuple(answers) == exported.metadata.labels
    expected = backend.run(pixels).probabilities[0]
    np.testing.assert_allclose([float(value) for value in answers.values()], expected, atol=6e-5)


def test_several_images_grey_ones_and_larger_ones_are_run_one_by_one(backend, tiny_run):
    grey = noise(3, 60, 50, 1)
    np.testing.assert_allclose(backend.run(grey).logits, tiny_run.reference.answer(grey)[1], atol=2e-5)
    large = np.broadcast_to(noise(1, 1, 1, 3), (1, 1281, 20, 3))
    np.testing.assert_allclose(backend.run(large).logits, tiny_run.reference.answer(large)[1], atol=0.05)


def test_evaluate_takes_the_device_that_there_is(exported):
    done = evaluate_model(exported.paths[0], source="sample:105", provider="auto")
    assert done.subject.facts["provider"] == "cpu"


def test_a_changed_weight_is_found(exported, tiny_run, tmp_path):
    """One of thousands, by a thousandth: no answer tells."""
    weight = tiny_run.reference.classifier.network[-1].weight.detach().numpy().ravel()

    def change(data: bytes) -> bytes:
        place = data.index(weight.tobytes())
        return data[:place] + struct.pack("<f", weight[0] * 1.001) + data[place + 4 :]

    found = verify(changed_copy(exported.paths[0], tmp_path, {".pte": change}), tiny_run)
    assert found.graph != SAME_BYTES
    assert any("1 weights, the first at byte" in failure for failure in found.parity.failures)
    assert not found.parity


def test_other_preprocessing_is_found(exported, tiny_run, tmp_path):
    """Luma weights of red and blue swapped: grey images answer as before."""
    luma = struct.pack("<3f", 0.299, 0.587, 0.114)
    swapped = struct.pack("<3f", 0.114, 0.587, 0.299)
    damaged = changed_copy(exported.paths[0], tmp_path, {".pte": lambda data: data.replace(luma, swapped)})
    failures = verify(damaged, tiny_run).parity.failures
    assert any("expected probabilities within" in failure for failure in failures)


def test_other_labels_are_refused_in_the_file_and_in_the_sidecar(exported, tmp_path):
    swapped = changed_copy(
        exported.paths[0], tmp_path / "file", {".pte": lambda data: data.replace(b"angry", b"happy")}
    )
    with pytest.raises(ModelError, match=r"expected labels .* in the program, as the metadata say"):
        open_model(swapped)
    beside = changed_copy(
        exported.paths[0], tmp_path / "beside", {}, metadata={"labels": list(reversed(exported.metadata.labels))}
    )
    with pytest.raises(ModelError, match=r"expected labels .* in the program, as the metadata say"):
        open_model(beside)


def test_other_sizes_than_the_metadata_say_are_refused(exported, tmp_path):
    stated = json.loads(exported.paths[1].read_text())["input"]
    other = changed_copy(exported.paths[0], tmp_path, {}, metadata={"input": stated | {"max_side": 4096}})
    with pytest.raises(ModelError, match="expected max_side 4096 in the program"):
        open_model(other)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data + b"more",
        lambda data: data[:20],
        lambda data: b"PK\x03\x04" + data[4:],
        lambda data: data[:4] + b"TFL3" + data[8:],
        lambda data: b"\xff\xff\xff\x7f" + data[4:],
        lambda data: data[:60] + bytes(2000) + data[2060:],
    ],
    ids=["half", "longer", "header alone", "archive", "another flatbuffer", "root outside", "zeros"],
)
def test_what_is_no_program_is_one_line(exported, tmp_path, change):
    damaged = changed_copy(exported.paths[0], tmp_path, {".pte": change})
    with pytest.raises(ModelError, match=r"expected an? (ExecuTorch )?program|cannot run it") as failure:
        open_model(damaged)
    assert "\n" not in str(failure.value)


def test_damage_is_refused_before_the_runtime_reads_it(exported, tmp_path):
    for path in exported.paths[:2]:
        shutil.copy(path, tmp_path)
    damaged = tmp_path / exported.paths[0].name
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\x07")
    with pytest.raises(ModelError, match="expected the SHA-256"):
        open_model(damaged)


def test_the_last_bit_of_a_weight_may_differ_and_nothing_else():
    weights = np.array([0.5, -0.25, 3.0], np.float32)
    key = b"0123456789abcdef" * 4
    own = {".pte": key + weights.tobytes() + struct.pack("<I", 48)}

    def failures(weights: np.ndarray, number: int = 48, key: bytes = key[::-1]) -> list[str]:
        return reproduction_failures(own, {".pte": key + weights.tobytes() + struct.pack("<I", number)})

    assert failures(np.nextafter(weights, np.float32(9))) == []
    (reason,) = failures(weights + np.float32([0, 1e-3, 0]))
    assert "1 weights, the first at byte 68" in reason
    (reason,) = failures(weights, number=49)
    assert "something else than a weight, at byte 76" in reason
    (reason,) = reproduction_failures(own, {".pte": own[".pte"] + b"x"})
    assert "81 bytes for 80" in reason
    assert reproduction_failures(own, {}) != []
    step = {".pte": own[".pte"][:64] + bytes([own[".pte"][64] ^ 1]) + own[".pte"][65:]}
    assert reproduction_failures(own, step) == []
    (reason,) = reproduction_failures(own, step, are_floats=False)
    assert "the first difference is at byte 64" in reason


def test_other_versions_are_not_compared_byte_by_byte(exported, tiny_run, tmp_path):
    versions = dict(exported.metadata.versions) | {"executorch": "0.1"}
    other = changed_copy(exported.paths[0], tmp_path, {}, metadata={"versions": versions})
    assert "was made with executorch 0.1, here is" in verify(other, tiny_run).graph


def test_a_golden_kit_has_a_bundled_program_that_executorch_checks(exported, tmp_path):
    from executorch.extension.pybindings import portable_lib

    kit = write_kit(exported.paths[0], tmp_path / "kit")
    checked = subprocess.run(
        [sys.executable, kit.folder / "check.py", exported.paths[0]], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert re.match(r"ok: \d+ vectors, \d+ images, executorch [0-9.]+: logits within ", checked.stdout)
    data = (kit.folder / "tiny-run-executorch.bpte").read_bytes()
    assert exported.paths[0].read_bytes() in data  # an app's own file stays a plain program
    module = portable_lib._load_bundled_program_from_buffer(data)
    last = len(kit.manifest["vectors"]) - 1
    answers = module.verify_result_with_bundled_expected_output("forward", last, 1e-5, 1e-4)
    np.testing.assert_allclose(answers[1].numpy(), kit.manifest["vectors"][last]["logits"], atol=1e-5)


def test_a_bundled_program_with_another_answer_is_refused_by_executorch(exported, backend):
    image = noise(1, 48, 48, 3)
    own = backend.run(image)
    bundle, data = backend_named("executorch").bundle, exported.paths[0].read_bytes()
    assert data in bundle(data, [(image, own)], 1e-3)
    with pytest.raises(ModelError, match=r"expected answers within 0\.001 in 2 cases, found others in case 1"):
        bundle(data, [(image, own), (image, Outputs(own.probabilities, own.logits + 0.01))], 1e-3)
