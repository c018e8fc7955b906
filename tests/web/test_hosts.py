"""The page on hosts that people have: every file comes as the browser needs it, and the page reads its example."""

import json
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from browser import drive
from hosts import HOSTS

from fer_edge.runtime.checksum import file_sha256
from fer_edge.web.site import MANIFEST, write_site

JAVASCRIPT = ("text/javascript", "application/javascript", "application/x-javascript")


@pytest.fixture(scope="module")
def tiny_site(chromium: None, repository: Path) -> Iterator[Path]:
    """The page around a model of a few KB, where other users may read it: pytest's own folders are closed to them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        out = Path(folder) / "site"
        write_site(out, repository / "tests" / "fixtures" / "tiny.onnx")
        yield out


@pytest.fixture(params=list(HOSTS))
def hosted(request: pytest.FixtureRequest, tiny_site: Path, tmp_path: Path) -> Iterator[str]:
    with HOSTS[request.param](tiny_site, tmp_path) as url:
        yield url


@pytest.mark.slow
def test_page_works_on_this_host(hosted: str, tiny_site: Path) -> None:
    for file in json.loads((tiny_site / MANIFEST).read_bytes())["files"]:
        if file["path"].startswith("_"):
            continue  # for hosts that read their headers there; others may keep it to themselves
        with urllib.request.urlopen(urljoin(hosted, file["path"]), timeout=10) as answer:
            assert file_sha256(answer.read()) == file["sha256"], file["path"]
            kind = answer.headers.get_content_type()
        if file["path"].endswith(".js"):
            assert kind in JAVASCRIPT, file["path"]
    facts = drive("example", url=hosted)
    assert facts["problems"] == []
    assert facts["violations"] == []
    assert len(facts["analysis"]["faces"]) == 1
    assert all(request.startswith(hosted) for request in facts["requests"])


def test_no_file_has_a_name_that_hosts_serve_wrongly(tiny_site: Path) -> None:
    suffixes = {path.suffix for path in tiny_site.rglob("*") if path.is_file()}
    assert suffixes == {"", ".css", ".html", ".jpg", ".js", ".json", ".onnx", ".svg", ".txt", ".wasm"}
