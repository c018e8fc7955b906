"""examples/litert/predict.py names what fer_edge names, here and on an emulated Raspberry Pi."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_edge.backends.registry import open_model
from fer_edge.devices.targets import DEVICES, NotRun, emulators
from fer_edge.runtime.images import decode_image

ROOT = Path(__file__).resolve().parents[2]
LOADER = ROOT / "examples" / "litert" / "predict.py"
PACKAGES = "arm64-litert"
"""Where tools/devices.sh puts the wheels for ARM."""


@pytest.fixture
def model(exported_litert) -> Path:
    return exported_litert.paths[0]


@pytest.fixture
def photos(tmp_path) -> list[Path]:
    """A photo that is turned, one with transparency, and a grey one."""
    with Image.open(ROOT / "fer_edge" / "web" / "page" / "example.jpg") as opened:
        photo = opened.convert("RGB").resize((150, 131))
    turned = photo.getexif()
    turned[0x0112] = 6
    photo.save(tmp_path / "turned.jpg", exif=turned)
    photo.convert("L").resize((48, 48)).save(tmp_path / "grey.png")
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, 150).astype(np.uint8), (131, 1)))
    photo.putalpha(alpha)
    photo.save(tmp_path / "clear.png")
    return [tmp_path / name for name in ("turned.jpg", "clear.png", "grey.png")]


def assert_says_what_fer_edge_says(said: str, model: Path, photos: list[Path]) -> None:
    backend = open_model(model)
    lines = said.splitlines()
    assert len(lines) == len(photos), said
    for line, path in zip(lines, photos, strict=True):
        (expected,) = backend.run(decode_image(path)[np.newaxis]).probabilities
        found = re.fullmatch(r"(.+): (\w+) (\d\.\d{4})", line)
        assert found, line
        assert found[1] == str(path)
        assert found[2] == backend.metadata.labels[int(expected.argmax())]
        assert float(found[3]) == pytest.approx(expected.max(), abs=1e-3)


def test_it_answers_as_fer_edge(model, photos):
    done = subprocess.run([sys.executable, LOADER, model, *photos], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert_says_what_fer_edge_says(done.stdout, model, photos)
    assert "fer_edge" not in re.findall(r"^(?:from|import) (\w+)", LOADER.read_text(), re.MULTILINE)


def test_it_refuses_a_file_that_the_sidecar_does_not_name(model, photos, tmp_path):
    other = tmp_path / model.name
    other.write_bytes(model.read_bytes() + b"\0")
    other.with_suffix(".json").write_bytes(model.with_suffix(".json").read_bytes())
    done = subprocess.run([sys.executable, LOADER, other, *photos], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("copy both again")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_answers_as_fer_edge_on_an_emulated_raspberry_pi(model, photos, tmp_path):
    try:
        folder = emulators()
        command = DEVICES["arm-cortex-a72"].command(folder, tmp_path)
    except NotRun as reason:
        pytest.skip(str(reason))
    packages = folder / PACKAGES
    if not (packages / "ai_edge_litert").is_dir():
        pytest.skip(f"no {packages} with LiteRT's wheels for ARM; run tools/devices.sh")
    done = subprocess.run(
        [*command.words[:-1], LOADER, model, *photos],
        env={**os.environ, **command.environment, "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert_says_what_fer_edge_says(done.stdout, model, photos)
