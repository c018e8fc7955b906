"""Throughput and p99 of ``serve`` against offered load, beside the model alone: one process of its runtime, no HTTP.

    python benchmarks/serving.py [--models fer-resnet18,fer-tiny] [--seconds 8] [--threads 1]

The server is the command, in its own process; the client is benchmarks/serving_load.py in another: Poisson arrivals on
128 connections over loopback, latency from the moment that a request was to be sent. A request is what NVIDIA's client
sends for 48x48 grey faces in binary, and asks for label and probabilities in binary. The model alone runs batches of
the size that it is best with, in a process of its own, before and after each series, so that drift shows. Client,
server and model share this machine's cores. Writes benchmarks/results/serving.json and .md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))
sys.path.insert(0, str(ROOT / "benchmarks" / "attacks"))

from hostile_requests import faces  # noqa: E402  # scripts of this repository, found through the lines above
from serving_load import Load, percentile, write_requests  # noqa: E402

from fer_edge.benchmark.machine import busy_cores, describe_environment  # noqa: E402
from fer_edge.files import write_text  # noqa: E402
from fer_edge.runtime.machine import describe_machine  # noqa: E402
from fer_edge.serving.batcher import BATCH_S, SMALL_BATCH  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "serving.json"
FRACTIONS = (0.3, 0.5, 0.7, 0.8, 0.9, 1.1)
"""Offered images a second, of what the model alone does."""
DEADLINES_MS = (0.0, 2.0, 10.0)
AIM_FRACTION, AIM_P99_MS = 0.7, 50.0
BATCHES = (1, 8, 16, 32)

ALONE = """
import sys, time, json
import numpy as np
from fer_edge.backends import open_model
name, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
backend = open_model(name, threads=threads)
found = {}
for size in map(int, sys.argv[4].split(",")):
    pixels = np.random.default_rng(0).integers(0, 256, (size, 48, 48, 1), dtype=np.uint8)
    for _ in range(3):
        backend.run(pixels)
    start, count = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < seconds:
        backend.run(pixels)
        count += size
    found[size] = count / spent
print(json.dumps(found))
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def alone(model: str, threads: int, seconds: float = 1.0) -> dict[str, float]:
    """Images a second by batch size, of the model without HTTP."""
    command = [sys.executable, "-c", ALONE, model, str(threads), str(seconds), ",".join(map(str, BATCHES))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    found: dict[str, float] = json.loads(done.stdout)
    return found


def queue_p99_ms(arrivals_s: Sequence[float], images: int, alone_images_per_s: dict[str, float]) -> float:
    """Calculated: p99 in milliseconds of requests that come as the client's do, where the model takes the time that it
    takes alone, and gathers what waits as ``serve`` does. No part of it is HTTP's."""
    sizes = sorted(map(int, alone_images_per_s))
    seconds = [size / alone_images_per_s[str(size)] for size in sizes]
    room = max(SMALL_BATCH, min(sizes[-1], int(BATCH_S * max(alone_images_per_s.values()))))
    free, times, at = 0.0, [], 0
    while at < len(arrivals_s):
        begin = max(free, arrivals_s[at])
        together = max(1, room // images)
        batch = [one for one in arrivals_s[at : at + together] if one <= begin]
        free = begin + float(np.interp(len(batch) * images, sizes, seconds))
        times += [(free - one) * 1e3 for one in batch]
        at += len(batch)
    return percentile(sorted(times), 0.99) or 0.0


class Server:
    """``serve`` in a process of its own, as a context."""

    def __init__(self, model: str, *options: str, log: IO[str] | None = None) -> None:
        command = [sys.executable, str(ROOT / "cli.py"), "serve", "--model", model, "--port", "0", "--json", *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment())
        assert self._process.stdout is not None
        text = ""
        while "}" not in text:
            line = self._process.stdout.readline()
            if not line:
                raise SystemExit("the server did not start")
            text += line
        told = json.loads(text)
        self.port, self.name = int(told["url"].rsplit(":", 1)[1]), told["model"]

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: Any) -> None:
        self._process.terminate()
        self.exit_code = self._process.wait(60)

    def cpu_s(self) -> float:
        """Processor seconds so far; 0 where /proc does not tell."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mb(self) -> float:
        """Peak memory in megabytes; 0 where /proc does not tell."""
        try:
            lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        except OSError:
            return 0.0
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def requests_of(name: str, port: int, images: int, count: int = 16) -> list[bytes]:
    """What NVIDIA's client sends."""
    import tritonclient.http as http

    found = []
    for seed in range(count):
        pixels = faces(images, seed)
        given = http.InferInput("image", list(pixels.shape), "UINT8")
        given.set_data_from_numpy(pixels)
        outputs = [http.InferRequestedOutput(one, binary_data=True) for one in ("probabilities", "label")]
        body, head = http.InferenceServerClient.generate_request_body([given], outputs=outputs)
        lines = [f"POST /v2/models/{name}/infer HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(body)}"]
        lines += [f"Inference-Header-Content-Length: {head}", "Content-Type: application/octet-stream"]
        found.append("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    return found


def offer(server: Server, requests: list[bytes], *, rate: float, seconds: float, seed: int = 0) -> dict[str, Any]:
    """One run of the client."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requests"
        write_requests(file, requests)
        before = server.cpu_s()
        command = [sys.executable, str(ROOT / "benchmarks" / "serving_load.py"), str(server.port), str(file)]
        command += ["--rate", str(rate), "--seconds", str(seconds), "--seed", str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        found["server_cpu_s"] = server.cpu_s() - before
        return found


def row(found: dict[str, Any], images: int, limit: float) -> dict[str, Any]:
    answered = found["answered_200"] * images / found["seconds"]
    return {
        "offered_images_per_s": found["requests_offered"] * images / found["seconds"],
        "answered_images_per_s": answered,
        "answered_of_model_alone": answered / limit,
        **{f"{name}_ms": value for name, value in found["latency_ms"].items()},
        "statuses": found["statuses"],
        "server_cpu_s": found["server_cpu_s"],
        "client_cpu_s": found["client_cpu_s"],
        "seconds": found["seconds"],
    }


def series(model: str, images: int, *, threads: int, seconds: float, deadline_ms: float = 0.0) -> dict[str, Any]:
    """Every fraction of what the model alone does, offered in requests of so many images."""
    before = alone(model, threads)
    limit = max(before.values())
    rows = []
    options = ("--threads", str(threads), "--batch-deadline-ms", str(deadline_ms))
    with Server(model, *options) as server:
        requests = requests_of(server.name, server.port, images)
        offer(server, requests, rate=limit / images / 4, seconds=1.0, seed=99)  # warm up
        for seed, fraction in enumerate(FRACTIONS):
            found = offer(server, requests, rate=limit * fraction / images, seconds=seconds, seed=seed)
            load = Load(0, requests, rate=limit * fraction / images, seconds=seconds, wires=1, seed=seed)
            least = queue_p99_ms(load.arrivals_s, images, before)
            rows.append({"fraction_offered": fraction, **row(found, images, limit), "queue_p99_ms": least})
            print(model, images, deadline_ms, json.dumps(rows[-1]), flush=True)
        peak = server.peak_mb()
    after = alone(model, threads)
    met = [one["answered_of_model_alone"] for one in rows if one["p99_ms"] is not None and one["p99_ms"] <= AIM_P99_MS]
    return {
        "model": model,
        "images_per_request": images,
        "threads": threads,
        "batch_deadline_ms": deadline_ms,
        "model_alone_images_per_s": {"before": before, "after": after},
        "rows": rows,
        "peak_memory_mb": peak,
        "most_of_model_alone_under_50_ms": max(met, default=0.0),
        "aim_met": max(met, default=0.0) >= AIM_FRACTION * 0.98,  # arrivals by chance: 2 % more or less come
    }


def report(result: dict[str, Any]) -> str:
    lines = [
        "# serve under load",
        "",
        f"Written by `python benchmarks/serving.py`. {result['machine']}; threads are those inside",
        f"an operator, of the model alone too; client, server and model share {result['cores']} cores. Others kept "
        f"{result['busy_cores_before']:.2f} cores busy before it. {result['note']}".rstrip(),
        "",
        "*p99 of a queue* is calculated: the same arrivals, gathered as `serve` does, the model's time alone, no HTTP.",
        "",
        f"Aim: {AIM_FRACTION:.0%} of what one process of the runtime does without HTTP, p99 under {AIM_P99_MS:g} ms.",
        "",
    ]
    for one in result["series"]:
        before, after = (max(one["model_alone_images_per_s"][at].values()) for at in ("before", "after"))
        lines += [
            f"## {one['model']}, images a request: {one['images_per_request']}, "
            f"threads: {one['threads']}, deadline: {one['batch_deadline_ms']:g} ms",
            "",
            f"Model alone: {before:.0f} images/s before, {after:.0f} after. Aim "
            f"{'met' if one['aim_met'] else 'missed'}: {one['most_of_model_alone_under_50_ms']:.0%} of the model alone "
            f"at p99 under {AIM_P99_MS:g} ms. Peak memory {one['peak_memory_mb']:.0f} MB.",
            "",
            "| offered of alone | offered images/s | answered images/s | of alone | p50 ms | p95 ms | p99 ms "
            "| p99 of a queue | 503 | server's cores |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for row_ in one["rows"]:
            times = (row_[f"{name}_ms"] for name in ("p50", "p95", "p99"))
            busy = row_["statuses"].get("503", 0) / max(1, sum(row_["statuses"].values()))
            cells = [
                f"{row_['fraction_offered']:.0%}",
                f"{row_['offered_images_per_s']:.0f}",
                f"{row_['answered_images_per_s']:.0f}",
                f"{row_['answered_of_model_alone']:.0%}",
                *("–" if time_ is None else f"{time_:.1f}" for time_ in times),
                f"{row_['queue_p99_ms']:.1f}",
                f"{busy:.1%}",
                f"{row_['server_cpu_s'] / row_['seconds']:.2f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="fer-resnet18,fer-tiny")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-deadlines", action="store_true", help="leave out the series of deadlines")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--note", default="", help="a sentence for the report: how the machine was kept quiet")
    given = parser.parse_args()
    start = time.time()
    result: dict[str, Any] = {
        "machine": describe_machine(),
        "cores": os.cpu_count(),
        "environment": describe_environment(),
        "busy_cores_before": busy_cores(2.0) or 0.0,
        "threads": given.threads,
        "note": given.note,
        "series": [],
    }
    models = given.models.split(",")
    plan = [(model, images, 0.0, given.threads) for model in models for images in (1, 8)]
    if not given.no_deadlines:
        plan += [(models[0], 1, deadline, given.threads) for deadline in DEADLINES_MS[1:]]
    plan.append((models[0], 8, 0.0, 2 * given.threads))
    for model, images, deadline, threads in plan:
        result["series"].append(series(model, images, threads=threads, seconds=given.seconds, deadline_ms=deadline))
    result["minutes"] = (time.time() - start) / 60
    write_text(given.out, json.dumps(result, indent=1) + "\n")
    write_text(given.out.with_suffix(".md"), report(result))
    print(report(result))


if __name__ == "__main__":
    main()
