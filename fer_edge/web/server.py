"""Serves the written page from this machine: to this machine alone, unless a host is named."""

import errno
import http.server
import os
import socket
import socketserver
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fer_edge.errors import WebError
from fer_edge.web.site import HEADERS

HOST = "127.0.0.1"
"""Where nobody says otherwise: browsers give the camera to localhost, and a page under trial is nobody else's."""

IDLE_S = 20.0
"""Seconds after which a connection is closed that neither sends its request nor takes its answer."""

MAX_CONNECTIONS = 100
"""At a time; a browser opens six. For one more, the one that has waited longest for its visitor is closed."""

STALLED_S = 1.0
"""Seconds without a byte taken, after which an answer may be broken off for a new visitor."""

_WAKES_S = 1.0
"""Seconds in which a thread notices that its visitor was hung up on, at most."""

_CHUNK = 2**16

_ANY_HOST = ("0.0.0.0", "::", "")  # only asked for by --host
_INDEX = ("index.html", "index.htm")
"""What the base class sends for a folder."""

_LOCAL_HOSTS = (HOST, "::1", "localhost")
_ELSEWHERE, _ELSEWHERE_IPV6 = "192.0.2.1", "2001:db8::1"
"""Addresses of documentation (RFC 5737 and 3849): nothing is sent there, the system only says by which way it would."""


class PageServer(http.server.ThreadingHTTPServer):
    """A static file server. Make one with ``open_server``, then ``serve_forever``."""

    daemon_threads = True
    allow_reuse_port = False  # a port that is in use must be noticed
    allow_reuse_address = os.name != "nt"  # where it would also share a port in use
    request_queue_size = 32

    def __init__(self, folder: Path, host: str, port: int, idle_s: float) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.host = host
        self._free = threading.Semaphore(MAX_CONNECTIONS)
        self._lock = threading.Lock()
        self._waiting: dict[Any, tuple[float, bool]] = {}
        """The open connections by when they were last heard of, the longest ago first: that time, and whether they are
        being answered."""
        super().__init__((host, port), partial(_PageHandler, directory=os.path.realpath(folder), idle_s=idle_s))

    @property
    def url(self) -> str:
        """Where the page is. For every address of this machine: on the one by which its network reaches it."""
        host = self._way_out() if self.host in _ANY_HOST else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}/"

    @property
    def is_local(self) -> bool:
        """Whether this machine alone reaches the page."""
        return self.host in _LOCAL_HOSTS or self.host.startswith("127.")

    def server_bind(self) -> None:
        """Bind without the name server that the base class asks for the host's name, which may wait."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.host, self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, or hang up where MAX_CONNECTIONS are answered and all of them take their
        answers."""
        if not self._free.acquire(blocking=False) and not (self._make_room() and self._free.acquire(timeout=_WAKES_S)):
            self.shutdown_request(request)
            return
        self.hear(request, is_answered=False)
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was started
            self._forget(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """What the thread does."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._forget(request)

    def hear(self, request: Any, *, is_answered: bool = True) -> None:
        """The visitor of a connection came, asked, or took some of the answer."""
        with self._lock:
            self._waiting.pop(request, None)  # to the end of the line
            self._waiting[request] = time.monotonic(), is_answered

    def _forget(self, request: Any) -> None:
        with self._lock:
            self._waiting.pop(request, None)
        self._free.release()

    def _make_room(self) -> bool:
        """Hang up on the visitor who was heard of longest ago; False where each of them takes an answer."""
        with self._lock:
            for request, (heard_at, is_answered) in self._waiting.items():
                if not is_answered or time.monotonic() - heard_at >= STALLED_S:
                    del self._waiting[request]
                    with suppress(OSError):  # which wakes the thread that waits for it
                        request.shutdown(socket.SHUT_RDWR)
                    return True
        return False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A visitor who goes away, or whose connection is lost, is no error of this program's."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def _way_out(self) -> str:
        is_ipv6 = self.address_family == socket.AF_INET6
        with socket.socket(self.address_family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((_ELSEWHERE_IPV6 if is_ipv6 else _ELSEWHERE, 9))
            except OSError:  # no network
                return "::1" if is_ipv6 else HOST
            return str(probe.getsockname()[0])


def open_server(folder: Path, port: int, *, host: str = HOST, idle_s: float = IDLE_S) -> PageServer:
    """Listen on ``port`` (0: any that is free) of ``host`` for the files in ``folder``.

    ``host``: an address of this machine, or 0.0.0.0 for each of them. ``idle_s``: seconds, see IDLE_S. Raises WebError
    when the port is not free or the host not this machine's.
    """
    try:
        return PageServer(folder, host, port, idle_s)
    except (socket.gaierror, UnicodeError) as error:
        raise _no_host(host) from error
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise _no_host(host) from error
        reason = {
            errno.EADDRINUSE: "one in use",
            errno.EACCES: "one that this user may not open",
        }.get(error.errno or 0, error.strerror or str(error))
        raise WebError(
            f"port {port}: expected a free port, found {reason}; name another by --port, or 0 for any"
        ) from error


def _no_host(host: str) -> WebError:
    return WebError(
        f"host {host}: expected an address of this machine, found none; name one by --host, or 0.0.0.0 for all of them"
    )


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

    def __init__(self, *arguments: Any, directory: str, idle_s: float) -> None:
        self._idle_s = idle_s
        super().__init__(*arguments, directory=directory)

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self._idle_s)  # of each wait for the visitor

    def parse_request(self) -> bool:
        is_asked = super().parse_request()
        if is_asked:
            self._hear()
        return is_asked

    def _hear(self) -> None:
        assert isinstance(self.server, PageServer)
        self.server.hear(self.connection)

    def send_head(self) -> Any:
        if not self._is_in_site():
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def _is_in_site(self) -> bool:
        """Whether the path leads to a file or folder of the site: not out of it by a link, nor to a pipe or device."""
        try:
            place = Path(os.path.realpath(self.translate_path(self.path)))
            pages = [index for name in _INDEX if (index := place / name).exists()] if place.is_dir() else [place]
            return place.is_relative_to(self.directory) and all(
                page.is_file() and Path(os.path.realpath(page)).is_relative_to(self.directory) for page in pages
            )
        except (ValueError, OSError):  # no path at all: a zero byte, half a letter, a name too long
            return False

    def copyfile(self, source: Any, outputfile: Any) -> None:
        try:
            while chunk := source.read(_CHUNK):
                outputfile.write(chunk)
                self._hear()
        except OSError:  # the visitor went away; what else they ask comes by another connection
            self.close_connection = True

    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Cache-Control", "no-cache")  # ask whether a file changed: models are replaced while in use
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, *_: Any) -> None:
        """A page that works has nothing to tell."""
