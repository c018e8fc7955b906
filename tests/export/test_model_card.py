"""The card for people, and its own instructions followed as a stranger would: without this package, without torch."""

import re
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_edge.export.card.metadata import describe
from fer_edge.export.card.model_card import model_card_markdown
from fer_edge.export.checkpoint_graphs import load_reference
from fer_edge.export.exporter import export_checkpoint
from fer_edge.export.formats.registry import format_named
from fer_edge.export.request import ExportRequest
from fer_edge.labels import FER2013

BARE_PACKAGES = ("numpy", "numpy.libs", "PIL", "pillow.libs", "onnxruntime", "flatbuffers", "google", "packaging")
"""What the first line of the card's Python block installs, and what those need."""

_RUN = """
import sys
sys.path.insert(0, {site!r})
exec(compile(open({script!r}, encoding="utf-8").read(), {script!r}, "exec"))
assert not [name for name in ("torch", "fer_edge", "onnx") if name in sys.modules]
for name in ("torch", "fer_edge"):
    try:
        __import__(name)
    except ImportError:
        continue
    raise SystemExit(name + " is importable: this environment is not bare")
"""


@pytest.fixture(scope="module")
def bare_site(tmp_path_factory) -> Path:
    site = tmp_path_factory.mktemp("site")
    installed = Path(sysconfig.get_paths()["purelib"])
    for package in BARE_PACKAGES:
        if (installed / package).exists():
            (site / package).symlink_to(installed / package)
    return site


def run_python_block(card: Path, face: np.ndarray, site: Path) -> dict[str, float]:
    (code,) = re.findall(r"```python\n(.*?)```", card.read_text(), re.DOTALL)
    script = card.with_name("call.py")
    script.write_text(code)
    Image.fromarray(face).save(card.with_name("face.jpg"), quality=100)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _RUN.format(site=str(site), script=str(script))],
        cwd=card.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines()}


@pytest.mark.parametrize("raw", [False, True])
def test_the_cards_own_instructions_work_in_a_bare_environment(tiny_run, tmp_path, bare_site, raw):
    card = export_checkpoint(ExportRequest(checkpoint=tiny_run.folder, folder=tmp_path, raw=raw)).paths[2]
    face = tiny_run.faces.validation.faces[0]
    found = run_python_block(card, face, bare_site)
    assert tuple(found) == FER2013.names
    with Image.open(tmp_path / "face.jpg") as opened:
        pixels = np.asarray(opened.convert("RGB"))[np.newaxis]
    expected, _ = tiny_run.reference.answer(pixels)
    assert list(found.values()) == pytest.approx(expected[0].tolist(), abs=5e-3 if raw else 1e-4)


def test_card_says_what_a_user_must_know(exported_tiny):
    text = exported_tiny.with_suffix(".md").read_text()
    for part in (
        "# tiny-run",
        "`image`",
        "angry, disgust, fear, happy, neutral, sad, surprise",
        "```python",
        "```js",
        "```cpp",
        "drawn by code, not photographed",
        "An expression is not a feeling",
        "lie detection",
        "onnxruntime 1.15 or newer",
        "| split      | metric   |",
    ):
        assert part in text
    json_card = exported_tiny.with_suffix(".json").read_text()
    assert re.search(r'"file_sha256": "(\w+)"', json_card)[1] in text
    assert "FER-2013" not in text  # these faces are drawn


def test_torch_formats_show_how_torch_loads_them(tiny_run, tmp_path):
    request = ExportRequest(checkpoint=tiny_run.folder, folder=tmp_path, file_format="pt2")
    text = export_checkpoint(request).paths[2].read_text()
    assert 'torch.export.load("tiny-run-export.pt2").module()' in text
    assert "only from a source that you trust" in text
    assert "```cpp" not in text


@pytest.fixture(scope="module")
def card_of(tiny_run, tmp_path_factory):
    """The card of a model whose checkpoint's record has other values in some fields."""
    folder = tmp_path_factory.mktemp("cards")
    done = export_checkpoint(ExportRequest(checkpoint=tiny_run.folder, folder=folder))
    _, info = load_reference(tiny_run.folder)

    def card(**changes) -> str:
        record = replace(info, data_source="/home/me/mine", **changes)
        metadata = describe(record, name="m", model_format=format_named("onnx"))
        return model_card_markdown(metadata, "m.onnx", 1, "0" * 64, done.parity)

    return card


def test_card_of_a_run_on_ones_own_faces_states_what_the_run_recorded(card_of):
    counts = dict(zip(FER2013.names, (120, 0, 3, 1500, 40, 20, 10), strict=True))
    text = card_of(class_counts=counts, starting_weights="from /home/me/runs/big/checkpoints/best.pt (resnet18)")
    assert "The training faces were `mine`" in text
    assert re.search(r"\| happy +\| +1,500 \|", text)
    assert "**Never seen in training: disgust.**" in text
    assert "Starting weights: from best.pt (resnet18)." in text
    assert "/home/me" not in text
    assert "web search" not in text
    assert "FER-2013" not in text


def test_card_of_a_run_on_fer2013_says_so(card_of):
    text = card_of(class_counts=dict.fromkeys(FER2013.names, 9), data_name=FER2013.dataset)
    assert f"The training faces were {FER2013.dataset}, read from `mine`" in text
    assert "web search" in text
    assert "Never seen" not in text
