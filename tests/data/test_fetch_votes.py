"""FER+'s votes from a server on this machine: whole, or not at all."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_edge.cli import app
from fer_edge.data import fetch_votes as module
from fer_edge.data.fetch_votes import fetch_votes
from fer_edge.errors import DataError, StorageError

CONTENT = b"Usage,Image name,neutral\r\nTraining,fer0000000.png,4\r\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        bodies = {"/changed": CONTENT.replace(b"4", b"5"), "/cut": CONTENT[:-10]}
        self.wfile.write(bodies.get(self.path, CONTENT))

    def log_message(self, *parts: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as one:
        thread = threading.Thread(target=one.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{one.server_address[1]}"
        one.shutdown()
        thread.join()


def test_the_table_is_written_as_it_came(tmp_path: Path, server: str) -> None:
    out = tmp_path / "new" / "votes.csv"
    assert fetch_votes(out, url=f"{server}/votes", sha256=SHA256) == out
    assert out.read_bytes() == CONTENT
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("changed", "expected fer2013new.csv with SHA-256"),
        ("cut", "the download failed|expected fer2013new.csv with SHA-256"),
        ("missing", "the download failed .*Not Found"),
    ],
)
def test_other_bytes_leave_what_is_there(tmp_path: Path, server: str, page: str, reason: str) -> None:
    out = tmp_path / "votes.csv"
    out.write_text("mine")
    with pytest.raises(DataError, match=reason) as failure:
        fetch_votes(out, url=f"{server}/{page}", sha256=SHA256)
    assert "\n" not in str(failure.value)
    assert out.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [out]


def test_without_a_network_one_line_says_how_to_go_on(tmp_path: Path, server: str) -> None:
    for url in ("http://127.0.0.1:9/votes", "http://nowhere.invalid/votes"):
        with pytest.raises(DataError, match=r"the download failed .* try again, or download that by hand") as failure:
            fetch_votes(tmp_path / "votes.csv", url=url, sha256=SHA256)
        assert "\n" not in str(failure.value)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        fetch_votes(tmp_path / "file" / "votes.csv", url=f"{server}/votes", sha256=SHA256)


def test_the_command_names_the_next_one(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.fetch_votes, "__kwdefaults__", {"url": f"{server}/votes", "sha256": SHA256})
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["data", "fetch", "--votes"])
    assert done.exit_code == 0, done.output
    assert "data inspect --data fer2013 --votes fer2013new.csv" in done.stdout
    assert done.stderr.splitlines()[-1] == "wrote fer2013new.csv"
    assert (tmp_path / "fer2013new.csv").read_bytes() == CONTENT
    as_json = CliRunner().invoke(app, ["data", "fetch", "--votes", "--json"])
    assert json.loads(as_json.stdout) == {
        "file": "fer2013new.csv",
        "sha256": module.SHA256,
        "next": "fer-edge data inspect --data fer2013 --votes fer2013new.csv",
    }
    monkeypatch.setitem(module.fetch_votes.__kwdefaults__, "url", f"{server}/changed")
    done = CliRunner().invoke(app, ["data", "fetch", "--votes", "--out", "other.csv"])
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert not (tmp_path / "other.csv").exists()
