"""10,000 hostile requests to a running ``serve``: which statuses they get, and what good clients notice.

    python benchmarks/attacks/serving.py [--count 10000] [--rate 250] [--model fer-resnet18]

hostile_requests.py makes them: malformed, oversized, slow, nested, lying. They come on new connections, ``--rate`` a
second, from a process of their own, while benchmarks/serving_load.py asks sound questions from another; it also does so
before and after, for the p99 to compare with. Exits with 3 where a request gets 5xx or no answer, where one that cannot
be sound gets 200, where a good client gets another status than 200, where its p99 more than doubles, or where the
attack fills the server's log. Writes benchmarks/results/attacks/serving.json and .md.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks" / "attacks"))

from hostile_requests import MAY_PASS, Hostile, Maker  # noqa: E402  # a script of this repository

MAX_BODY = 8 * 2**20
TIMEOUT_S = 2.0
"""Of the server, so that slow ones are answered while the script runs."""
AT_A_TIME = 100
ANSWER_S = 20.0
QUIET_S = 15.0
MAX_LOG_LINES = 10
"""Of the start; an attack must not fill the disk."""
CLOSED = "closed without an answer"
RESULT = ROOT / "benchmarks" / "results" / "attacks" / "serving.json"


async def answer_to(port: int, hostile: Hostile) -> str:
    """The status that the server says first."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return "refused"
    found = b""
    try:
        with contextlib.suppress(OSError):
            for part in hostile.parts:
                writer.write(part)
                await writer.drain()
                if hostile.pause_s:
                    await asyncio.sleep(hostile.pause_s)
        with contextlib.suppress(OSError):
            found = await asyncio.wait_for(reader.readline(), ANSWER_S)
    except TimeoutError:
        return "none in time"
    finally:
        writer.close()
    return found.split(b" ", 2)[1].decode() if found.startswith(b"HTTP/1.1 ") else CLOSED


async def attack(port: int, model: str, count: int, rate: float) -> dict[str, Counter[str]]:
    """Statuses by kind."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    room = asyncio.Semaphore(AT_A_TIME)
    start = time.perf_counter()

    async def one(hostile: Hostile) -> None:
        async with room:
            found[hostile.kind][await answer_to(port, hostile)] += 1

    tasks = set()
    for number, hostile in enumerate(Maker(model, max_body_bytes=MAX_BODY, seed=2023).some(count)):
        await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
        task = asyncio.create_task(one(hostile))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    return found


def good_clients(server: Any, file: Path, rate: float, seconds: float, seed: int) -> "subprocess.Popen[str]":
    command = [sys.executable, str(ROOT / "benchmarks" / "serving_load.py"), str(server.port), str(file)]
    command += ["--rate", str(rate), "--seconds", str(seconds), "--wires", "32", "--seed", str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def told(process: "subprocess.Popen[str]") -> Any:
    text, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"a client failed: exit code {process.returncode}")
    return json.loads(text)


def faults_in(by_kind: dict[str, dict[str, int]], good: dict[str, Any], ratio: float) -> list[str]:
    faults = []
    for kind, statuses in by_kind.items():
        for status, count in statuses.items():
            sound = status.startswith("4") or (kind == MAY_PASS and status == "200")
            if not sound:
                faults.append(f"{count} of kind '{kind}': {status}")
    for when, found in good.items():
        others = {status: count for status, count in found["statuses"].items() if status != "200" and count}
        if others:
            faults.append(f"good clients {when}: {others}")
    if ratio > 2:
        faults.append(f"good clients' p99 under attack: {ratio:.2f} times that without")
    return faults


def report(result: dict[str, Any]) -> str:
    good = result["good_clients"]
    statuses = sorted({status for found in result["statuses_by_kind"].values() for status in found})
    lines = [
        "# Hostile requests to serve",
        "",
        f"Written by `python benchmarks/attacks/serving.py`. {result['machine']}; server, attacker and clients share",
        f"{result['cores']} cores. {result['count']} requests, {result['rate']:g} a second, beside good clients'",
        f"{result['good_rate']:g} a second of {result['model']}. {result['note']}".rstrip(),
        "",
        f"Faults: {'; '.join(result['faults']) or 'none'}.",
        "",
        "| good clients | answered 200 | other | p50 ms | p95 ms | p99 ms |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {when} | {one['answered_200']} | {one['requests_offered'] - one['answered_200']} "
            f"| {one['latency_ms']['p50']:.1f} | {one['latency_ms']['p95']:.1f} | {one['latency_ms']['p99']:.1f} |"
            for when, one in good.items()
        ),
        "",
        f"p99 under attack over the mean of before and after: {result['p99_ratio']:.2f}. Peak memory of the server: "
        f"{result['peak_memory_mb']:.0f} MB, {result['peak_memory_before_mb']:.0f} before the attack. Lines in "
        f"its log: {result['log_lines']}.",
        "",
        f"| kind | {' | '.join(statuses)} |",
        f"| --- |{' --- |' * len(statuses)}",
    ]
    for kind, found in sorted(result["statuses_by_kind"].items()):
        lines.append(f"| {kind} | {' | '.join(str(found.get(status, '')) for status in statuses)} |")
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=250.0)
    parser.add_argument("--good-rate", type=float, default=100.0)
    parser.add_argument("--model", default="fer-resnet18")
    parser.add_argument("--note", default="", help="a sentence for the report: how the machine was kept quiet")
    parser.add_argument("--attack", type=int, help=argparse.SUPPRESS)  # the attacker's own process: the port
    given = parser.parse_args()
    if given.attack:
        found = asyncio.run(attack(given.attack, given.model, given.count, given.rate))
        print(json.dumps(found))
        return 0
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import serving as load
    from serving_load import write_requests

    from fer_edge.files import write_text
    from fer_edge.runtime.machine import describe_machine

    good: dict[str, Any] = {}
    options = ("--threads", "1", "--timeout", str(TIMEOUT_S))
    with (
        tempfile.TemporaryFile("w+") as log,
        tempfile.TemporaryDirectory() as folder,
        load.Server(given.model, *options, log=log) as server,
    ):
        file = Path(folder) / "requests"
        write_requests(file, load.requests_of(server.name, server.port, 1))
        told(good_clients(server, file, given.good_rate, 2.0, 9))  # warm up
        good["before"] = told(good_clients(server, file, given.good_rate, QUIET_S, 0))
        peak_before = server.peak_mb()
        command = [sys.executable, __file__, "--attack", str(server.port), "--count", str(given.count)]
        command += ["--rate", str(given.rate), "--model", server.name]
        attacker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        good["under attack"] = told(good_clients(server, file, given.good_rate, given.count / given.rate, 1))
        by_kind = told(attacker)
        good["after"] = told(good_clients(server, file, given.good_rate, QUIET_S, 2))
        peak = server.peak_mb()
        log.seek(0)
        log_lines = len(log.readlines())
    p99 = {when: one["latency_ms"]["p99"] for when, one in good.items()}
    ratio = p99["under attack"] / ((p99["before"] + p99["after"]) / 2)
    result = {
        "machine": describe_machine(),
        "cores": os.cpu_count(),
        "note": given.note,
        "model": given.model,
        "count": sum(sum(one.values()) for one in by_kind.values()),
        "rate": given.rate,
        "good_rate": given.good_rate,
        "good_clients": good,
        "p99_ratio": ratio,
        "peak_memory_before_mb": peak_before,
        "peak_memory_mb": peak,
        "log_lines": log_lines,
        "statuses_by_kind": by_kind,
        "faults": faults_in(by_kind, good, ratio),
    }
    if log_lines > MAX_LOG_LINES:
        result["faults"].append(f"the server wrote {log_lines} lines to its log")
    if server.exit_code != 143:
        result["faults"].append(f"the server ended with exit code {server.exit_code}")
    write_text(RESULT, json.dumps(result, indent=1) + "\n")
    write_text(RESULT.with_suffix(".md"), report(result))
    print(report(result))
    return 3 if result["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
