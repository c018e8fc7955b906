"""The process of one row: reads commands as JSON lines from standard input, answers each with one on standard output.

    python -m fer_edge.benchmark.worker PID

Stdlib only up to the command "open", which says how long importing, loading and the first answer took. It ends with
its input, and with the process PID, the benchmark, whatever it is doing then.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from fer_edge.benchmark.timed_run import RunLength, WorkerSpec, run_once, timed_run
from fer_edge.errors import FerEdgeError
from fer_edge.processes import end_with

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fer_edge.backends.contract import Backend
    from fer_edge.benchmark.audit import Sample

QUIET_POLL_S = 0.01
QUIET_SHARE = 0.2
"""Part of a poll's time that a process may compute and still count as idle."""
MAX_WAIT_FOR_QUIET_S = 1.0

_SEED = 0
_MOST_FACES_IN_INPUTS = 512


class Worker:
    """One loaded model and what it is asked to do."""

    def __init__(self, started_at: float) -> None:
        self._started_at = started_at
        self._bare_rss = resident_bytes()
        self._backend: Backend | None = None
        self._cpu_s: float | None = None
        """Processor time at the end of the last timed run."""
        self._sample: Sample | None = None
        """Answers of timed runs, for the audit; there from the first timed run on."""

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command; its answer as plain values. Raises FerEdgeError."""
        commands: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "open": self._open,
            "timed_run": self._timed_run,
            "photos": self._photos,
            "answer": self._answer,
            "profile": self._profile,
            "audit": self._audit,
            "scenario": self._scenario,
            "layers": self._layers,
        }
        return commands[command["do"]](command)

    def _open(self, command: dict[str, Any]) -> dict[str, Any]:
        """Import the runtime, load the file and answer once; seconds of each. ``spawned_at`` is monotonic time."""
        began = time.monotonic()
        from importlib import import_module

        from fer_edge.backends.registry import backend_named

        spec = WorkerSpec(**command["spec"])
        import_module(spec.module)
        entry = backend_named(spec.backend)
        for module in entry.imports:
            import_module(module)
        imported = time.monotonic()
        shape = (spec.batch, spec.image_size, spec.image_size, 1)
        # whoever planned the row has refused what is not trusted
        more: dict[str, Any] = {}
        if spec.description is not None:
            from fer_edge.runtime.foreign import ForeignDescription

            more["description"] = ForeignDescription.from_worker(spec.description)
        backend = entry.load(
            spec.path,
            threads=spec.threads,
            provider=spec.provider,
            precision=spec.precision,
            shape=shape,
            trust=True,
            **more,
        )
        loaded = time.monotonic()
        self._inputs = _varied(_faces(command["faces"]), spec.batch)
        prepared = time.monotonic()
        outputs = run_once(backend, self._inputs[0], time.perf_counter)[1]
        answered = time.monotonic()
        self._check(backend, outputs, spec.batch)
        self._backend, self._spec = backend, spec
        return {
            "start_s": self._started_at - command["spawned_at"],
            "import_s": imported - began,
            "load_s": loaded - imported,
            "first_answer_s": answered - prepared,
            "cuda_node_share": backend.cuda_node_share,
        }

    @staticmethod
    def _check(backend: "Backend", outputs: Any, images: int) -> None:
        """Refuse (ModelError) answers that are no probabilities: they get no number."""
        from fer_edge.runtime.inference import check_outputs

        check_outputs(backend.path, *outputs, images=images)

    def _timed_run(self, command: dict[str, Any]) -> dict[str, Any]:
        """Timings of one timed run, in milliseconds, and the peak of memory over the bare process so far."""
        assert self._backend is not None
        idle_cpu_s = 0.0 if self._cpu_s is None else time.process_time() - self._cpu_s
        length = RunLength(**command["length"])
        if self._sample is None:
            from fer_edge.benchmark.audit import Sample

            self._sample = Sample(self._spec.batch)
        sample = self._sample
        timings = timed_run(
            self._backend,
            self._inputs,
            length,
            time.perf_counter,
            lambda number, outputs: sample.hear(number, outputs.probabilities),
        )
        peak = peak_bytes()
        known = peak is not None and self._bare_rss is not None
        self._settle()
        return {
            "latency_ms": [round(one.latency(self._backend.copies_apart), 5) for one in timings],
            "copies_ms": [round(one.copies, 5) for one in timings] if self._backend.copies_apart else [],
            "peak_memory_bytes": max(0, peak - self._bare_rss) if known else None,  # type: ignore[operator]  # known
            "idle_cpu_s": idle_cpu_s,
        }

    def _photos(self, command: dict[str, Any]) -> dict[str, Any]:
        """From the bytes of JPEG files of one face each: milliseconds of decoding, preparing and running."""
        assert self._backend is not None
        from fer_edge.benchmark.photos import jpeg_bytes
        from fer_edge.runtime.images import decode_image

        photos = jpeg_bytes(_faces(command["faces"]))
        decode_ms, prepare_ms, run_ms = [], [], []
        began = time.perf_counter()
        for number, photo in enumerate(photos * command["repeats"]):
            start = time.perf_counter()
            pixels = decode_image(photo)
            decoded = time.perf_counter()
            timing, _ = run_once(self._backend, pixels[None], time.perf_counter)
            if number >= command["warm_up"]:
                decode_ms.append(1000 * (decoded - start))
                prepare_ms.append(timing.prepare)
                run_ms.append(timing.run + timing.copies)
            if decode_ms and time.perf_counter() - began > command["budget_s"]:
                break
        self._settle()
        return {"decode_ms": decode_ms, "prepare_ms": prepare_ms, "run_ms": run_ms}

    def _answer(self, command: dict[str, Any]) -> dict[str, Any]:
        """Probabilities (N, C) of some of the faces in a file of arrays. Batches keep one shape."""
        assert self._backend is not None
        import numpy as np

        start, size = command["start"], self._spec.batch
        faces = _faces(command["faces"])[start : start + command["count"]]
        rows: list[list[float]] = []
        for start in range(0, len(faces), size):
            batch = faces[start : start + size]
            padded = np.resize(batch, (size, *batch.shape[1:]))  # repeats its faces: some backends have a fixed shape
            rows += self._probabilities(padded)[: len(batch)].tolist()
        return {"probabilities": rows}

    def _probabilities(self, pixels: "NDArray[np.uint8]") -> "NDArray[np.float32]":
        """Of one whole batch, as the accuracy run asks for them: checked."""
        assert self._backend is not None
        outputs = run_once(self._backend, pixels, time.perf_counter)[1]
        self._check(self._backend, outputs, len(pixels))
        probabilities: NDArray[np.float32] = outputs.probabilities
        return probabilities

    def _audit(self, command: dict[str, Any]) -> dict[str, Any]:
        """What audit.py wants to know of the timed runs so far, and of repeating an input for a while."""
        assert self._backend is not None
        from fer_edge.benchmark.audit import largest_difference, repeat_gain

        backend, kept = self._backend, [] if self._sample is None else self._sample.kept
        difference = largest_difference(kept, lambda number: self._probabilities(self._inputs[number]))

        def latency_of(number: int) -> float:
            timing, _ = run_once(backend, self._inputs[number % len(self._inputs)], time.perf_counter)
            return timing.latency(backend.copies_apart)

        gain = repeat_gain(latency_of, command["budget_s"], time.perf_counter)
        self._settle()
        return {"answers": len(kept), "largest_difference": difference, **gain}

    def _profile(self, command: dict[str, Any]) -> dict[str, Any]:
        """What part of the nodes' time the graph's preprocessing takes for one face, where the backend can tell."""
        assert self._backend is not None
        return {"preprocessing_share": self._backend.preprocessing_share(self._inputs[0][:1], command["threads"])}

    def _scenario(self, command: dict[str, Any]) -> dict[str, Any]:
        """The figures of one scenario (scenarios.py)."""
        assert self._backend is not None
        from fer_edge.benchmark.scenario_worker import measure_scenario

        found = measure_scenario(
            self._backend, self._probabilities, _faces(command["faces"]), self._spec.batch, command
        )
        self._settle()
        return found

    def _layers(self, command: dict[str, Any]) -> dict[str, Any]:
        """The time of each node, and latency and energy of runs without counters (layer_worker.py)."""
        from fer_edge.backends.contract import ModelBackend
        from fer_edge.benchmark.layer_worker import measure_layers

        assert isinstance(self._backend, ModelBackend)
        return measure_layers(self._backend, self._inputs, self._spec.threads, command)

    def _settle(self) -> None:
        """Wait until no thread of this process computes: thread pools spin a while in the hope of more work."""
        wait_until_quiet(time.process_time, time.monotonic, time.sleep)
        self._cpu_s = time.process_time()


def wait_until_quiet(
    cpu_clock: Callable[[], float], clock: Callable[[], float], sleep: Callable[[float], None]
) -> bool:
    """Sleep until this process uses next to no processor time; False when it still does after MAX_WAIT_FOR_QUIET_S."""
    deadline = clock() + MAX_WAIT_FOR_QUIET_S
    while clock() < deadline:
        before = cpu_clock()
        sleep(QUIET_POLL_S)
        if cpu_clock() - before < QUIET_SHARE * QUIET_POLL_S:
            return True
    return False


def resident_bytes() -> int | None:
    """Memory that this process holds now; None where the system does not say."""
    return _status_bytes("VmRSS")


def peak_bytes() -> int | None:
    """The most memory that this process has held; None where the system does not say."""
    found = _status_bytes("VmHWM")
    if found is not None or sys.platform == "win32":
        return found
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts it in bytes


def _status_bytes(key: str) -> int | None:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:  # noqa: PTH123  # pathlib loads
            for line in status:
                if line.startswith(f"{key}:"):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass
    return None


def _faces(path: str) -> "NDArray[np.uint8]":
    """Faces uint8 (N, S, S, 1)."""
    import numpy as np

    return np.asarray(np.load(path)[..., np.newaxis])


def _varied(pool: "NDArray[np.uint8]", batch: int) -> "list[NDArray[np.uint8]]":
    """Different batches of faces of the pool, drawn by a fixed seed with replacement, as MLPerf draws them."""
    import numpy as np

    generator = np.random.default_rng(_SEED)
    count = max(2, min(64, _MOST_FACES_IN_INPUTS // batch))
    return [pool[generator.integers(len(pool), size=batch)] for _ in range(count)]


def main() -> None:
    """Obey until the input ends."""
    end_with(int(sys.argv[1]))
    worker = Worker(time.monotonic())
    answers = _private_stdout()
    for line in sys.stdin:
        try:
            answer: dict[str, Any] = {"ok": worker.obey(json.loads(line))}
        except FerEdgeError as error:
            answer = {"error": str(error), "kind": type(error).__name__}
        except Exception as error:  # a backend's library may raise anything; the row is left out with what it said
            reason = " ".join(str(error).split())[-300:]
            answer = {"error": f"{type(error).__name__}: {reason}", "kind": type(error).__name__}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _private_stdout() -> TextIO:
    """A stream to where standard output went; what libraries print goes to standard error from here on."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    main()
