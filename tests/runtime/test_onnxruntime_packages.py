"""Packages that bring the same module: pip lets them overwrite one another, and the runtime says so."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import onnxruntime
import pytest
from packaging.requirements import Requirement

from fer_edge.runtime import onnxruntime_packages as module
from fer_edge.runtime.onnxruntime_packages import install_advice, onnxruntime_packages, reinstalling
from fer_edge.runtime.providers import missing_for_cuda

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "deployment" / "python.md"
DEPENDENCIES = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]


def install(folder: Path, name: str, version: str, top_level: str = "onnxruntime") -> None:
    """What pip leaves of a package for others to find."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (info / "top_level.txt").write_text(f"{top_level}\n", encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages before the real one."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_one_that_is_installed_is_found() -> None:
    assert onnxruntime_packages() == {"onnxruntime": onnxruntime.__version__}


def test_all_that_bring_the_module_are_found_and_no_other(site: Path) -> None:
    install(site, "onnxruntime-gpu", "1.31.1")
    install(site, "onnxruntime-genai", "0.9.0", top_level="onnxruntime_genai")
    install(site, "orthography", "1.0")  # not by its name alone
    (site / "orthography-1.0.dist-info" / "top_level.txt").unlink()
    assert onnxruntime_packages() == {"onnxruntime": onnxruntime.__version__, "onnxruntime-gpu": "1.31.1"}


def test_cuda_that_was_overwritten_comes_back_by_removing_both(site: Path) -> None:
    assert "(pip uninstall -y onnxruntime, then pip install onnxruntime-gpu)" in next(missing_for_cuda())
    install(site, "onnxruntime-gpu", "1.31.1")
    assert next(missing_for_cuda()) == (
        "onnxruntime with CUDA (pip uninstall -y onnxruntime onnxruntime-gpu, then pip install onnxruntime-gpu)"
    )


def test_of_several_the_one_that_somebody_chose_is_kept(site: Path) -> None:
    install(site, "onnxruntime-openvino", "1.24.1")
    assert install_advice() == (
        f"expected the files of onnxruntime {onnxruntime.__version__}, onnxruntime-openvino 1.24.1, found that another "
        "package's removal took some; run: pip uninstall -y onnxruntime onnxruntime-openvino, then pip install "
        "onnxruntime-openvino"
    )


def test_without_any_the_plain_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "distributions", list)
    assert install_advice() == "expected a package that brings onnxruntime, found none; run: pip install onnxruntime"
    assert reinstalling("onnxruntime-gpu") == "pip uninstall -y onnxruntime, then pip install onnxruntime-gpu"


@pytest.mark.parametrize("source", ["", "raise ModuleNotFoundError('no module', name='onnxruntime')"])
def test_a_module_without_its_files_is_one_line(tmp_path: Path, source: str) -> None:
    """As uninstalling leaves it: a folder with little in it, or none."""
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text(source, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    words = ["info", str(ROOT / "tests" / "fixtures" / "tiny.onnx")]
    done = subprocess.run(
        [sys.executable, "-m", "fer_edge", *words], capture_output=True, encoding="utf-8", env=environment
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: expected the files of onnxruntime {onnxruntime.__version__}, found that ")
    assert len(done.stderr.splitlines()) == 1
    library = [sys.executable, "-c", "from fer_edge import Classifier"]
    done = subprocess.run(library, capture_output=True, encoding="utf-8", env=environment)
    assert "cannot import name" not in done.stderr
    assert "onnxruntime" in done.stderr.splitlines()[-1] or "no module" in done.stderr.splitlines()[-1]


def test_the_range_has_no_upper_end_and_holds_the_tested_releases() -> None:
    (wanted,) = (Requirement(text) for text in DEPENDENCIES if Requirement(text).name == "onnxruntime")
    assert {"1.18.1", "1.23.2", "1.28.0", "1.32.0", "2.0.0", onnxruntime.__version__} <= set(
        wanted.specifier.filter(["1.17.3", "1.18.1", "1.23.2", "1.28.0", "1.32.0", "2.0.0", onnxruntime.__version__])
    )
    assert "1.18.0" not in wanted.specifier  # pip pairs it with numpy 2, on which it crashes


def test_the_page_lists_what_to_install_beside_another_onnxruntime() -> None:
    (line,) = re.findall(r"^pip install ('numpy.*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    listed = {str(Requirement(word.strip("'"))) for word in line.partition("#")[0].split()}
    assert listed == {str(Requirement(text)) for text in DEPENDENCIES if Requirement(text).name != "onnxruntime"}
