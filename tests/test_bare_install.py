"""``pip install .`` into an empty environment, and a new user's first steps there: no torch, no checkout."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fer_edge.labels import FER2013

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

INSTALLED_LIMIT_MB = 150
"""Of installed files without bytecode and shipped models: numpy 57, onnxruntime 54, pillow 20, all else 10."""

WITHOUT_PACKAGE = """
import json, sys
import numpy as np
import onnxruntime
from PIL import Image

sys.modules["fer_edge"] = sys.modules["torch"] = None  # neither may be imported from here on
session = onnxruntime.InferenceSession(sys.argv[1])
card = json.loads(session.get_modelmeta().custom_metadata_map["fer_edge.card"])
assert card["input"]["kind"] == "pixels" and card["input"]["shape"] == ["batch", "height", "width", "channels"]
image = np.asarray(Image.open(sys.argv[2]).convert("RGB"), dtype=card["input"]["dtype"])[np.newaxis]
outputs = session.run([output["name"] for output in card["outputs"]], {card["input"]["name"]: image})
probabilities = dict(zip([output["name"] for output in card["outputs"]], outputs))["probabilities"][0]
print(json.dumps(dict(zip(card["labels"], probabilities.tolist()))))
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """An environment that holds pip and this package as a user gets it; the path of its python."""
    folder = tmp_path_factory.mktemp("bare")
    source = folder / "source"
    shutil.copytree(repository / "fer_edge", source / "fer_edge", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(repository / "exported", source / "exported")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(repository / name, source)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    (folder / "before").write_text(str(installed_bytes(python)))
    install = [python, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    subprocess.run([*install, "--constraint", repository / "constraints.txt", source], check=True)
    return python


def installed_bytes(python: Path) -> int:
    """Bytes of all files in the environment but bytecode, which Python writes by itself when a module is first used."""
    files = [path for path in python.parent.parent.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum(path.stat().st_size for path in files if path.suffix != ".pyc")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def desk(tmp_path: Path, repository: Path) -> Path:
    """A folder with a model and a photo, away from the checkout."""
    shutil.copy(repository / "tests" / "fixtures" / "tiny.onnx", tmp_path / "model.onnx")
    photo = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "face.jpg")
    return tmp_path


def test_size_of_the_runtime_is_bounded(bare: Path) -> None:
    added = installed_bytes(bare) - int((bare.parent.parent.parent / "before").read_text())
    models = sum(path.stat().st_size for path in bare.parent.parent.rglob("fer_edge/models/*"))
    assert models > 0
    assert (added - models) / 1e6 < INSTALLED_LIMIT_MB


def test_nothing_heavy_comes_with_it(bare: Path, desk: Path) -> None:
    installed = run(bare, "-m", "pip", "list", "--format", "freeze", cwd=desk).lower()
    names = {line.split("==")[0] for line in installed.splitlines()}
    assert {"fer-edge", "onnxruntime", "numpy", "pillow"} <= names
    assert not names & {
        "torch",
        "torchvision",
        "onnx",
        "onnxscript",
        "matplotlib",
        "scipy",
        "opencv-python-headless",
        "av",
        "sympy",
    }


HELP_OF_EACH = """
import sys

from fer_edge.cli.app import main

for name in sys.argv[1:]:
    sys.argv = ["fer-edge", name, "--help"]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, name
"""


def test_every_command_answers_help(bare: Path, desk: Path) -> None:
    command = bare.parent / "fer-edge"
    listed = run(command, "--help", cwd=desk)
    names = re.findall(r"^│ ([a-z]+)", listed.partition("Commands")[2], flags=re.MULTILINE)
    assert {"predict", "info", "train"} <= set(names)
    asked = run(bare, "-c", HELP_OF_EACH, *names, cwd=desk)  # one process: most of the time is its start
    assert asked.count("Usage: fer-edge") == len(names)


def test_the_installed_command_says_its_version_and_completes(bare: Path, desk: Path) -> None:
    command = bare.parent / "fer-edge"
    assert run(command, "--version", cwd=desk).startswith("fer-edge 0.")
    assert "Usage: fer-edge predict" in run(command, "predict", "-h", cwd=desk)
    words = {"COMP_WORDS": "fer-edge bench", "COMP_CWORD": "1", "_FER_EDGE_COMPLETE": "complete_bash"}
    asked = subprocess.run([command], capture_output=True, text=True, cwd=desk, env={**os.environ, **words})
    assert asked.stdout.split() == ["benchmark"]


def test_predict_and_info_run(bare: Path, desk: Path) -> None:
    assert "face.jpg: " in run(bare.parent / "fer-edge", "predict", "face.jpg", "--model", "model.onnx", cwd=desk)
    assert "intact" in run(bare.parent / "fer-edge", "info", "model.onnx", cwd=desk)


def test_faces_are_searched_for_with_the_weights_that_come_along(bare: Path, desk: Path, astronaut: Path) -> None:
    shutil.copy(astronaut, desk / "party.png")
    command = (bare.parent / "fer-edge", "predict", "party.png", "--model", "model.onnx", "--out", "annotated.jpg")
    assert "party.png face 1 of 1 (90x113 at 178, 63): " in run(*command, cwd=desk)
    assert (desk / "annotated.jpg").exists()
    assets = next(bare.parent.parent.rglob("fer_edge/runtime/assets"))
    assert {path.name for path in assets.iterdir()} == {
        "README.md",
        "saturation.onnx",
        "yunet-LICENSE.txt",
        "yunet.onnx",
    }


def test_golden_vectors_are_written_and_hold(bare: Path, desk: Path) -> None:
    run(bare.parent / "fer-edge", "golden", "model.onnx", cwd=desk)
    assert run(bare, desk / "model-golden" / "check.py", cwd=desk).startswith("ok: 14 vectors, 26 images")


def test_library_answers_in_three_lines(bare: Path, desk: Path) -> None:
    for model in ("", "'model.onnx'"):  # the one that comes along, and one's own
        code = f"from fer_edge import Classifier; print(Classifier.load({model}).predict('face.jpg').label)"
        assert run(bare, "-c", code, cwd=desk).strip() in FER2013.names


def test_models_go_by_name_in_any_folder(bare: Path, desk: Path) -> None:
    command = bare.parent / "fer-edge"
    assert re.search(r"^ fer-tiny +resnet10_half +1\.3 +70\.1%", run(command, "models", cwd=desk), flags=re.MULTILINE)
    assert "face.jpg: " in run(command, "predict", "face.jpg", "--faces", "crop", "--model", "fer-tiny", cwd=desk)
    assert "site-packages" in run(command, "info", "fer-tiny", cwd=desk).splitlines()[0]
    assert "fer-resnet18-int8" in run(command, "info", cwd=desk)
    run(command, "golden", "fer-tiny", cwd=desk)
    assert (desk / "fer-tiny-int8-golden" / "check.py").is_file()
    quick = ("--quick", "--batch-sizes", "1", "--rounds", "1", "--runtimes", "onnxruntime")
    assert "ferplus-resnet18-int8" in run(command, "benchmark", *quick, cwd=desk)


FROZEN_APP = """
import sys

from fer_edge import Classifier

classifier = Classifier.load("fer-tiny")
print(classifier.path)
print(classifier.predict(sys.argv[1]).label)
print(len(classifier.predict_faces(sys.argv[2]).faces))
"""


def test_a_frozen_app_has_the_models_and_the_face_detector(
    bare: Path, desk: Path, repository: Path, astronaut: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("freezing")
    tools = folder / "tools"  # beside the environment, whose packages and size other tests look at
    install = [bare, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", tools]
    pinned = subprocess.run(
        [*install, "--constraint", repository / "constraints.txt", "pyinstaller"], capture_output=True, text=True
    )
    if pinned.returncode != 0:
        pytest.skip(f"PyInstaller cannot be installed here: {pinned.stderr.strip().splitlines()[-1]}")
    (folder / "app.py").write_text(FROZEN_APP)
    freeze = [bare, "-m", "PyInstaller", "--onedir", "--noconfirm", "--log-level", "ERROR", "app.py"]
    environment = {**os.environ, "PYTHONPATH": str(tools), "PYINSTALLER_CONFIG_DIR": str(folder / "cache")}
    done = subprocess.run(freeze, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    shutil.move(folder / "dist" / "app", desk / "elsewhere")  # it must need nothing of where it was made
    shutil.rmtree(folder)
    answer = run(desk / "elsewhere" / "app", "face.jpg", astronaut, cwd=desk).splitlines()
    assert Path(answer[0]).is_relative_to(desk / "elsewhere")
    assert answer[1] in FER2013.names
    assert answer[2] == "1"


def test_the_command_predicts_without_naming_a_model(bare: Path, desk: Path) -> None:
    assert "face.jpg: " in run(bare.parent / "fer-edge", "predict", "face.jpg", "--faces", "crop", cwd=desk)


def test_first_lines_of_the_readme_run_as_they_stand(bare: Path, desk: Path, repository: Path) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    code = next(block for block in blocks if "Classifier.load" in block)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"\.\w{3,4}$", node.value):
            provide(node.value, desk, repository)
    run(bare, "-c", code, cwd=desk)


def provide(name: str, desk: Path, repository: Path) -> None:
    """Put the file that the README names where it looks for it: the shipped model, or a photo."""
    target = desk / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".onnx" and (repository / name).exists():
        shutil.copy(repository / name, target)
    elif not target.exists():
        shutil.copy(desk / ("model.onnx" if target.suffix == ".onnx" else "face.jpg"), target)


def test_model_runs_without_this_package_by_its_own_card(bare: Path, desk: Path, repository: Path) -> None:
    import json

    for model in (desk / "model.onnx", *(repository / "exported").glob("*.onnx")):
        command = (bare.parent / "fer-edge", "predict", "face.jpg", "--faces", "crop", "--model", model, "--json")
        with_package = json.loads(run(*command, cwd=desk))
        card = json.loads(run(bare.parent / "fer-edge", "info", model, "--json", cwd=desk))["card"]
        if card["input"]["kind"] != "pixels":
            continue
        without = json.loads(run(bare, "-c", WITHOUT_PACKAGE, model, desk / "face.jpg", cwd=desk))
        assert list(without) == card["labels"] == list(with_package["results"][0]["probabilities"])
        assert without == pytest.approx(with_package["results"][0]["probabilities"], abs=1e-5)
