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


def write_wheel(folder: Path, name: str, version: str, module: str = "onnxruntime", requires: str = "") -> None:
    stem = f"{name.replace('-', '_')}-{version}"
    files = {
        f"{module}/__init__.py": f"BROUGHT_BY = {f'{name} {version}'!r}\n",
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{stem}.dist-info/top_level.txt": f"{module}\n",
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
        # Behind the environment's own packages, and elsewhere: beside the sources lie an editable install's metadata.
        code = f"import sys; sys.path.append({str(ROOT)!r})\n{code}"
        done = subprocess.run([self.python, "-c", code], capture_output=True, encoding="utf-8", cwd=self.wheels)
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


REQUIRES = """\
Requires-Dist: onnxruntime>=1.0
Provides-Extra: video
Provides-Extra: train
Provides-Extra: all
Requires-Dist: av<19,>=17.1; extra == "video"
Requires-Dist: torch>=2.8; extra == "train"
Requires-Dist: onnxruntime>=1.0; extra == "train"
Requires-Dist: onnxscript>=0.6.1; extra == "train"
Requires-Dist: fer-edge[train,video]; extra == "all"
"""
"""As pip writes them of pyproject.toml."""


def with_extras(folder: Path) -> Environment:
    environment = Environment(folder)
    for name, version in (("av", "18.0"), ("torch", "2.13"), ("onnxscript", "0.7")):
        write_wheel(environment.wheels, name, version, name)
    write_wheel(environment.wheels, "fer-edge", "0.1.0", "a_module_of_fer_edge", REQUIRES)
    return environment


@pytest.mark.parametrize(
    ("extra", "brought"), [("video", "av"), ("train", "torch onnxscript"), ("all", "torch onnxscript av")]
)
def test_an_extra_leaves_the_gpu_package_whole(tmp_path: Path, extra: str, brought: str) -> None:
    environment = with_extras(tmp_path)
    environment.pip("pip install onnxruntime-gpu")
    environment.pip("pip install --no-deps fer-edge")
    told = environment.said(
        f"from fer_edge.errors import MissingExtraError; print(MissingExtraError('a', {extra!r}))"
    ).rpartition("run: ")[2]
    environment.pip(told)
    assert environment.state() == GPU
    for module in brought.split():
        assert environment.said(f"import {module}; print({module}.BROUGHT_BY)").startswith(module)


def test_the_plain_command_is_what_breaks_it(tmp_path: Path) -> None:
    environment = with_extras(tmp_path)
    environment.pip("pip install onnxruntime-gpu")
    environment.pip("pip install --no-deps fer-edge")
    environment.pip("pip install 'fer-edge[video]'")
    assert environment.state()[0] == "onnxruntime 2.0"  # over the other's files


def test_beside_onnxruntime_itself_an_extra_is_named(tmp_path: Path) -> None:
    environment = with_extras(tmp_path)
    environment.pip("pip install fer-edge")
    told = environment.said("from fer_edge.extras import install_command; print(install_command('video'))")
    assert told == "pip install 'fer-edge[video]'"
    environment.pip(told)
    assert environment.state() == ("onnxruntime 2.0", "('onnxruntime', '2.0')")
