"""The runtime itself on an emulated ARM processor: its dependencies from wheels, predict, a golden kit."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fer_edge.devices.targets import DEVICES, NotRun, emulators

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def on_arm(tmp_path: Path):
    """Runs ``python -m fer_edge ...`` under qemu, from wheels alone; the answer's stdout."""
    try:
        command = DEVICES["arm-cortex-a72"].command(emulators(), tmp_path)
    except NotRun as reason:
        pytest.skip(str(reason))
    packages = Path(command.environment["PYTHONPATH"])
    if not (packages / "typer").is_dir():
        pytest.skip(f"{packages} is of an earlier tools/devices.sh; delete it and run that again")
    environment = {**os.environ, **command.environment, "PYTHONPATH": f"{packages}:{ROOT}"}

    def run(*words: str | Path) -> str:
        whole = [*command.words[:-1], *map(str, words)]
        done = subprocess.run(whole, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_predict_info_and_golden_run_on_arm(on_arm, tmp_path: Path) -> None:
    shutil.copy(ROOT / "fer_edge" / "web" / "page" / "example.jpg", tmp_path / "face.jpg")
    shutil.copy(ROOT / "exported" / "fer-tiny-int8.onnx", tmp_path / "model.onnx")
    assert on_arm("-c", "import platform; print(platform.machine())").strip() == "aarch64"
    assert "face 1 of 1" in on_arm("-m", "fer_edge", "predict", "face.jpg", "--model", "model.onnx")
    on_arm("-m", "fer_edge", "golden", "model.onnx")
    assert on_arm("model-golden/check.py", "model.onnx").startswith("ok: 14 vectors, 26 images")
