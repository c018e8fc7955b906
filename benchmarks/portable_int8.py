"""What the portable INT8 file costs against one for VNNI alone: accuracy, and time of one face in turns.

    python benchmarks/portable_int8.py --data /tmp/fer2013-original [NAME ...]

For each network exported/NAME.pt the file for VNNI is exported anew (--target x86-vnni); exported/NAME-int8.onnx is the
portable one. Where this processor saturates, the file for VNNI is run as plain onnxruntime runs it, and with products
added in full precision, as this package runs it there; what it would answer with VNNI is that in full precision: the
same products are added. One thread, one face; turns alternate. Writes benchmarks/results/portable_int8-vnni.json, or
portable_int8-avx2.json where this processor saturates.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from fer_edge.data.load import load_faces
from fer_edge.runtime.graph_session import graph_session
from fer_edge.runtime.machine import describe_machine
from fer_edge.runtime.model_file import read_model
from fer_edge.runtime.saturation import saturates

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
BATCH = 64


def labels_of(session: onnxruntime.InferenceSession, faces: np.ndarray) -> np.ndarray:
    """Class indices int64 (N,) of faces uint8 (N, S, S)."""
    name = session.get_inputs()[0].name
    logits = [
        session.run(["logits"], {name: faces[at : at + BATCH, ..., None]})[0] for at in range(0, len(faces), BATCH)
    ]
    return np.concatenate(logits).argmax(axis=1)


def times_ms(sessions: dict[str, onnxruntime.InferenceSession], face: np.ndarray, turns: int) -> dict[str, list[float]]:
    """Milliseconds of one face by each session, in turns whose order is reversed every time."""
    taken: dict[str, list[float]] = {name: [] for name in sessions}
    for turn in range(turns):
        for name in list(sessions)[:: -1 if turn % 2 else 1]:
            session = sessions[name]
            feed = {session.get_inputs()[0].name: face[None, ..., None]}
            session.run(None, feed)
            began = time.perf_counter()
            for _ in range(10):
                session.run(None, feed)
            taken[name].append((time.perf_counter() - began) * 100)
    return taken


def compare(name: str, data: str, turns: int, folder: Path) -> dict[str, Any]:
    """The figures of one network."""
    command = [sys.executable, str(ROOT / "cli.py"), "export", "--checkpoint", str(ROOT / "exported" / f"{name}.pt")]
    options = ["--name", f"{name}-vnni", "--precision", "int8", "--target", "x86-vnni", "--data", data]
    subprocess.run([*command, *options, "--folder", str(folder)], check=True)
    files = {
        "portable": read_model(ROOT / "exported" / f"{name}-int8.onnx"),
        "vnni": read_model(folder / f"{name}-vnni.onnx"),
    }
    sessions = {
        "portable": graph_session(files["portable"].data, threads=1),
        "vnni, full precision": graph_session(files["vnni"].data, threads=1, full_precision=True),
        "vnni": graph_session(files["vnni"].data, threads=1),
    }
    split = load_faces(data).split("validation")
    answers = {key: labels_of(session, split.faces) for key, session in sessions.items()}
    taken = times_ms(sessions, split.faces[0], turns)
    medians = {key: statistics.median(values) for key, values in taken.items()}
    ratios = {
        key: sorted(other / own for other, own in zip(taken[key], taken["portable"], strict=True))
        for key in taken
        if key != "portable"
    }
    return {
        "sha256": {key: file.sha256 for key, file in files.items()},
        "faces": len(split.faces),
        "accuracy": {key: float(np.mean(found == split.labels)) for key, found in answers.items()},
        "labels_unlike_full_precision": int(np.sum(answers["vnni"] != answers["vnni, full precision"])),
        "ms": medians,
        "times_the_portable": {
            key: {"median": statistics.median(all_), "p10": all_[len(all_) // 10], "p90": all_[-len(all_) // 10]}
            for key, all_ in ratios.items()
        },
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["fer-tiny", "fer-resnet18"])
    parser.add_argument("--data", required=True)
    parser.add_argument("--turns", type=int, default=100)
    given = parser.parse_args()
    result: dict[str, Any] = {
        "machine": describe_machine(),
        "onnxruntime": onnxruntime.__version__,
        "this_processor_saturates": saturates(),
        "networks": {},
    }
    for name in given.names:
        with tempfile.TemporaryDirectory() as folder:
            result["networks"][name] = compare(name, given.data, given.turns, Path(folder))
    text = json.dumps(result, indent=1) + "\n"
    kind = "avx2" if result["this_processor_saturates"] else "vnni"
    (RESULTS / f"portable_int8-{kind}.json").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
