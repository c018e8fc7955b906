"""What messages tell people to run about onnxruntime's packages, run by pip in an environment of its own.

The packages are of a few bytes, made here: they share a file as the real ones do, which is what pip stumbles over.
"""

import os
import shlex
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def write_wheel(folder: Path, name: str, version: str) -> None:
    stem = f"{name.replace('-', '_')}-{version}"
    files = {
        "onnxruntime/__init__.py": f"BROUGHT_BY = {f'{name} {version}'!r}\n",
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{stem}.dist-info/top_level.txt": "onnxruntime\n",
    }
    record = f"{stem}.dist-info/RECORD"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        wheel.writestr(record, "".join(f"{path},,\n" for path in (*files, record)))


class Environment:
    def __init__(self, folder: Path) -> None:
        venv.create(folder / "env", with_pip=False)
        self.python = str(folder / "env" / ("Scripts" if sys.platform == "win32" else "bin") / "python")
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        for name in ("onnxruntime", "onnxruntime-gpu"):
            for version in ("1.0", "2.0"):
                write_wheel(self.wheels, name, version)

    def pip(self, command: str) -> None:
        program, *words = shlex.split(command)
        assert program == "pip"
        settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "pip", "--python", self.python, *words],
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,  # a script answers no question
        )
        assert done.returncode == 0, done.stderr

    def said(self, code: str) -> str:
        done = subprocess.run(
            [self.python, "-c", code],
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def follow(self, advice: str) -> None:
        """Run what ``advice``, an expression, tells in this environment."""
        told = self.said(f"from fer_edge.runtime.onnxruntime_packages import *; print({advice})")
        for command in told.rpartition("run: ")[2].split(", then "):
            self.pip(command)

    def state(self) -> tuple[str, str]:
        """Which package's file is there, and which packages pip believes in."""
        return (
            self.said("import onnxruntime; print(onnxruntime.BROUGHT_BY)"),
            self.said(
                "from fer_edge.runtime.onnxruntime_packages import onnxruntime_packages as packages\n"
                "print(*packages().items())"
            ),
        )


GPU = ("onnxruntime-gpu 2.0", "('onnxruntime-gpu', '2.0')")


@pytest.mark.parametrize(
    ("before", "advice", "expected"),
    [
        (["install onnxruntime"], "reinstalling('onnxruntime-gpu')", GPU),
        (["install onnxruntime-gpu", "install onnxruntime"], "upgrading()", GPU),
        (["install onnxruntime onnxruntime-gpu", "uninstall -y onnxruntime"], "install_advice()", GPU),
        (["install onnxruntime-gpu==1.0"], "upgrading()", GPU),
        ([], "install_advice()", ("onnxruntime 2.0", "('onnxruntime', '2.0')")),
    ],
)
def test_what_is_told_leaves_one_whole_package(
    tmp_path: Path, before: list[str], advice: str, expected: tuple[str, str]
) -> None:
    environment = Environment(tmp_path)
    for command in before:
        environment.pip(f"pip {command}")
    environment.follow(advice)
    assert environment.state() == expected
