"""The diffs of docs/extending.md are real: each is applied in memory and what it adds is used."""

import gzip
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from fer_edge.backends import registry as backend_registry


@pytest.fixture(scope="module")
def diffs(repository: Path) -> list[str]:
    """What each diff of the page adds."""
    text = (repository / "docs" / "extending.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```diff\n(.*?)```", text, flags=re.DOTALL)
    return ["\n".join(line[1:] for line in block.splitlines() if line.startswith("+")) for block in blocks]


def module_of(code: str, name: str) -> ModuleType:
    module = ModuleType(name)
    sys.modules[name] = module
    exec(compile(code, f"docs/extending.md ({name})", "exec"), module.__dict__)
    return module


@pytest.fixture
def backend(diffs: list[str]) -> Iterator[ModuleType]:
    module = module_of(diffs[2], "extending_backend")
    backend_registry.register(module.BACKEND)
    yield module
    backend_registry.unregister(module.BACKEND.name)
    sys.modules.pop("extending_backend")


def test_the_backend_shows_up_and_answers_as_onnxruntime_does(
    backend: ModuleType, repository: Path, tmp_path: Path
) -> None:
    assert "onnx-gzip" in backend_registry.backends()
    original = repository / "tests" / "fixtures" / "tiny.onnx"
    packed = tmp_path / "tiny.onnxz"
    packed.write_bytes(gzip.compress(original.read_bytes(), mtime=0))
    (tmp_path / "tiny.json").write_bytes(original.with_suffix(".json").read_bytes())
    pixels = np.random.default_rng(0).integers(0, 256, (3, 60, 50, 3), dtype=np.uint8)
    found = backend.load(packed).run(pixels)
    expected = backend_registry.open_model(original).run(pixels)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-6)
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-6)


def test_the_format_shows_up_with_its_backend(diffs: list[str], backend: ModuleType) -> None:
    from fer_edge.export.formats import registry

    found = module_of(diffs[1], "extending_format").FORMAT
    registry.register(found)
    try:
        assert registry.format_named("onnx-gzip") is found
        assert found.opened_by is backend.BACKEND
        assert found.files_of("mine") == ("mine.onnxz",)
        registry.refuse_combination(found, "int8", "pixels")
    finally:
        registry.unregister(found.name)
    assert "onnx-gzip" not in registry.all_formats()


def test_the_architecture_is_built_for_any_number_of_classes(diffs: list[str]) -> None:
    torch = pytest.importorskip("torch")
    from fer_edge.training import architectures

    try:
        module_of(diffs[0], "extending_architecture")
        assert "squeezenet" in architectures.architecture_names()
        for classes in (2, 8):
            network = architectures.build_classifier("squeezenet", {}, None, (classes,))
            with torch.no_grad():
                answer = network.eval()(torch.zeros(2, 1, 48, 48))
            assert answer.shape == (2, classes)
    finally:
        architectures.unregister("squeezenet")


def test_the_reader_reads_its_layout_from_the_place_that_the_page_names(
    diffs: list[str], repository: Path, tmp_path: Path
) -> None:
    from fer_edge.data.folders import list_entries
    from fer_edge.data.problems import ProblemList
    from fer_edge.labels import FER2013

    reader = module_of(diffs[3], "extending_reader")
    problems = ProblemList("faces")
    assert not reader.is_jaffe_layout(list_entries(repository / "exported", problems))
    for name in ("KA.HA1.29.tiff", "KA.SA2.30.tiff", "KM.HA1.4.tiff"):
        Image.new("L", (256, 256), 90).save(tmp_path / name)
    (tmp_path / "README").touch()
    assert reader.is_jaffe_layout(list_entries(tmp_path, problems))
    splits, layout = reader.read_jaffe(tmp_path, 48, problems)
    assert [FER2013.names[label] for label in splits["train"].labels] == ["happy", "sad", "happy"]
    assert splits["train"].faces.shape == (3, 48, 48)
    assert layout == "files named after their class"
    assert [problem.where for problem in problems.found] == [str(tmp_path / "README")]
    text = (repository / "docs" / "extending.md").read_text(encoding="utf-8")
    (branch,) = re.findall(r"load\.py, _read_folder\n(?:\+.*\n)+ (.*)\n", text)
    assert (repository / "fer_edge/data/load.py").read_text(encoding="utf-8").count(branch) == 1


def test_the_two_files_in_their_folders_are_all_that_a_format_needs(
    diffs: list[str], repository: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    homes = {"fer_edge.export.formats": diffs[1], "fer_edge.backends": diffs[2]}
    program = ["import importlib, sys"]
    for package, code in homes.items():
        (tmp_path / package).mkdir()
        (tmp_path / package / "onnx_gzip.py").write_text(code, encoding="utf-8")
        program += [f"importlib.import_module({package!r}).__path__.append({str(tmp_path / package)!r})"]
    program += ["from fer_edge.__main__ import main", "main()"]

    def fer_edge(*arguments: str) -> str:
        command = [sys.executable, "-c", "\n".join(program), *arguments]
        environment = {**os.environ, "PYTHONPATH": str(repository)}
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    checkpoint = str(repository / "exported" / "fer-tiny.pt")
    fer_edge("export", "--checkpoint", checkpoint, "--format", "onnx-gzip", "--name", "packed", "--folder", ".")
    assert "intact" in fer_edge("info", "packed.onnxz")
    assert "parity passed" in fer_edge("verify", "packed.onnxz", "--checkpoint", checkpoint)
