"""Puts the shipped INT8 models into the wheel; everything else about the build is in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent


class BuildWithModels(build_py):
    """``exported/*-int8.*`` goes into ``fer_edge/models``: package data cannot name files outside the package."""

    def run(self) -> None:
        """Build the package and copy the models, unless it is installed in place, where they are found as they lie."""
        super().run()
        if self.editable_mode:
            return
        folder = Path(self.build_lib) / "fer_edge" / "models"
        self.mkpath(str(folder))
        for path in sorted((HERE / "exported").glob("*-int8.*")):
            self.copy_file(str(path), str(folder / path.name))


setup(cmdclass={"build_py": BuildWithModels})
