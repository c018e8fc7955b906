"""Listens for clients of the app, and ends well: what is under way is answered first."""

import errno
import os
import socket
import sys
from functools import partial

from fer_edge.errors import MissingExtraError, ServingError
from fer_edge.serving.model import ServedModel
from fer_edge.serving.settings import ServerSettings

HOST = "127.0.0.1"
"""Where nobody says otherwise: this machine alone."""
EXTRA = "serve"
PACKAGES = ("fastapi", "uvicorn", "httptools", "prometheus_client")
"""What the extra brings."""
_BACKLOG = 1024
_SWITCH_S = 1e-4
"""How long the thread that talks to clients keeps the interpreter while the model's thread, whose answer is there,
waits for it. Python's 5 ms are a model's time for many images (benchmarks/results/serving.md)."""


class Server:
    """A server that is bound to its address already. Make one with ``open_server``, then ``run``."""

    def __init__(self, listener: socket.socket, host: str, model: ServedModel, settings: ServerSettings) -> None:
        import uvicorn

        from fer_edge.serving.app import make_app
        from fer_edge.serving.connections import Connection, OpenConnections

        self._listener = listener
        self.host = host
        self.port: int = listener.getsockname()[1]
        app = make_app(model, settings)
        others = OpenConnections(settings, app.state.handlers.metrics.refused)
        config = uvicorn.Config(
            app,
            http=partial(Connection, others=others),  # type: ignore[arg-type,unused-ignore]
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=max(1, round(settings.shutdown_timeout_s)),
        )
        self._uvicorn = uvicorn.Server(config)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether this machine alone reaches it."""
        return self.host in ("::1", "localhost") or self.host.startswith("127.")

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, or ``stop``; what is under way is answered first.

        In the main thread, the signal is raised again then, for the handler that was there before.
        """
        import logging

        # A line for each malformed request would let anybody fill the disk.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        before = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)
        try:
            self._uvicorn.run(sockets=[self._listener])
        finally:
            sys.setswitchinterval(before)

    def stop(self) -> None:
        """From another thread: end as after a signal."""
        self._uvicorn.should_exit = True

    def close(self) -> None:
        """Give the port back, of a server that was not run."""
        self._listener.close()


def require_packages() -> None:
    """Raises MissingExtraError where the extra ``serve`` is not installed."""
    from importlib.util import find_spec

    for package in PACKAGES:
        if find_spec(package) is None:
            raise MissingExtraError(package, EXTRA)


def open_server(model: ServedModel, settings: ServerSettings, port: int, *, host: str = HOST) -> Server:
    """Bind ``port`` (0: any that is free) of ``host``, an address of this machine.

    Raises ServingError where the port is taken or the host is not this machine's, and MissingExtraError.
    """
    require_packages()
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name != "nt":  # where it would share a port in use
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OSError, UnicodeError) as error:
        listener.close()
        raise _refused(error, host, port) from error
    return Server(listener, host, model, settings)


def _refused(error: Exception, host: str, port: int) -> ServingError:
    number = getattr(error, "errno", None)
    if isinstance(error, socket.gaierror | UnicodeError) or number == errno.EADDRNOTAVAIL:
        return ServingError(
            f"host {host}: expected an address of this machine, found none; name one by --host, or 0.0.0.0 for all"
        )
    reason = {errno.EADDRINUSE: "one in use", errno.EACCES: "one that this user may not open"}.get(number or 0)
    return ServingError(
        f"port {port}: expected a free port, found {reason or error}; name another by --port, or 0 for any"
    )
