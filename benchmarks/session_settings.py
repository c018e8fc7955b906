"""What onnxruntime's session settings change, and what the graph's own preprocessing costs: the measurements behind
fer_edge.runtime.session.session_options.

    python benchmarks/session_settings.py exported/NAME.onnx [MORE.onnx ...] [--threads 1,2]

Every setting is one change to the runtime's defaults and has its own process; the processes take turns, so that drift
hits all alike. Latency is of one 48x48 face. "network alone" is the same graph without its preprocessing, fed with the
faces that this makes. "paced" is a camera's load: 30 images a second, and the processor time that each of them costs,
which is where spinning threads show. Prints a table a model and writes benchmarks/results/session_settings.json.
"""

import argparse
import json
import multiprocessing
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import onnx
import onnxruntime

from fer_edge.benchmark.machine import describe_environment, noise_in
from fer_edge.benchmark.statistics import interleaved_order, median_interval, percentiles, ratio_interval
from fer_edge.benchmark.worker import peak_bytes, resident_bytes, wait_until_quiet
from fer_edge.data.sample import synthetic_faces
from fer_edge.errors import FerEdgeError
from fer_edge.files import write_text
from fer_edge.runtime.model_file import read_model
from fer_edge.runtime.session import session_options

RESULT = Path(__file__).parent / "results" / "session_settings.json"
DEFAULTS, NETWORK_ALONE = "defaults", "network alone"
PREPROCESSING_AIM = 0.05
FACES = "faces"
WARM_UP_RUNS = 3
PACED_IMAGES, PACED_INTERVAL_S = 15, 1 / 30

Levels = onnxruntime.GraphOptimizationLevel
Options = onnxruntime.SessionOptions


def config(key: str, value: str) -> Callable[[Options], None]:
    return lambda options: options.add_session_config_entry(key, value)


def attribute(name: str, value: Any) -> Callable[[Options], None]:
    return lambda options: setattr(options, name, value)


SETTINGS: dict[str, Callable[[Options], None]] = {
    DEFAULTS: lambda options: None,
    NETWORK_ALONE: lambda options: None,
    "optimisation: none": attribute("graph_optimization_level", Levels.ORT_DISABLE_ALL),
    "optimisation: basic": attribute("graph_optimization_level", Levels.ORT_ENABLE_BASIC),
    "optimisation: extended": attribute("graph_optimization_level", Levels.ORT_ENABLE_EXTENDED),
    "spinning: none": config("session.intra_op.allow_spinning", "0"),
    "spinning: on": config("session.force_spinning_stop", "0"),
    "spinning: until the answer": config("session.force_spinning_stop", "1"),
    "no memory arena": attribute("enable_cpu_mem_arena", False),
    "no memory pattern": attribute("enable_mem_pattern", False),
    "no prepacked weights": config("session.disable_prepacking", "1"),
    "denormals are zero": config("session.set_denormal_as_zero", "1"),
    "execution mode: parallel": attribute("execution_mode", onnxruntime.ExecutionMode.ORT_PARALLEL),
}


@dataclass(frozen=True)
class Task:
    model: str
    setting: str
    threads: int
    turn_s: float


def main() -> None:
    options = parse()
    environment = describe_environment()
    for line in noise_in(environment):
        print(line, file=sys.stderr)
    results = [
        measure(path, threads, options.rounds, options.turn_s) for path in options.models for threads in options.threads
    ]
    for one in results:
        show(one)
    report = {"what": __doc__.split("\n\n")[0].replace("\n", " "), "environment": environment, "results": results}
    write_text(options.output, compact_json(report) + "\n")
    print(f"wrote {options.output}", file=sys.stderr)


def compact_json(report: Any) -> str:
    """Indented, but each list of numbers on one line: there are some sixty thousand samples."""
    text = json.dumps(report, indent=1)
    return re.sub(r"\[[-0-9.eE,\s]+\]", lambda found: re.sub(r"\s+", "", found[0]), text)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--threads", type=lambda text: [int(part) for part in text.split(",")], default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--turn-s", type=float, default=0.15)
    parser.add_argument("--output", type=Path, default=RESULT)
    return parser.parse_args()


def measure(path: Path, threads: int, rounds: int, turn_s: float) -> dict[str, Any]:
    """All settings on one model, in turns."""
    context = multiprocessing.get_context("spawn")
    workers: dict[str, tuple[Any, Any]] = {}
    for name in SETTINGS:
        here, there = context.Pipe()
        process = context.Process(target=work, args=(there, Task(str(path), name, threads, turn_s)), daemon=True)
        process.start()
        workers[name] = (process, here)
        here.recv()  # loaded: one after the other, so that none loads while another does
    names = list(workers)
    found: dict[str, dict[str, Any]] = {name: {"latency_ms": []} for name in names}
    for order in interleaved_order(len(names), rounds):
        for name in (names[place] for place in order):
            found[name]["latency_ms"].append(ask(workers[name][1], "turn"))
    for name, (process, here) in workers.items():
        found[name].update(ask(here, "paced"))
        here.send("stop")
        process.join(10)
    return {
        "model": path.name,
        "precision": read_model(path).metadata.precision,
        "threads": threads,
        "preprocessing_share": share(found[DEFAULTS]["latency_ms"], found[NETWORK_ALONE]["latency_ms"]),
        "settings": {name: figures(one, found[DEFAULTS]["latency_ms"]) for name, one in found.items()},
    }


def ask(connection: Any, what: str) -> Any:
    connection.send(what)
    return connection.recv()


def share(whole: list[list[float]], network: list[list[float]]) -> dict[str, float]:
    """The part (0-1) of the whole graph's latency that is not the network's, with its 95% interval."""
    ratio = percentiles(network)[50] / percentiles(whole)[50]
    interval = ratio_interval(network, whole)
    return {
        "share": round(1 - ratio, 4),
        "low": round(1 - interval.high, 4),
        "high": round(1 - interval.low, 4),
        "aim_below": PREPROCESSING_AIM,
    }


def figures(one: dict[str, Any], defaults: list[list[float]]) -> dict[str, Any]:
    interval, ratio = median_interval(one["latency_ms"]), ratio_interval(one["latency_ms"], defaults)
    return {
        "p50_ms": round(percentiles(one["latency_ms"])[50], 4),
        "interval95_ms": [round(interval.low, 4), round(interval.high, 4)],
        "over_defaults_interval95": [round(ratio.low, 3), round(ratio.high, 3)],
        **{key: value for key, value in one.items() if key != "latency_ms"},
        "samples_ms": [[round(value, 4) for value in turn] for turn in one["latency_ms"]],
    }


def work(connection: Connection, task: Task) -> None:
    """One setting's process."""
    bare = resident_bytes() or 0
    options = session_options(task.threads)
    SETTINGS[task.setting](options)
    data = read_model(Path(task.model)).data
    faces = synthetic_faces(range(1)).faces[..., np.newaxis]
    feed: dict[str, Any] = {"image": faces}
    if task.setting == NETWORK_ALONE:
        data, feed = without_preprocessing(data, faces)
    started = time.perf_counter()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    load_ms = 1000 * (time.perf_counter() - started)
    session.run(None, feed)
    connection.send("loaded")
    while (asked := connection.recv()) != "stop":
        if asked == "turn":
            connection.send(turn(session, feed, task.turn_s))
        else:
            memory = (peak_bytes() or 0) - bare
            connection.send({"load_ms": round(load_ms, 1), "peak_memory_bytes": memory, **paced(session, feed)})


def turn(session: onnxruntime.InferenceSession, feed: dict[str, Any], seconds: float) -> list[float]:
    for _ in range(WARM_UP_RUNS):
        session.run(None, feed)
    times_ms: list[float] = []
    deadline = time.perf_counter() + seconds
    while len(times_ms) < 5 or time.perf_counter() < deadline:
        started = time.perf_counter()
        session.run(None, feed)
        times_ms.append(1000 * (time.perf_counter() - started))
    wait_until_quiet(time.process_time, time.monotonic, time.sleep)
    return times_ms


def paced(session: onnxruntime.InferenceSession, feed: dict[str, Any]) -> dict[str, float]:
    """A camera's load: latency, and processor time an image with all threads of the process."""
    times_ms = []
    wait_until_quiet(time.process_time, time.monotonic, time.sleep)
    cpu_before = time.process_time()
    for _ in range(PACED_IMAGES):
        started = time.perf_counter()
        session.run(None, feed)
        times_ms.append(1000 * (time.perf_counter() - started))
        time.sleep(max(0.0, PACED_INTERVAL_S - times_ms[-1] / 1000))
    cpu_ms = 1000 * (time.process_time() - cpu_before) / PACED_IMAGES
    return {"paced_p50_ms": round(statistics.median(times_ms), 4), "paced_cpu_ms_an_image": round(cpu_ms, 3)}


def without_preprocessing(data: bytes, pixels: np.ndarray) -> tuple[bytes, dict[str, np.ndarray]]:
    """The network inside a model of pixels, and the faces that the part before it makes of ``pixels``."""
    model = onnx.load_from_string(data)
    last = next(place for place, node in enumerate(model.graph.node) if FACES in node.output)
    size = read_size(model)
    front, back = onnx.ModelProto(), onnx.ModelProto()
    faces = onnx.helper.make_tensor_value_info(FACES, onnx.TensorProto.FLOAT, ["batch", 1, size, size])
    for part, nodes in ((front, slice(0, last + 1)), (back, slice(last + 1, None))):
        part.CopyFrom(model)
        del part.graph.node[:]
        part.graph.node.extend(model.graph.node[nodes])
    del front.graph.output[:]
    front.graph.output.append(faces)
    del back.graph.input[:]
    back.graph.input.append(faces)
    session = onnxruntime.InferenceSession(
        front.SerializeToString(), session_options(1), providers=["CPUExecutionProvider"]
    )
    return back.SerializeToString(), {FACES: session.run([FACES], {"image": pixels})[0]}


def read_size(model: onnx.ModelProto) -> int:
    card = next(entry.value for entry in model.metadata_props if entry.key == "fer_edge.card")
    return int(json.loads(card)["image_size"])


def show(one: dict[str, Any]) -> None:
    part = one["preprocessing_share"]
    print(f"\n{one['model']} ({one['precision']}), {one['threads']} thread(s)")
    print(f"{'setting':<28}{'p50 ms':>8}{'over defaults':>15}{'load ms':>9}{'MB':>6}{'paced ms':>10}{'CPU ms':>8}")
    for name, values in one["settings"].items():
        low, high = values["over_defaults_interval95"]
        print(
            f"{name:<28}{values['p50_ms']:>8.3f}{f'{low:.2f}-{high:.2f}':>15}{values['load_ms']:>9.0f}"
            f"{values['peak_memory_bytes'] / 1e6:>6.0f}{values['paced_p50_ms']:>10.3f}"
            f"{values['paced_cpu_ms_an_image']:>8.2f}"
        )
    print(f"preprocessing: {part['share']:.1%} of the latency ({part['low']:.1%} to {part['high']:.1%}; aim: below 5%)")


if __name__ == "__main__":
    try:
        main()
    except FerEdgeError as error:
        raise SystemExit(f"error: {error}") from None
