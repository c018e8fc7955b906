"""A masked onnxruntime believes to be on a lesser processor: it saturates like one, and does not like another."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools" / "cpumask"
ROOT = TOOLS.parents[1]
ASK = "from fer_edge.runtime.saturation import saturates; print(saturates())"


def has_avx2() -> bool:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return False
    return "avx2" in Path("/proc/cpuinfo").read_text().split()


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not has_avx2() or not shutil.which("gcc") or not shutil.which("objdump"):
        pytest.skip("needs Linux on x86-64 with AVX2, gcc and objdump")
    folder = tmp_path_factory.mktemp("masked")
    source = str(TOOLS / "cpumask.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-o", str(folder / "cpumask.so"), source], check=True)
    shutil.copytree(Path(onnxruntime.__file__).parent, folder / "onnxruntime")
    (library,) = (folder / "onnxruntime" / "capi").glob("onnxruntime_pybind11_state*.so")
    subprocess.run([sys.executable, str(TOOLS / "mask.py"), str(library)], check=True)
    return folder


def run(folder: Path, level: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "CPUMASK": level,
        "LD_PRELOAD": str(folder / "cpumask.so"),
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
    }
    return subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("level", "saturates"), [("avx512", "True"), ("avx2", "False")])
def test_avx2_without_vnni_saturates_and_what_is_older_does_not(masked: Path, level: str, saturates: str) -> None:
    done = run(masked, level)
    assert (done.returncode, done.stdout.strip()) == (0, saturates), done.stderr


def test_a_level_that_is_none_is_refused(masked: Path) -> None:
    done = run(masked, "vnn")
    assert done.returncode == 2
    assert "expected none, vnni, avx512, avx2 or avx, found vnn" in done.stderr
