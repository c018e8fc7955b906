"""Web servers that people have, each as it comes, with a folder published below a path."""

import contextlib
import functools
import gzip
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 10.0

NGINX = """\
daemon off;
pid {work}/pid;
error_log {work}/error.log;
events {{}}
http {{
  include {root}/etc/nginx/mime.types;  # Debian's own
  default_type application/octet-stream;
  access_log off;
  gzip on;
  client_body_temp_path {work}/a; proxy_temp_path {work}/b; fastcgi_temp_path {work}/c;
  uwsgi_temp_path {work}/d; scgi_temp_path {work}/e;
  server {{ listen 127.0.0.1:{port}; location /demo/ {{ alias {site}/; }} }}
}}
"""

APACHE = """\
ServerName localhost
ServerRoot {work}
DefaultRuntimeDir {work}
PidFile {work}/pid
ErrorLog {work}/error.log
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {root}/usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module {root}/usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module {root}/usr/lib/apache2/modules/mod_dir.so
LoadModule mime_module {root}/usr/lib/apache2/modules/mod_mime.so
LoadModule alias_module {root}/usr/lib/apache2/modules/mod_alias.so
TypesConfig {types}
User #{user}
Group #{group}
DocumentRoot {work}
Alias /demo {site}
<Directory {site}>
  Require all granted
</Directory>
"""
UNPACKED = Path(__file__).parents[2] / "web" / "hosts"
"""Where web/install.sh puts the packages of servers that the machine does not have."""


@contextlib.contextmanager
def nginx(site: Path, work: Path) -> Iterator[str]:
    """Debian's nginx, whose mime.types of 1.22 know no .mjs."""
    root, program = needed("nginx")
    port = free_port()
    (work / "conf").write_text(NGINX.format(root=root, work=work, site=site, port=port))
    command = [program, "-c", str(work / "conf"), "-e", str(work / "error.log"), "-g", "user root;"]
    with running(command, port, work):
        yield f"http://127.0.0.1:{port}/demo/"


@contextlib.contextmanager
def apache(site: Path, work: Path) -> Iterator[str]:
    """Debian's Apache."""
    root, program = needed("apache2")
    port = free_port()
    owner = site.stat()
    types = next((path for path in (Path("/etc/mime.types"), UNPACKED / "etc/mime.types") if path.is_file()), None)
    if types is None:
        pytest.skip("no mime.types: apt-get install media-types")
    values = {"root": root, "types": types, "work": work, "site": site, "port": port}
    # Apache answers as root to nobody; this user's files are read by a user who may.
    (work / "conf").write_text(APACHE.format(**values, user=owner.st_uid or 33, group=owner.st_gid or 33))
    with running([program, "-f", str(work / "conf"), "-DFOREGROUND"], port, work):
        yield f"http://127.0.0.1:{port}/demo/"


@contextlib.contextmanager
def python(site: Path, work: Path) -> Iterator[str]:
    """``python -m http.server``, with the site in a folder of the one that is served."""
    (work / "demo").symlink_to(site)
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(work)]
    with running(command, port, work):
        yield f"http://127.0.0.1:{port}/demo/"


@contextlib.contextmanager
def github_pages(site: Path, work: Path) -> Iterator[str]:
    """What GitHub Pages answers a project's site: packed text, ten minutes of cache, no names with an underscore, none
    of the page's own headers."""
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(GithubPages, directory=str(site))
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/demo/"
        server.shutdown()
        thread.join()


class GithubPages(http.server.SimpleHTTPRequestHandler):
    types = {  # noqa: RUF012
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "application/javascript; charset=utf-8",
        ".json": "application/json; charset=utf-8",
        ".svg": "image/svg+xml",
        ".wasm": "application/wasm",
        ".jpg": "image/jpeg",
    }

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].removeprefix("/demo/") or "index.html"
        path = Path(self.directory) / name
        if not self.path.startswith("/demo/") or name.startswith(("_", ".")) or not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        kind = self.types.get(path.suffix, "application/octet-stream")
        self.send_response(200)
        if path.suffix in self.types and "gzip" in self.headers.get("Accept-Encoding", ""):
            data = gzip.compress(data, 1)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for header, value in (
            ("Server", "GitHub.com"),
            ("Access-Control-Allow-Origin", "*"),
            ("Cache-Control", "max-age=600"),
            ("Vary", "Accept-Encoding"),
            ("Strict-Transport-Security", "max-age=31556952"),
        ):
            self.send_header(header, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


HOSTS = {"nginx": nginx, "apache": apache, "python": python, "github-pages": github_pages}


def needed(program: str) -> tuple[str, str]:
    """The folder that a server's package lies in (``""``: the system's root), and its program; or a skip."""
    for root in ("", str(UNPACKED)):
        found = shutil.which(program, path=f"{root}/usr/sbin")
        if found is not None:
            return root, found
    pytest.skip(f"no {program}: sh web/install.sh")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int, work: Path) -> Iterator[None]:
    """A server in the foreground, from its first answer to the end of the block."""
    libraries = os.pathsep.join(map(str, UNPACKED.glob("usr/lib/*-linux-gnu")))
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries} if libraries else None
    with (
        (work / "output").open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=environment) as process,
    ):
        try:
            until = time.monotonic() + PATIENCE_S
            while True:
                assert process.poll() is None, (work / "output").read_text()
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                assert time.monotonic() < until, f"{command[0]} does not answer"
                time.sleep(0.02)
            yield
        finally:
            process.terminate()
