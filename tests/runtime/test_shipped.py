import re
import subprocess
import sys
import zipfile

import pytest

from fer_edge.errors import ModelError
from fer_edge.runtime import shipped
from fer_edge.runtime.classifier import Classifier


def test_the_default_model_is_found_in_the_first_folder_that_has_models(tmp_path, monkeypatch, tiny_model):
    wheel, checkout = tmp_path / "models", tmp_path / "exported"
    checkout.mkdir()
    for suffix in (".onnx", ".json"):
        (checkout / shipped.DEFAULT_MODEL).with_suffix(suffix).write_bytes(tiny_model.with_suffix(suffix).read_bytes())
    monkeypatch.setattr(shipped, "FOLDERS", (wheel, checkout))
    assert Classifier.load().path == checkout / shipped.DEFAULT_MODEL
    assert shipped.shipped_models() == (checkout / shipped.DEFAULT_MODEL,)


def test_an_installation_without_models_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDERS", (tmp_path,))
    with pytest.raises(ModelError, match=f"expected {re.escape(shipped.DEFAULT_MODEL)} with this installation"):
        Classifier.load()


@pytest.mark.slow
def test_a_wheel_holds_every_shipped_int8_model_with_its_cards(tmp_path, repository):
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", tmp_path, repository]
    subprocess.run(build, check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("fer_edge/models/")}
    exported = {f"fer_edge/models/{path.name}" for path in (repository / "exported").glob("*-int8.*")}
    assert held == exported
    assert f"fer_edge/models/{shipped.DEFAULT_MODEL}" in held
