import functools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import browser
import pytest
import scenes

from fer_edge.runtime.shipped import default_model
from fer_edge.web.server import open_server
from fer_edge.web.site import write_site

Serve = Callable[[Path], str]


@pytest.fixture(scope="session", autouse=True)
def _sources_are_the_checkout() -> None:
    """The browser must be shown the sources that are tested."""
    assert scenes.PAGE.is_relative_to(browser.REPOSITORY)


@pytest.fixture(scope="session")
def chromium() -> None:
    """Skips, with the reason, where no browser can be had."""
    if reason := browser.missing():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def model(repository: Path) -> Path:
    """The model that is shipped, as `predict` and `web` choose it."""
    return default_model()


@pytest.fixture(scope="session")
def site(chromium: None, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page around the shipped model."""
    out = tmp_path_factory.mktemp("site")
    write_site(out, model)
    return out


@pytest.fixture(scope="session")
def serve() -> Iterator[Serve]:
    """Serves a folder on a port of its own until the tests end, and says where."""
    servers = []

    @functools.cache
    def start(folder: Path) -> str:
        server = open_server(folder, 0)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server.url

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def url(site: Path, serve: Serve) -> str:
    return serve(site)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = {name: folder / name for name in ("two.png", "border.jpg", "crop.png", "none.png")}
    scenes.write_two_faces(paths["two.png"])
    scenes.write_face_at_the_border(paths["border.jpg"])
    scenes.write_cropped_face(paths["crop.png"])
    scenes.write_no_face(paths["none.png"])
    return {**paths, "example.jpg": scenes.EXAMPLE}
