"""Serves the written page from this machine, to this machine alone."""

import errno
import http.server
import os
from functools import partial
from pathlib import Path
from typing import Any

from fer_edge.errors import WebError
from fer_edge.web.site import HEADERS

HOST = "127.0.0.1"
"""Never another: browsers give the camera to localhost, and nobody else should reach a page under trial."""


class PageServer(http.server.ThreadingHTTPServer):
    """A static file server on HOST. Make one with ``open_server``, then ``serve_forever``."""

    daemon_threads = True
    allow_reuse_port = False  # a port that is in use must be noticed
    allow_reuse_address = os.name != "nt"  # where it would also share a port in use

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/"


def open_server(folder: Path, port: int) -> PageServer:
    """Listen on ``port`` (0: any that is free) for the files in ``folder``. Raises WebError when it is not."""
    try:
        return PageServer((HOST, port), partial(_PageHandler, directory=str(folder)))
    except OSError as error:
        reason = {
            errno.EADDRINUSE: "one in use",
            errno.EACCES: "one that this user may not open",
        }.get(error.errno or 0, error.strerror or str(error))
        raise WebError(
            f"port {port}: expected a free port, found {reason}; name another by --port, or 0 for any"
        ) from error


class _PageHandler(http.server.SimpleHTTPRequestHandler):
    # What a machine's own registry says about these is no safe ground: modules are refused under another type.
    extensions_map = {  # noqa: RUF012  # the base class declares it so
        "": "application/octet-stream",
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".jpg": "image/jpeg",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".mjs": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Cache-Control", "no-cache")  # ask whether a file changed: models are replaced while in use
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def log_message(self, *_: Any) -> None:
        """A page that works has nothing to tell."""
