import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import fer_edge

HEAVY = ("torch", "torchvision", "onnx", "matplotlib", "captum", "optuna")

RUNTIME_IMPORT_LIMIT_S = 0.6
"""What a kiosk waits before it can load a model, the interpreter's own start included."""


def in_fresh_interpreter(code: str, repository: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded_by(statement: str, names: tuple[str, ...], repository: Path) -> str:
    return in_fresh_interpreter(
        f"import sys; {statement}; print(*[name for name in {names!r} if name in sys.modules])", repository
    )


def test_importing_the_package_loads_nothing_heavy(repository: Path) -> None:
    assert loaded_by("import fer_edge", (*HEAVY, "onnxruntime", "numpy", "PIL"), repository) == ""


@pytest.mark.parametrize(
    "statement",
    [
        "from fer_edge import Classifier, Prediction",
        "import fer_edge.metadata, fer_edge.files, fer_edge.labels",
        "import fer_edge.runtime.description",
        "import fer_edge.cli",
    ],
)
def test_runtime_and_command_line_never_load_torch(statement: str, repository: Path) -> None:
    assert loaded_by(statement, HEAVY, repository) == ""


def test_prediction_never_loads_torch(repository: Path) -> None:
    predict = (
        "from fer_edge import Classifier; import numpy as np;"
        "Classifier.load('tests/fixtures/tiny.onnx').predict(np.zeros((60, 60, 3), np.uint8))"
    )
    assert loaded_by(predict, HEAVY, repository) == ""


def test_cli_loads_no_onnxruntime_until_it_is_used(repository: Path) -> None:
    assert loaded_by("import fer_edge.cli", ("onnxruntime", "numpy", "PIL"), repository) == ""


def test_runtime_import_is_quick(repository: Path) -> None:
    """In processor time, the best of five: the question is what the import costs, not what else the machine does."""
    code = "import time, fer_edge.runtime.classifier; print(time.process_time())"
    seconds = []
    for _ in range(5):
        seconds.append(float(in_fresh_interpreter(code, repository)))
        if seconds[-1] < RUNTIME_IMPORT_LIMIT_S:
            break
        time.sleep(1)
    assert min(seconds) < RUNTIME_IMPORT_LIMIT_S


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("0", "0")])
def test_onnxruntime_sends_no_usage_data_unless_somebody_wants_it(before: str | None, after: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    code = "import os, fer_edge; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    given = {} if before is None else {"ORT_DISABLE_TELEMETRY": before}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment | given)
    assert done.stdout.strip() == after, done.stderr


def test_lazy_names_are_those_that_are_promised() -> None:
    from fer_edge.runtime.classifier import Classifier
    from fer_edge.runtime.prediction import Prediction

    assert fer_edge.Classifier is Classifier
    assert fer_edge.Prediction is Prediction
    for name in fer_edge.__all__:
        assert hasattr(fer_edge, name)
    with pytest.raises(AttributeError, match="module 'fer_edge' has no attribute 'Clasifier'"):
        _ = fer_edge.Clasifier


@pytest.mark.parametrize(
    ("name", "raised", "arguments"),
    [
        ("typer", "raise KeyboardInterrupt", ["--help"]),
        # As onnxruntime says it, whose import is the command's own.
        ("onnxruntime", "raise ImportError('initialization failed') from KeyboardInterrupt()", ["predict", "a.png"]),
    ],
)
def test_an_interrupt_in_an_import_is_one_line(repository: Path, name: str, raised: str, arguments: list[str]) -> None:
    code = (
        "import importlib.abc, sys\n"
        "class Interrupt(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {name!r}: {raised}\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        f"import runpy; sys.argv[1:] = {arguments}; runpy.run_path('cli.py', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=repository)
    assert done.returncode == 130
    assert done.stderr == "interrupted; nothing was written\n"


def test_a_python_without_the_packages_is_told_which_has_them(repository: Path) -> None:
    code = "import runpy, sys; sys.modules['typer'] = None; runpy.run_path('cli.py', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=repository)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: expected the package 'typer', found none in {sys.executable}; take the Python that")


def test_the_package_runs_as_a_module(repository: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "fer_edge", "--help"], capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0
    assert "golden" in done.stdout
