"""``serve``: what it says, that it stops, and its one-line errors."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fer_edge.cli import app

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests" / "fixtures" / "tiny.onnx"
TOKEN = "0123456789abcdef-secret"
Serve = Callable[..., tuple["subprocess.Popen[str]", int]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """``serve(*options)``: the command as a process of its own, and the port it listens on."""
    started: list[subprocess.Popen[str]] = []

    def run(*options: str, **environment: str) -> tuple["subprocess.Popen[str]", int]:
        command = [sys.executable, str(ROOT / "cli.py"), "serve", "--model", str(MODEL), "--port", "0", "--json"]
        process = subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        started.append(process)
        assert process.stdout is not None
        text = ""
        while "}" not in text:
            line = process.stdout.readline()
            assert line, process.communicate()
            text += line
        told = json.loads(text)
        assert told["model"] == "tiny"
        return process, int(re.findall(r":(\d+)$", told["url"])[0])

    yield run
    for process in started:
        process.kill()
        process.communicate()


def get(port: int, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_after_what_is_under_way(serve: Serve, number: signal.Signals) -> None:
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    process, port = serve()
    assert get(port, "/v2/health/ready") == 200
    body = json.dumps({"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 1, 1, 1], "data": [7]}]})
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    head = f"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    client.sendall(head.encode() + body[:10].encode())
    assert get(port, "/v2/models/tiny") == 200  # by now the server has read the first part
    process.send_signal(number)
    threading.Timer(0.5, client.sendall, [body[10:].encode()]).start()
    answer = b""
    while part := client.recv(65536):
        answer += part
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"label"' in answer
    _, told = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert told.splitlines()[-1] == "stopped; what was under way was answered"
    assert "Traceback" not in told
    with pytest.raises(ConnectionRefusedError):
        get(port, "/v2/health/live")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["file", "environment"])
def test_a_token_is_asked_for_everywhere_but_for_health(serve: Serve, tmp_path: Path, way: str) -> None:
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    process, port = serve("--token-file", str(file)) if way == "file" else serve(FER_EDGE_TOKEN=TOKEN)
    assert get(port, "/v2/health/ready") == get(port, "/v2/health/live") == 200
    for path in ("/v2", "/v2/models/tiny", "/metrics", "/elsewhere"):
        assert get(port, path) == 401
    for wrong in (TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", "Bearer", "Bearer é"):
        assert get(port, "/v2/models/tiny", Authorization=wrong) == 401
    assert get(port, "/v2/models/tiny", Authorization=f"Bearer {TOKEN}") == 200
    assert get(port, "/metrics", authorization=f"bearer {TOKEN}") == 200
    process.send_signal(signal.SIGTERM)
    assert TOKEN not in "".join(process.communicate(timeout=20))


def told(*options: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["serve", "--model", str(MODEL), *options])
    return done.exit_code, done.stderr


def test_a_port_in_use_is_one_line() -> None:
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, text = told("--port", str(port))
    assert code == 1
    assert text.splitlines()[-1] == (
        f"error: port {port}: expected a free port, found one in use; name another by --port, or 0 for any"
    )


def test_a_host_that_is_not_this_machine_is_one_line() -> None:
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    code, text = told("--host", "192.0.2.1", "--port", "0")
    assert (code, text.splitlines()[-1][:50]) == (1, "error: host 192.0.2.1: expected an address of this")


def test_the_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    real = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "fastapi" else real(name))
    code, text = told()
    assert code == 1
    assert text.strip() == "error: expected the package 'fastapi', found none; run: pip install 'fer-edge[serve]'"


@pytest.mark.parametrize(
    ("text", "found"),
    [("", "expected a token of 16"), ("short", "expected a token of 16"), ("two words of a token", "without spaces")],
)
def test_a_token_that_is_none_is_refused_and_not_shown(tmp_path: Path, text: str, found: str) -> None:
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    file = tmp_path / "token"
    file.write_text(text)
    code, line = told("--token-file", str(file))
    assert code == 2
    assert found in line
    assert not text or text not in line
    code, line = told("--token-file", str(tmp_path / "none"))
    assert (code, "cannot be read" in line) == (1, True)


def test_help_and_the_package_load_no_web_framework() -> None:
    code = "import sys, fer_edge.serving, fer_edge.cli.serve, fer_edge.serving.settings\n"
    code += "assert not {'fastapi', 'uvicorn', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
