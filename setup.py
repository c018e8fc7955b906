"""Puts the shipped models and their checkpoints into the wheel; all else about the build is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent


class BuildWithModels(build_py):
    """Copies the INT8 models of ``exported/`` and their checkpoints to ``fer_edge/models``: data lie in the package."""

    def run(self) -> None:
        """Build the package and copy the models, unless it is installed in place, where they are found as they lie."""
        super().run()
        if self.editable_mode:
            return
        folder = Path(self.build_lib) / "fer_edge" / "models"
        shutil.rmtree(folder, ignore_errors=True)  # a kept build folder may hold models of other names
        folder.mkdir(parents=True)
        for model in sorted((HERE / "exported").glob("*-int8.onnx")):
            for suffix in (".onnx", ".json", ".md"):
                self.copy_file(str(model.with_suffix(suffix)), str(folder / f"{model.stem}{suffix}"))
            checkpoint = model.with_name(f"{model.stem.removesuffix('-int8')}.pt")
            self.copy_file(str(checkpoint), str(folder / checkpoint.name))


setup(cmdclass={"build_py": BuildWithModels})
