"""The command line in a process of its own, without paying for its imports each time.

torch, torch._dynamo, onnx and matplotlib take longer to import than most commands of a test work. A server process
(multiprocessing's ``forkserver``) imports them once; each command is a fork of it with its own folder, output and exit
code, which a signal may kill as any other. The command line itself is imported by each command, so that what a test has
registered is among its options. What a fresh interpreter does is tested by test_cli_without_torch, test_package and
test_bare_install.
"""

import atexit
import contextlib
import multiprocessing
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TextIO

REPOSITORY = Path(__file__).resolve().parent.parent
CLI = REPOSITORY / "cli.py"
ENCODING = "utf-8"

_SERVER = multiprocessing.get_context("forkserver")
# Errors of these imports are ignored by multiprocessing: without an extra, a command meets them when it runs.
_SERVER.set_forkserver_preload(
    [
        "torch._dynamo",
        "matplotlib.backends.backend_agg",
        "matplotlib.figure",
        "onnx",
        "onnxscript",
        "onnxruntime",
        "fer_edge.training.runs",
        "fer_edge.training.evaluate",
        "fer_edge.training.torchvision_ops",
        "fer_edge.export.exporter",
    ]
)


class ForkedCli:
    """A running ``cli.py``; ``stdout`` and ``stderr`` are its pipes, as of ``subprocess.Popen``."""

    def __init__(
        self, arguments: list[str], *, cwd: Path, env: Mapping[str, str] | None = None, modules: tuple[str, ...] = ()
    ) -> None:
        (out, their_out), (err, their_err) = _SERVER.Pipe(duplex=False), _SERVER.Pipe(duplex=False)
        whole = dict(os.environ if env is None else env)
        self._process = _SERVER.Process(
            target=_command, args=(arguments, str(cwd), whole, modules, their_out, their_err)
        )
        self._process.start()
        their_out.close()  # so that the pipes end with the process
        their_err.close()
        self.stdout, self.stderr = _text(out), _text(err)

    def send_signal(self, number: int) -> None:
        """As ``kill -number``; nothing where the process has ended."""
        assert self._process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """What is left of both outputs; empty for one that was closed. Raises subprocess.TimeoutExpired, having killed
        the process."""
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._process.kill()

        watch = threading.Timer(timeout, kill)
        watch.start()
        errors: list[str] = []
        reader = threading.Thread(target=lambda: errors.append("" if self.stderr.closed else self.stderr.read()))
        reader.start()
        output = "" if self.stdout.closed else self.stdout.read()
        reader.join()
        self._process.join()
        watch.cancel()
        self.stdout.close()
        self.stderr.close()
        if late.is_set():
            raise subprocess.TimeoutExpired("cli.py", timeout, output, errors[0])
        return output, errors[0]

    @property
    def returncode(self) -> int | None:
        """Exit code, negative after a signal; None while it runs."""
        return self._process.exitcode


def run_cli(
    arguments: list[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
    modules: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    """``python cli.py arguments`` in the folder ``cwd``; ``modules`` are imported before it."""
    process = ForkedCli(arguments, cwd=cwd, env=env, modules=modules)
    out, err = process.communicate(timeout)
    assert process.returncode is not None
    return subprocess.CompletedProcess([str(CLI), *arguments], process.returncode, out, err)


def _text(connection: Connection) -> TextIO:
    stream = os.fdopen(os.dup(connection.fileno()), encoding=ENCODING)
    connection.close()
    return stream


def _command(
    arguments: list[str], cwd: str, env: dict[str, str], modules: tuple[str, ...], out: Connection, err: Connection
) -> None:
    sys.stdout.flush()
    for number, connection in ((1, out), (2, err)):
        os.dup2(connection.fileno(), number)
        connection.close()
    sys.stdout = open(1, "w", encoding=ENCODING, closefd=False)  # noqa: SIM115  # for the rest of this process
    sys.stderr = open(2, "w", encoding=ENCODING, closefd=False, buffering=1)  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:0] = env.get("PYTHONPATH", "").split(os.pathsep) if env.get("PYTHONPATH") else []
    for module in modules:
        __import__(module)
    sys.argv = [str(CLI), *arguments]
    try:
        runpy.run_path(str(CLI), run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves without them
        sys.stdout.flush()
