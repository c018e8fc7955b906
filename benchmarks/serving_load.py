"""An open-loop client of one HTTP server, in a process of its own: Poisson arrivals, whatever the answers take.

    python benchmarks/serving_load.py PORT REQUEST_FILE --rate 300 --seconds 8

REQUEST_FILE holds whole requests, one after the other, each after its length (4 bytes, little-endian). Latency counts
from the moment that a request was to be sent, so that waiting for a free connection is in it (no coordinated omission).
asyncio wakes up at whole milliseconds: up to one of them is in every latency. Prints JSON.
"""

import argparse
import asyncio
import json
import random
import resource
import struct
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

DRAIN_S = 5.0
"""For answers that are still to come at the end."""


class Wire(asyncio.Protocol):
    """A connection that waits for one answer at a time."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._buffer = b""
        self._needed = -1
        self.due: float | None = None
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._needed < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            at = self._buffer.index(b"content-length: ") + 16
            self._needed = end + 4 + int(self._buffer[at : self._buffer.index(b"\r", at)])
        if len(self._buffer) >= self._needed:
            status = int(self._buffer[9:12])
            self._buffer, self._needed = b"", -1
            self._load.answered(self, status)

    def connection_lost(self, _: Exception | None) -> None:
        self._load.lost(self)


class Load:
    """Requests that come by chance, ``rate`` a second."""

    def __init__(self, port: int, requests: list[bytes], *, rate: float, seconds: float, wires: int, seed: int) -> None:
        self._port = port
        self._requests = requests
        self._wires = wires
        self._free: deque[Wire] = deque()
        self._late: deque[float] = deque()
        self._next = 0
        self._under_way = 0
        self.latencies_ms: list[float] = []
        self.statuses: Counter[str] = Counter()
        chance = random.Random(seed)
        self._arrivals: deque[float] = deque()
        at = 0.0
        while (at := at + chance.expovariate(rate)) < seconds:
            self._arrivals.append(at)
        self.offered = len(self._arrivals)
        self.arrivals_s = tuple(self._arrivals)
        self.last_answer = 0.0

    async def run(self) -> float:
        """Send all; the seconds from the first arrival to the last answer."""
        loop = asyncio.get_running_loop()
        for _ in range(self._wires):
            _, wire = await loop.create_connection(lambda: Wire(self), "127.0.0.1", self._port)
            self._free.append(wire)
        start = time.perf_counter()
        arrivals = self._arrivals
        while arrivals:
            now = time.perf_counter() - start
            while arrivals and arrivals[0] <= now:
                self._send_or_wait(start + arrivals.popleft())
            if arrivals:
                await asyncio.sleep(max(0.0, arrivals[0] - (time.perf_counter() - start)))
        end = time.perf_counter() + DRAIN_S
        while (self._under_way or self._late) and time.perf_counter() < end:
            await asyncio.sleep(0.005)
        self.statuses["none"] += self._under_way + len(self._late)
        return (self.last_answer or time.perf_counter()) - start

    def _send_or_wait(self, due: float) -> None:
        if not self._free:
            self._late.append(due)
            return
        self._send(self._free.popleft(), due)

    def _send(self, wire: Wire, due: float) -> None:
        self._under_way += 1
        wire.send(self._requests[self._next % len(self._requests)], due)
        self._next += 1

    def answered(self, wire: Wire, status: int) -> None:
        now = time.perf_counter()
        self.last_answer = now
        self._under_way -= 1
        self.statuses[str(status)] += 1
        if status == 200 and wire.due is not None:
            self.latencies_ms.append((now - wire.due) * 1e3)
        wire.due = None
        if self._late:
            self._send(wire, self._late.popleft())
        else:
            self._free.append(wire)

    def lost(self, wire: Wire) -> None:
        if wire.due is not None:
            self._under_way -= 1
            self.statuses["lost"] += 1


def percentile(sorted_values: list[float], fraction: float) -> float | None:
    return sorted_values[min(len(sorted_values) - 1, int(fraction * len(sorted_values)))] if sorted_values else None


def read_requests(path: Path) -> list[bytes]:
    data, found, at = path.read_bytes(), [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def write_requests(path: Path, requests: list[bytes]) -> None:
    path.write_bytes(b"".join(struct.pack("<I", len(one)) + one for one in requests))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("requests", type=Path)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--wires", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    load = Load(
        given.port, read_requests(given.requests), rate=given.rate, seconds=given.seconds, wires=given.wires,
        seed=given.seed,
    )  # fmt: skip
    seconds = asyncio.run(load.run())
    used = resource.getrusage(resource.RUSAGE_SELF)
    times = sorted(load.latencies_ms)
    print(
        json.dumps(
            {
                "requests_offered": load.offered,
                "seconds": seconds,
                "answered_200": len(times),
                "statuses": dict(load.statuses),
                "latency_ms": {
                    name: percentile(times, at) for name, at in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
                },
                "client_cpu_s": used.ru_utime + used.ru_stime,
            }
        )
    )


if __name__ == "__main__":
    main()
