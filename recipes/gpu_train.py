"""Train presets, each in a process of its own and all at once, or go on where an earlier call was stopped.

    python recipes/gpu_train.py DATA RUNS SECONDS PRESET:NAME:SEED:EPOCHS[:STRENGTH] ...

A run that is finished is not touched. After SECONDS the processes are told to stop, and save.
"""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from fer_edge.errors import FerEdgeError
from fer_edge.training.presets import preset_named

SECONDS_TO_SAVE = 30
THREADS = 4
DONE = "done"


def train_one(data: str, runs: Path, job: str) -> None:
    """Train or resume one run to its end."""
    from fer_edge.training.preparation import DataRequest
    from fer_edge.training.run_folder import RunFolder
    from fer_edge.training.runs import resume, train

    preset, name, seed, epochs, *strength = job.split(":")
    folder = runs / name
    if RunFolder(folder).has_begun:
        resume(folder, source=data)
    else:
        config = preset_named(preset, runs)
        augment = config.augment.scaled(float(strength[0])) if strength else config.augment
        config = replace(config, seed=int(seed), epochs=int(epochs), threads=THREADS, augment=augment)
        train(config, DataRequest(data), folder)
    (folder / DONE).touch()


def main() -> int:
    """0 where every run is finished."""
    if sys.argv[1] == "one":
        try:
            train_one(sys.argv[2], Path(sys.argv[3]), sys.argv[4])
        except FerEdgeError as error:
            print(error, file=sys.stderr)
            return error.exit_code
        return 0
    data, runs, seconds, jobs = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
    runs.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + seconds
    processes = []
    for job in jobs:
        name = job.split(":")[1]
        if (runs / name / DONE).exists():
            print(f"{name}: finished before")
            continue
        log = (runs / f"{name}.log").open("a")
        command = [sys.executable, __file__, "one", data, str(runs), job]
        processes.append((name, subprocess.Popen(command, stdout=log, stderr=log)))
    for _, process in processes:
        try:
            process.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
    code = 0
    for name, process in processes:
        try:
            process.wait(SECONDS_TO_SAVE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        print(f"{name}: exit code {process.returncode}; {' '.join(_last_lines(runs / f'{name}.log', 2))}")
        code = code or process.returncode
    return code


def _last_lines(path: Path, number: int) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()[-number:]


if __name__ == "__main__":
    sys.exit(main())
