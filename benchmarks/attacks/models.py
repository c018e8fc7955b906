"""Give hostile models, each with a right checksum, to the commands that open one, and count what happens.

    python benchmarks/attacks/models.py --output benchmarks/results/attacks/models.json

Writes a Markdown table beside the JSON. Exits with 3 where a command ended in a traceback, a signal or not at all, or
printed a control character.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from hostile_graphs import hostile_files
from PIL import Image

from fer_edge.training.hardware import describe_machine

REPOSITORY = Path(__file__).resolve().parents[2]
REFUSED, ANSWERED = "refused in one line", "answered"
TRACEBACK, KILLED, HANG, CODES = "traceback", "killed", "hang", "control characters"
OUTCOMES = (REFUSED, ANSWERED, TRACEBACK, KILLED, HANG, CODES)
HANG_S = 60
MEMORY_BYTES = 8 * 2**30
"""Of address space: what asks for more fails rather than take the machine down."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=REPOSITORY / "tests" / "fixtures" / "tiny.onnx")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    began, runs = time.monotonic(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        face = folder / "face.png"
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)).save(face)
        model = folder / "hostile.onnx"
        commands = {
            "info": ["info", model],
            "predict": ["predict", face, face, "--model", model, "--csv"],
            "golden": ["golden", model, "--out", folder / "kit"],
        }
        for words, data in hostile_files(options.model):
            model.write_bytes(data)
            for command, arguments in commands.items():
                outcome, said, seconds = run(arguments)
                runs.append({"file": words, "command": command, "outcome": outcome, "s": seconds, "said": said})
                print(f"{words}: {command}: {outcome} in {seconds} s: {said}", flush=True)
    report = {"machine": describe_machine(), "seconds": round(time.monotonic() - began), "runs": runs}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    options.output.with_suffix(".md").write_text(to_markdown(report))
    if any(run["outcome"] not in (REFUSED, ANSWERED) for run in runs):
        raise SystemExit(3)


def run(arguments: list[object]) -> tuple[str, str, float]:
    """What became of one command, its last words, and its seconds."""
    command = [sys.executable, str(REPOSITORY / "cli.py"), *map(str, arguments)]
    began = time.monotonic()
    limit = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))}
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200"}
    try:
        done = subprocess.run(command, capture_output=True, timeout=HANG_S, env=environment, check=False, **limit)
    except subprocess.TimeoutExpired:
        return HANG, "", float(HANG_S)
    seconds = round(time.monotonic() - began, 1)
    stdout, stderr = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
    lines = stderr.strip().splitlines()
    said = lines[-1].replace(str(arguments[-1]), "")[:160] if lines else ""
    if _CONTROL.search(stdout + stderr):
        return CODES, said, seconds
    if "Traceback" in stderr:
        return TRACEBACK, said, seconds
    if done.returncode < 0:
        return KILLED, f"signal {-done.returncode}", seconds
    return (ANSWERED if done.returncode == 0 else REFUSED), said, seconds


def to_markdown(report: dict) -> str:
    """How many commands ended how, and the slowest of them."""
    counts = Counter(run["outcome"] for run in report["runs"])
    files = len({run["file"] for run in report["runs"]})
    lines = [
        "# Hostile models, and what became of the commands that were given them",
        "",
        f"`benchmarks/attacks/models.py` on {report['machine']}: {files} files, {report['seconds']} s. Slowest answer: "
        f"{max(run['s'] for run in report['runs'])} s.",
        "",
        "| outcome | commands |",
        "| --- | ---: |",
        *(f"| {outcome} | {counts[outcome]} |" for outcome in OUTCOMES),
        "",
        "| file | " + " | ".join(dict.fromkeys(run["command"] for run in report["runs"])) + " |",
        "| --- | --- | --- | --- |",
    ]
    for words in dict.fromkeys(run["file"] for run in report["runs"]):
        cells = [f"{run['outcome']}, {run['s']} s" for run in report["runs"] if run["file"] == words]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
