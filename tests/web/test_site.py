"""Writing and serving the page, without a browser: onnxruntime-web is played by files of a few bytes."""

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_edge.cli.web import web
from fer_edge.errors import Interrupted, ModelError, StorageError, WebError
from fer_edge.labels import FER2013
from fer_edge.runtime.checksum import file_sha256
from fer_edge.runtime.crops import DEFAULT_MARGIN
from fer_edge.web import onnxruntime_web, site
from fer_edge.web.server import HOST, PageServer, open_server
from fer_edge.web.site import HEADERS, PAGE, write_site


@pytest.fixture
def model(repository: Path) -> Path:
    return repository / "tests" / "fixtures" / "tiny.onnx"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An onnxruntime-web of a few bytes, unpacked, and the only one there is."""
    dist = tmp_path / "package" / "dist"
    dist.mkdir(parents=True)
    pinned: dict[str, dict[str, str]] = {}
    for provider, files in onnxruntime_web.FILES.items():
        pinned[provider] = {}
        for name in files:
            data = f"in place of {name}".encode()
            (dist / name).write_bytes(data)
            pinned[provider][name] = hashlib.sha256(data).hexdigest()
    monkeypatch.setattr(onnxruntime_web, "FILES", pinned)
    monkeypatch.setattr(onnxruntime_web, "_CHECKOUT", tmp_path / "nowhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return dist.parent


@pytest.fixture
def npm(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An npm that packs ``package``, writes down each call, and is all that PATH has."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "npm"
    script.write_text(
        f"#!{sys.executable}\nimport sys, tarfile\n"
        f"open({str(tmp_path / 'calls')!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        "where = sys.argv[sys.argv.index('--pack-destination') + 1]\n"
        f"tarfile.open(where + '/it.tgz', 'w:gz').add({str(package)!r}, 'package')\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_site_holds_the_page_the_model_its_card_and_the_settings_of_python(
    model: Path, package: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "site"
    files = write_site(out, model, onnxruntime_web=package)
    on_disk = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert sorted(file.path for file in files) == on_disk
    assert {path.name for path in PAGE.iterdir()} < set(on_disk)
    manifest = json.loads((out / "site.json").read_text())
    assert manifest["labels"] == list(FER2013.names)
    assert manifest["faces"]["margin"] == DEFAULT_MARGIN
    (choice,) = manifest["models"]
    assert choice["provider"] == "wasm"
    assert (out / choice["model"]["path"]).read_bytes() == model.read_bytes()
    card = json.loads((out / choice["card"]).read_text())
    assert card["file_sha256"] == choice["model"]["sha256"] == file_sha256(model.read_bytes())
    assert (out / manifest["detector"]["path"]).stat().st_size == manifest["detector"]["bytes"]
    assert [Path(file["path"]).name for file in manifest["onnxruntime"]["wasm"]] == [
        name.replace(".mjs", ".js") for name in onnxruntime_web.FILES["wasm"]
    ]
    assert {file["path"] for file in manifest["files"]} == set(on_disk) - {"site.json"}


def test_page_and_headers_state_one_strict_policy(model: Path, package: Path, tmp_path: Path) -> None:
    write_site(tmp_path / "site", model, onnxruntime_web=package)
    html = (tmp_path / "site" / "index.html").read_text()
    policy = html.partition('http-equiv="Content-Security-Policy"')[2].partition('content="')[2].partition('"')[0]
    assert policy.startswith("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; ")
    assert "unsafe-inline" not in policy
    assert "http" not in policy.replace("http-equiv", "")
    assert HEADERS["Content-Security-Policy"] == f"{policy}; frame-ancestors 'none'"
    assert f"Content-Security-Policy: {policy}" in (tmp_path / "site" / "_headers").read_text()
    assert "<style" not in html
    assert "style=" not in html


def test_a_model_for_webgpu_brings_its_own_runtime(model: Path, package: Path, tmp_path: Path) -> None:
    write_site(tmp_path / "site", model, webgpu_model=model, onnxruntime_web=package)
    manifest = json.loads((tmp_path / "site" / "site.json").read_text())
    assert [choice["provider"] for choice in manifest["models"]] == ["webgpu", "wasm"]
    assert (tmp_path / "site" / "onnxruntime-web" / "ort.webgpu.min.js").exists()


def test_int8_is_refused_for_webgpu(repository: Path, model: Path, package: Path, tmp_path: Path) -> None:
    int8 = next((repository / "exported").glob("*int8.onnx"))
    with pytest.raises(WebError, match=r"expected fp16 or fp32 for WebGPU.*found int8.*--precision fp16"):
        write_site(tmp_path / "site", model, webgpu_model=int8, onnxruntime_web=package)
    assert not (tmp_path / "site").exists()


def test_models_the_page_cannot_feed_are_refused(repository: Path, package: Path, tmp_path: Path, model: Path) -> None:
    raw = model.with_name("tiny_raw.onnx")
    with pytest.raises(WebError, match=r"tiny_raw.onnx: expected an .onnx model that takes RGBA pixels, found onnx"):
        write_site(tmp_path / "site", raw, onnxruntime_web=package)
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(model.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelError, match="damaged"):
        write_site(tmp_path / "site", damaged, onnxruntime_web=package)


def test_an_earlier_page_is_replaced_and_what_others_put_there_stays(
    model: Path, package: Path, tmp_path: Path
) -> None:
    out = tmp_path / "site"
    write_site(out, model, webgpu_model=model, onnxruntime_web=package)
    (out / "models" / "mine.onnx").write_bytes(b"a model of last week")
    (out / "CNAME").write_text("mine")
    write_site(out, model, onnxruntime_web=package)
    assert (out / "models" / "mine.onnx").exists()
    assert not (out / "onnxruntime-web" / "ort.webgpu.min.js").exists()
    assert (out / "CNAME").read_text() == "mine"
    other = tmp_path / "photos"
    other.mkdir()
    (other / "a.jpg").write_bytes(b"")
    (other / "site.json").write_text('{"labels": []}')
    with pytest.raises(
        StorageError, match=r"photos: expected a new or empty folder, or an earlier page \(its site.json"
    ):
        write_site(other, model, onnxruntime_web=package)
    assert sorted(path.name for path in other.iterdir()) == ["a.jpg", "site.json"]


def test_a_page_that_was_changed_by_hand_is_kept(model: Path, package: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    write_site(out, model, onnxruntime_web=package)
    (out / "index.html").write_text("mine")
    with pytest.raises(StorageError, match=r"index.html: expected no file, or the one that was written here before"):
        write_site(out, model, onnxruntime_web=package)
    assert (out / "index.html").read_text() == "mine"


def test_npm_is_asked_once_for_the_pinned_version(model: Path, npm: Path, tmp_path: Path) -> None:
    for _ in range(2):
        write_site(tmp_path / "site", model)
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call.startswith(f"pack onnxruntime-web@{onnxruntime_web.VERSION} --pack-destination ")
    assert "--ignore-scripts" in call


def test_another_file_than_the_pinned_one_is_refused(model: Path, npm: Path, package: Path, tmp_path: Path) -> None:
    (package / "dist" / "ort.wasm.min.mjs").write_text("something else")
    for folder in (package, None):  # named by the user, packed by npm
        with pytest.raises(
            WebError, match=r"ort.wasm.min.mjs: expected the SHA-256 [0-9a-f]{12}\.\.\. of onnxruntime-web"
        ):
            write_site(tmp_path / "site", model, onnxruntime_web=folder)
    assert not onnxruntime_web.cache_folder().joinpath("ort.wasm.min.mjs").exists()


def test_without_npm_one_line_says_what_to_do(
    model: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(WebError) as caught:
        write_site(tmp_path / "site", model)
    text = str(caught.value)
    assert "\n" not in text
    assert "expected npm, which fetches it once, found none; install Node.js" in text
    assert f"onnxruntime-web-{onnxruntime_web.VERSION}.tgz and name its folder by --onnxruntime-web" in text


def test_an_npm_that_fails_is_quoted(model: Path, npm: Path, tmp_path: Path) -> None:
    (npm / "npm").write_text("#!/bin/sh\necho 'npm error network is unreachable' >&2\nexit 1\n")
    with pytest.raises(WebError, match=r"expected a download, found: npm error network is unreachable; connect"):
        write_site(tmp_path / "site", model)


def test_a_folder_that_is_no_onnxruntime_web_is_named(model: Path, package: Path, tmp_path: Path) -> None:
    with pytest.raises(WebError, match=r"bin: expected onnxruntime-web .* unpacked .*, found no such files"):
        write_site(tmp_path / "site", model, onnxruntime_web=tmp_path / "bin")


def test_pinned_version_is_that_of_the_lock_file(repository: Path) -> None:
    lock = json.loads((repository / "web" / "package-lock.json").read_text())
    assert lock["packages"]["node_modules/onnxruntime-web"]["version"] == onnxruntime_web.VERSION


def test_page_fits_the_wheel_and_brings_no_code_of_others() -> None:
    assert sum(path.stat().st_size for path in PAGE.iterdir()) < 200_000
    assert not list(PAGE.rglob("*.wasm"))
    assert not [path for path in PAGE.iterdir() if path.suffix == ".mjs"]


@pytest.fixture
def server(model: Path, package: Path, tmp_path: Path) -> Iterator[PageServer]:
    write_site(tmp_path / "site", model, onnxruntime_web=package)
    with open_server(tmp_path / "site", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def answer(server: PageServer, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


@pytest.mark.parametrize(
    ("path", "mime"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/onnxruntime-web/ort.wasm.min.js", "text/javascript; charset=utf-8"),
        ("/onnxruntime-web/ort-wasm-simd-threaded.wasm", "application/wasm"),
        ("/models/tiny.onnx", "application/octet-stream"),
        ("/models/tiny.json", "application/json"),
    ],
)
def test_files_have_their_type_and_the_policy(server: PageServer, path: str, mime: str) -> None:
    response = answer(server, path)
    assert response.status == 200
    assert response.headers["Content-Type"] == mime
    for name, value in HEADERS.items():
        assert response.headers[name] == value


def test_server_is_for_this_machine_lists_no_folder_and_stays_in_its_own(server: PageServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_port}/"
    for path in (
        "/models/",
        "/nothing.js",
        "/../package/dist/ort.wasm.min.mjs",
        "/%2e%2e/package/dist/ort.wasm.min.mjs",
    ):
        response = answer(server, path)
        assert response.status == 404, path
        assert response.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(WebError, match=rf"^port {port}: expected a free port, found one in use; name another by"):
            open_server(tmp_path, port)


def test_command_writes_names_serves_and_stops(repository: Path, model: Path, tmp_path: Path) -> None:
    """The command itself; it needs the true onnxruntime-web, from the checkout's node_modules."""
    if not (repository / "web" / "node_modules" / "onnxruntime-web").is_dir():
        pytest.skip("no onnxruntime-web: npm ci --ignore-scripts --prefix web")
    command = [sys.executable, str(repository / "cli.py"), "web", "--model", str(model), "--out", "site", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--serve", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    assert process.stderr.readline() == f"model {model}\n"
    assert process.stderr.readline() == "wrote site\n"
    serving = process.stderr.readline()
    assert serving.startswith("serving http://127.0.0.1:")
    port = int(serving.split(":")[2].partition("/")[0])
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    connection.request("GET", "/site.json")
    assert connection.getresponse().status == 200
    connection.close()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "stopped; the page is in site\n")
    written = json.loads(out)
    assert written["folder"] == "site"
    assert written["bytes"] == sum(written["files"].values())
    for path, size in written["files"].items():
        assert (tmp_path / "site" / path).stat().st_size == size
    assert site.MANIFEST in written["files"]


def test_a_named_host_comes_with_a_warning(
    model: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: PageServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PageServer, "serve_forever", interrupted)
    said = {}
    for host in ("127.0.0.1", "0.0.0.0"):
        with pytest.raises(Interrupted, match="stopped; the page is in"):
            web(tmp_path / "site", model, onnxruntime_web=package, serve=True, host=host, port=0)
        said[host] = capsys.readouterr().err.splitlines()
    assert not any("warning" in line for line in said["127.0.0.1"])
    assert said["127.0.0.1"][-1].endswith("to this machine; Ctrl-C stops")
    warning, camera, serving = said["0.0.0.0"][-3:]
    assert warning.startswith("warning: everybody who reaches this machine on port ")
    assert camera == "browsers give the camera to https and localhost only: elsewhere choose photos"
    assert serving.startswith("serving http://")
    assert serving.endswith("to your network; Ctrl-C stops")
    assert "0.0.0.0" not in serving
