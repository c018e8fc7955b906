"""What visitors do to the server that it must bear: going away, asking for nonsense, saying nothing at all."""

import http.client
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fer_edge.errors import WebError
from fer_edge.web import server as server_module
from fer_edge.web.server import HOST, PageServer, open_server

LARGE = 4_000_000
Open = Callable[..., PageServer]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A page of two files; what lies beside it is nobody's business."""
    site = tmp_path / "site"
    (site / "models").mkdir(parents=True)
    (site / "index.html").write_text("page")
    (site / "models" / "a.onnx").write_bytes(bytes(LARGE))
    (tmp_path / "secret.txt").write_text("secret")
    return site


@pytest.fixture
def opened(folder: Path) -> Iterator[Open]:
    servers = []

    def start(**options: object) -> PageServer:
        server = open_server(folder, 0, **options)  # type: ignore[arg-type]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        servers.append((server, thread))
        return server

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


def connected(server: PageServer) -> socket.socket:
    return socket.create_connection((HOST, server.server_port), timeout=10)


def status(server: PageServer, path: str) -> int:
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=10)
    connection.putrequest("GET", path, skip_host=True)
    connection.endheaders()
    code = connection.getresponse().status
    connection.close()
    return code


def test_downloads_that_are_broken_off_say_nothing(opened: Open, capfd: pytest.CaptureFixture[str]) -> None:
    server = opened()
    for _ in range(10):
        with connected(server) as visitor:
            visitor.sendall(b"GET /models/a.onnx HTTP/1.1\r\n\r\n")
            visitor.recv(100)
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # to be closed by a reset
    with connected(server) as visitor:
        visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # before anything was asked
    assert status(server, "/") == 200
    wait_for_threads(server)
    assert capfd.readouterr() == ("", "")


def wait_for_threads(server: PageServer) -> None:
    """Until every connection is done with."""
    for _ in range(server_module.MAX_CONNECTIONS):
        assert server._free.acquire(timeout=10)
    server._free.release(server_module.MAX_CONNECTIONS)


@pytest.mark.parametrize(
    "path",
    [
        "/%00",
        "/a%00.html",
        "/models/a.onnx%00",
        "/%ed%b2%80",
        "/%ff%fe",
        "/" + "a" * 5000,
        "/..%2fsecret.txt",
        "/models",
    ],
    ids=lambda path: path[:20],
)
def test_paths_of_no_file_are_not_found_in_silence(opened: Open, path: str, capfd: pytest.CaptureFixture[str]) -> None:
    server = opened()
    assert status(server, path) in {404, 301}  # /models is a folder, whose own address is not found either
    assert status(server, "/") == 200
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_serve_what_lies_in_the_site_and_nothing_else(opened: Open, folder: Path, tmp_path: Path) -> None:
    (folder / "file.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "above").symlink_to(tmp_path)
    (folder / "sub").mkdir()
    (folder / "sub" / "index.html").symlink_to(tmp_path / "secret.txt")
    (folder / "inside.html").symlink_to(folder / "index.html")
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe")
    server = opened()
    for path in ("/file.txt", "/above/secret.txt", "/above/site/../secret.txt", "/sub/", "/loop", "/pipe"):
        assert status(server, path) == 404, path
    assert status(server, "/inside.html") == 200
    assert status(server, "/above/site/index.html") == 200  # out and in again: what lies in the site


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_site_behind_a_link_is_served(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    with open_server(tmp_path / "link", 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        assert status(server, "/") == 200
        server.shutdown()


@pytest.mark.parametrize(
    "sent", [b"", b"GET /", b"GET / HTTP/1.1\r\nHost: a\r\n", b"GET /models/a.onnx HTTP/1.1\r\n\r\n"]
)
def test_a_visitor_who_neither_speaks_nor_listens_is_let_go(opened: Open, sent: bytes) -> None:
    server = opened(idle_s=0.2)
    with connected(server) as visitor:
        if b"onnx" in sent:
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        visitor.sendall(sent)
        wait_for_threads(server)  # the visitor still holds on


def test_of_more_connections_than_any_browser_opens_the_longest_idle_is_closed(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 3)
    server = opened()
    idle = [connected(server) for _ in range(3)]
    idle[0].sendall(b"GET / HTTP/1.1\r\nHost: a")  # half a request is none
    for number in range(2):
        assert status(server, "/") == 200
        assert idle[number].recv(1) == b""
        idle.append(connected(server))
    for visitor in idle:
        visitor.close()
    wait_for_threads(server)


def test_an_answer_is_broken_off_for_a_new_visitor_once_nobody_takes_it(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 1)
    server = opened()
    with connected(server) as asleep:
        asleep.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asleep.sendall(b"GET /models/a.onnx HTTP/1.1\r\n\r\n")
        assert asleep.recv(1) == b"H"
        with connected(server) as too_soon:
            assert too_soon.recv(1) == b""
        time.sleep(0.1)
        monkeypatch.setattr(server_module, "STALLED_S", 0.05)
        assert status(server, "/") == 200
    wait_for_threads(server)


def test_errors_of_the_server_itself_are_still_told(
    opened: Open, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server_module._PageHandler, "send_head", lambda self: 1 / 0)
    server = opened()
    with connected(server) as visitor:
        visitor.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert visitor.recv(1) == b""
    wait_for_threads(server)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_every_address_is_named_by_one_that_others_can_open(opened: Open) -> None:
    server = opened(host="0.0.0.0")
    assert not server.is_local
    assert "0.0.0.0" not in server.url
    assert status(server, "/") == 200
    assert opened().is_local


def test_an_ipv6_address_is_written_in_brackets(opened: Open) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        server = opened(host="::1")
    except WebError:
        pytest.skip("no IPv6 on this machine")
    assert server.url == f"http://[::1]:{server.server_port}/"
    assert server.is_local


@pytest.mark.parametrize("host", ["192.0.2.7", "no.such.host.invalid", "not a host", "a" * 80])
def test_an_address_of_another_machine_is_one_line(folder: Path, host: str) -> None:
    with pytest.raises(WebError, match=rf"^host {host}: expected an address of this machine, found none; name one by"):
        open_server(folder, 0, host=host)
