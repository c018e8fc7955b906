"""Folders of small images, and runs of ``score`` over them by the fixture model."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


@pytest.fixture(autouse=True, scope="session")
def extra_is_installed() -> None:
    """Skips every test here where it is not: at the top of this file that would end the whole session."""
    for package in ("pyarrow", "fsspec", "filelock"):
        pytest.importorskip(package, reason="fer-edge[score] is not installed")


@pytest.fixture(scope="session")
def tiny(repository: Path) -> str:
    return str(repository / "tests" / "fixtures" / "tiny.onnx")


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve different images of three sizes, grey and in colour."""
    folder = tmp_path_factory.mktemp("drawn")
    paths = []
    for number in range(12):
        mode, size = ("L", "RGB")[number % 2], (48, 60, 97)[number % 3]
        image = Image.effect_noise((size, size), 20 + 15 * number).convert(mode)
        paths.append(folder / f"{number:02d}.{('png', 'jpg')[number // 6]}")
        image.save(paths[-1])
    return paths


@pytest.fixture
def faces(tmp_path: Path, drawn: list[Path]) -> Path:
    """40 images in a folder and two below it."""
    for number in range(40):
        source = drawn[number % len(drawn)]
        place = tmp_path / "faces" / ("", "a", "b/c")[number % 3] / f"{number:03d}{source.suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, place)
    return tmp_path / "faces"


@pytest.fixture
def run(tiny: str, tmp_path: Path) -> Callable[..., Any]:
    """``run(source, **settings)``: score into ``results`` by one process, eight rows a file; gives the report."""
    from fer_edge.scoring import ScoreRequest, score

    def call(source: Any, **settings: Any) -> Any:
        given = {"out": str(tmp_path / "results"), "model": tiny, "workers": 1, "rows": 8, **settings}
        return score(ScoreRequest(source=str(source), **given))

    return call
