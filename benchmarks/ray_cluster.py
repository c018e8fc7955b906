"""score --engine ray on a cluster of two 'ray start' processes of this machine: rows, memory, a raylet that is killed.

    PYTHONPATH=. python benchmarks/ray_cluster.py        # benchmarks/results/ray_cluster.md; 4 minutes

Each node has one core and listens on 127.0.0.1 alone. Nobody else's Ray is touched: the nodes are process groups of
their own, which end with the script ('ray stop' would end every Ray of the machine).
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from scoring import make_faces, memory_mb

from fer_edge.runtime.machine import describe_machine

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "ray_cluster.md"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
ROWS = 256
SAMPLE_S = 0.5


@contextlib.contextmanager
def node(*words: str) -> "Iterator[subprocess.Popen[bytes]]":
    """One 'ray start', until the block ends."""
    command = [str(Path(sys.executable).with_name("ray")), "start", *words, "--block", "--num-cpus", "1"]
    command += ["--node-ip-address", "127.0.0.1", "--object-store-memory", str(2**28)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        for one in [*below(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        process.wait()


def below(pid: int) -> list[int]:
    """Processes that came from ``pid``."""
    parents = {}
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {pid})


def raylet_of(pid: int) -> int:
    """The raylet of a 'ray start'."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for one in below(pid):
            with contextlib.suppress(OSError):
                if b"/raylet/raylet\0" in (Path("/proc", str(one)) / "cmdline").read_bytes():
                    return one
        time.sleep(0.2)
    raise SystemExit("the second node did not start")


def scored(folder: Path, out: Path, *more: str, kill: int | None = None) -> dict[str, float]:
    """A run of the command: what it says, and the peak memory of its driver in MB. ``kill``: once a file is there."""
    words = ["score", folder, "--out", out, "--model", "fer-tiny", "--rows", ROWS, "--json", *more]
    peak = 0.0
    with tempfile.TemporaryFile("w+") as output:
        command = [sys.executable, str(ROOT / "cli.py"), *map(str, words)]
        process = subprocess.Popen(command, stdout=output, env=ENVIRONMENT)
        while process.poll() is None:
            peak = max(peak, memory_mb(process.pid)[0])
            if kill is not None and len(list(out.glob("*.parquet"))) > 0:
                os.kill(kill, signal.SIGKILL)
                kill = None
            time.sleep(SAMPLE_S)
        assert process.returncode == 0
        assert kill is None, "the run was over before the raylet could be killed"
        output.seek(0)
        return {**json.load(output), "driver_peak_mb": round(peak)}


def parts(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.parquet")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=24_000)
    given = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as nodes:
        faces, fewer = Path(place, "faces"), Path(place, "fewer")
        make_faces(faces, given.images)
        make_faces(fewer, given.images // 4)
        local = Path(place, "local")
        scored(fewer, local)
        nodes.enter_context(node("--head", "--port", str(port), "--include-dashboard", "false"))
        time.sleep(10)
        second = nodes.enter_context(node("--address", address))
        raylet = raylet_of(second.pid)
        time.sleep(5)
        ray = ("--engine", "ray", "--address", address)
        lines = []
        for name, folder, kill in (("as it is", fewer, None), ("", faces, None), ("a raylet killed", fewer, raylet)):
            out = Path(place, f"out{len(lines)}")
            told = scored(folder, out, *ray, kill=kill)
            same = "-" if folder is faces else "the same, byte by byte" if parts(out) == parts(local) else "others"
            cells = (name or "four times as many", told["rows"], told["errors"], f"{told['images_per_s']:.0f}")
            lines.append(f"| {' | '.join(map(str, cells))} | {told['driver_peak_mb']} MB | {same} |")
            print(lines[-1], flush=True)
    text = [
        "# A Ray cluster of two nodes",
        "",
        f"`python benchmarks/ray_cluster.py` on {describe_machine()}: two `ray start` processes of one core each on",
        f"127.0.0.1, `score --engine ray --address 127.0.0.1:PORT`, fer-tiny, {ROWS} rows a file. The raylet of",
        "the second node is killed (SIGKILL) once the first file is written.",
        "",
        "| run | rows | errors | images/s | driver, peak | rows beside the local engine's |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
        *lines,
        "",
    ]
    RESULT.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
