"""Parents are killed here, so that they cannot tell their children to end."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from fer_edge.processes import words_ending_here

FIXTURE = Path(__file__).parent / "fixtures" / "tiny.onnx"
SECONDS_TO_END = 5.0
"""It takes hundredths of one, on a machine that is not busy."""

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux does that")
only_posix = pytest.mark.skipif(sys.platform == "win32", reason="looks at processes by 'ps'")

OWN_CHILD = """
import os, subprocess, sys
child = "import sys, time, ctypes; from fer_edge.processes import end_with; end_with(int(sys.argv[1])); "
child += "print('ready', flush=True); " + sys.argv[1]
subprocess.Popen([sys.executable, "-c", child, str(os.getpid())], stdout=sys.stdout).wait()
"""

BENCHMARK = """
import sys
from pathlib import Path
import numpy as np
from fer_edge.benchmark.client import WorkerClient
from fer_edge.benchmark.timed_run import WorkerSpec
model, folder = sys.argv[1], Path(sys.argv[2])
np.save(folder / "faces.npy", np.zeros((1, 48, 48), np.uint8))
spec = WorkerSpec("onnxruntime", "fer_edge.backends.onnxruntime", "fp32", "cpu", 1, 1, model, 48)
client = WorkerClient(spec, folder / "faces.npy", folder)
print(client._process.pid, flush=True)
endless = {"warm_up_runs": 1, "warm_up_s": 0.1, "budget_s": 1e9, "min_runs": 10**9, "max_runs": 10**9}
client.ask("timed_run", length=endless)
"""

DEVICES = """
import sys
from concurrent.futures import ThreadPoolExecutor
from fer_edge.devices.farm import _Processes
child = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(60)"
with ThreadPoolExecutor() as pool:
    pool.submit(_Processes().run, [sys.executable, "-c", child, sys.argv[1]], 60)
"""


def parent(code: str, *arguments: object, repository: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=repository)


def ended(pid: int) -> bool:
    """Whether the process is gone, or would be if somebody asked for its exit code, within SECONDS_TO_END."""
    deadline = time.monotonic() + SECONDS_TO_END
    while time.monotonic() < deadline:
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
        if not state or state.startswith("Z"):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    "work",
    [
        "time.sleep(60)",
        pytest.param("ctypes.PyDLL(None).sleep(60)", marks=only_linux, id="native code that keeps the interpreter"),
    ],
)
def test_a_child_ends_with_its_killed_parent_whatever_it_does(repository, work):
    process = parent(OWN_CHILD, work, repository=repository)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.kill()
    killed_at = time.monotonic()
    assert process.stdout.read() == ""  # until all who can write to it have ended
    process.wait()
    assert time.monotonic() - killed_at < SECONDS_TO_END


@only_posix
def test_a_benchmark_worker_at_work_ends_with_its_killed_benchmark(repository, tmp_path):
    process = parent(BENCHMARK, FIXTURE, tmp_path, repository=repository)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    time.sleep(0.2)
    assert process.poll() is None
    process.kill()
    process.wait()
    assert ended(worker)


@only_linux
def test_the_run_of_a_device_ends_with_its_killed_command(repository, tmp_path):
    process = parent(DEVICES, tmp_path / "pid", repository=repository)
    deadline = time.monotonic() + 30
    while not ((tmp_path / "pid").is_file() and (tmp_path / "pid").read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert ended(int((tmp_path / "pid").read_text()))


@only_linux
def test_a_program_that_cannot_be_run_is_said():
    done = subprocess.run(words_ending_here(["no-such-program"]), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (127, "no-such-program cannot be run: No such file or directory\n")


@only_linux
def test_a_program_is_not_begun_where_its_parent_has_ended_meanwhile():
    words = words_ending_here([sys.executable, "-c", "print('ran')"])
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    words[words.index("-S") + 2] = str(gone.pid)
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (127, "")


def test_what_a_library_writes_stays_out_of_stdout():
    code = """
import os
from fer_edge.processes import stdout_to_stderr
print("before")
with stdout_to_stderr():
    os.write(1, b"[Gloo] Rank 0 is connected\\n")
    print("(raylet) A worker died")  # in Python's buffer until the block ends
print("after")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "before\nafter\n"
    assert done.stderr == "[Gloo] Rank 0 is connected\n(raylet) A worker died\n"
