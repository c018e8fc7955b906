"""Runs a module script in a headless Chromium, on a page with folders of this machine behind it."""

import subprocess
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import Any

TIMEOUT_S = 60

_PAGE = """<!doctype html><meta charset="utf-8"><script type="module">
const show = (text) => fetch("/told", { method: "POST", body: text });
try {
  await (await import("/script.mjs")).default(show);
} catch (error) {
  show(String(error.message));
}
</script>"""


class _Handler(SimpleHTTPRequestHandler):
    """Serves the page, the script, and ``/NAME/...`` from the folder called so; takes what the page tells."""

    extensions_map = {".mjs": "text/javascript", ".wasm": "application/wasm", "": "application/octet-stream"}  # noqa: RUF012  # as the base class has it

    def __init__(self, *arguments: Any, script: str, folders: dict[str, Path], told: "Queue[str]") -> None:
        self.texts = {"/": ("text/html", _PAGE), "/script.mjs": ("text/javascript", script)}
        self.folders, self.told = folders, told
        super().__init__(*arguments)

    def do_GET(self) -> None:
        if self.path not in self.texts:
            super().do_GET()
            return
        kind, text = self.texts[self.path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def do_POST(self) -> None:
        self.told.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()

    def translate_path(self, path: str) -> str:
        _, name, *rest = path.split("/")
        return str(self.folders[name].joinpath(*rest)) if name in self.folders else "/nothing"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def run_page(statements: str, folders: dict[str, Path]) -> str:
    """What a module of ``statements`` tells by ``show(text)``, or the message of the error that it ends with.

    ``folders`` are served under their names; a module may import ``/ort/...`` where there is one of that name. The
    imports come first, on lines that start with ``import``.
    """
    lines = statements.strip().splitlines()
    imports = "\n".join(line for line in lines if line.lstrip().startswith("import "))
    rest = "\n".join(line for line in lines if not line.lstrip().startswith("import "))
    script = f"{imports}\nexport default async function (show) {{\n{rest}\n}}\n"
    told: Queue[str] = Queue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, script=script, folders=folders, told=told))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            [
                "chromium",
                "--headless=new",
                "--no-sandbox",  # CI runs as root
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                f"--user-data-dir={profile}",
                f"http://127.0.0.1:{server.server_port}/",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return told.get(timeout=TIMEOUT_S)
        except Empty:
            return f"the page told nothing in {TIMEOUT_S} s"
        finally:
            browser.terminate()
            browser.wait(timeout=20)
            server.shutdown()
            server.server_close()
