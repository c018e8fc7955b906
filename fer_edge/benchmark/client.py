"""The benchmark's end of a worker process: start it with its thread budget, ask, wait, and let nobody hang."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import fer_edge
from fer_edge.benchmark.timed_run import WorkerSpec
from fer_edge.errors import FerEdgeError, ProviderError
from fer_edge.files import storage_errors, temporary_place

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""What sizes the pools that libraries keep beside the runtime's own; they read it when they are imported."""

ANSWER_TIMEOUT_S = 900.0
"""torch.compile takes minutes on a slow machine; what takes longer hangs."""

_POLL_S = 0.1

Stop = Callable[[], bool]
"""Whether somebody asked to stop."""


class WorkerError(FerEdgeError):
    """A worker that died, hung or refused; the text says which and why."""


class Stopped(Exception):  # not an error: the measuring is to end, and what there is is kept
    """Somebody asked to stop while a worker was at work."""


def worker_environment(threads: int, provider: str, cache: Path) -> dict[str, str]:
    """The environment of a worker: equal thread budgets in every pool, this package, and torch's compiler in one
    process of its own cache, so that its first compilation is what a fresh machine sees."""
    package = str(Path(fer_edge.__file__).resolve().parent.parent)
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        **{name: str(threads) for name in THREAD_VARIABLES},
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONIOENCODING": "utf-8",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "TORCHINDUCTOR_CACHE_DIR": str(cache),
    }
    if provider == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = "-1"
    return environment


class WorkerClient:
    """A worker process that has loaded its model. Use it in a ``with`` block, or ``close`` it."""

    def __init__(self, spec: WorkerSpec, faces: Path, cache: Path, stop: Stop = lambda: False) -> None:
        """Start the process and let it load.

        Raises ProviderError, WorkerError, StorageError where no temporary file can be made, Stopped when asked to stop.
        """
        self._stop = stop
        with storage_errors(temporary_place()):
            self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close()
        spawned_at = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fer_edge.benchmark.worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=worker_environment(spec.threads, spec.provider, cache),
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C in the terminal is for the benchmark to obey, not for its workers
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
        )
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.opened = self.ask("open", spec=asdict(spec), faces=str(faces), spawned_at=spawned_at)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "WorkerClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and wait for its answer. Raises as ``__init__`` does."""
        assert self._process.stdin is not None
        if self._stop():
            raise Stopped
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._died() from None
        line = self._next_line()
        answer = json.loads(line)
        if "error" in answer:
            raise (ProviderError if answer["kind"] == "ProviderError" else WorkerError)(answer["error"])
        return dict(answer["ok"])

    def close(self) -> None:
        """End the process: its input ends, and if it does not go by itself it is killed."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=0.2 if self._stop() else 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()

    def _read(self) -> None:
        """Pass lines on; an empty one says that the process is gone. A thread, because Windows cannot wait on pipes."""
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):
            for line in self._process.stdout:
                self._answers.put(line)
        self._answers.put("")

    def _next_line(self) -> str:
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                line = self._answers.get(timeout=_POLL_S)
                if not line:
                    raise self._died()
                return line
            if self._stop():
                self._process.kill()
                raise Stopped
        self._process.kill()
        raise WorkerError(f"expected an answer within {ANSWER_TIMEOUT_S:.0f} s, found none")

    def _died(self) -> WorkerError:
        """What the process left behind: its exit code and the last line that it wrote to standard error."""
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode("utf-8", errors="replace").strip().splitlines()
        last = f": {lines[-1][:300]}" if lines else ""
        how = f"was killed by signal {-code} (memory?)" if code < 0 else f"ended with exit code {code}"
        return WorkerError(f"its process {how}{last}")
