import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fer_edge.backends.registry import open_model
from fer_edge.errors import ModelError
from fer_edge.golden.kit import default_folder
from fer_edge.runtime import shipped
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.description import describe_model


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
def test_a_wheel_holds_every_shipped_model_with_its_cards_and_checkpoint(tmp_path, repository):
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", tmp_path, repository]
    subprocess.run(build, check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("fer_edge/models/")}
    exported = {f"fer_edge/models/{path.name}" for path in (repository / "exported").glob("fer*")}
    assert held == exported
    assert {f"fer_edge/models/{name}.pt" for name in shipped.shipped_by_name()} <= held
    assert f"fer_edge/models/{shipped.DEFAULT_MODEL}" in held


@pytest.fixture
def shipped_folder(tmp_path, monkeypatch, tiny_model):
    """An installation with one model, ``fer-toy``, and its checkpoint; the working directory is another folder."""
    models, here = tmp_path / "models", tmp_path / "here"
    models.mkdir()
    here.mkdir()
    for suffix in (".onnx", ".json"):
        (models / f"fer-toy-int8{suffix}").write_bytes(tiny_model.with_suffix(suffix).read_bytes())
    (models / "fer-toy.pt").write_bytes(b"weights")
    monkeypatch.setattr(shipped, "FOLDERS", (models,))
    monkeypatch.chdir(here)
    return models


@pytest.mark.parametrize("name", ["fer-toy", "fer-toy-int8", "fer-toy-int8.onnx"])
def test_a_shipped_model_is_meant_by_its_name_in_any_folder(shipped_folder, name):
    assert shipped.model_path(name) == shipped_folder / "fer-toy-int8.onnx"
    assert Classifier.load(name).path == shipped_folder / "fer-toy-int8.onnx"
    assert describe_model(name).path == shipped_folder / "fer-toy-int8.onnx"
    assert open_model(name).path == shipped_folder / "fer-toy-int8.onnx"
    assert shipped.shipped_checkpoint(name) == shipped_folder / "fer-toy.pt"


def test_a_file_of_that_name_comes_before_the_shipped_model(shipped_folder, tiny_model):
    shutil.copy(tiny_model, "fer-toy")
    assert Classifier.load("fer-toy").path == Path("fer-toy")
    assert shipped.shipped_checkpoint("fer-toy") is None
    assert shipped.model_path("./fer-toy") == Path("fer-toy")


def test_a_folder_of_that_name_is_no_model_and_the_shipped_one_is_named(shipped_folder):
    Path("fer-toy").mkdir()
    with pytest.raises(ModelError, match=re.escape(f"shipped model of that name is {shipped_folder}/fer-toy-int8")):
        Classifier.load("fer-toy")


@pytest.mark.parametrize("name", ["fer-toys", "x/fer-toy", "fer-toy.ort", "", ".", "a\0b", "n" * 5000])
def test_another_name_is_a_path_and_where_it_leads_nowhere_the_names_are_told(shipped_folder, name):
    assert shipped.model_path(name) == Path(name)
    with pytest.raises(ModelError, match=r"take a shipped one \(fer-toy\)|found a folder|cannot be read"):
        Classifier.load(name)


def test_every_shipped_model_says_what_it_is_and_has_its_checkpoint():
    names = {"fer-resnet18", "fer-tiny", "ferplus-resnet18"}
    found = shipped.shipped_by_name()
    assert set(found) == names
    for name, model in found.items():
        assert model.metadata().name == f"{name}-int8"
        assert model.checkpoint == model.path.with_name(f"{name}.pt")


def test_the_kit_of_a_shipped_model_goes_into_the_working_directory(shipped_folder, tiny_model):
    assert default_folder("fer-toy") == Path("fer-toy-int8-golden")
    assert default_folder(shipped_folder / "fer-toy-int8.onnx") == shipped_folder / "fer-toy-int8-golden"
    assert default_folder(tiny_model) == tiny_model.with_name("tiny-golden")
