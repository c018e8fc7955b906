"""Kill a training run with SIGKILL at random moments, go on after each, and compare with a run that was left alone.

    python benchmarks/kill_and_resume.py --kills 50 --output benchmarks/results/kill_and_resume.json

Runs that are killed while they train are forks of a process with all imports done (tools/forked_cli.py); the others,
killed from their start on, are fresh interpreters. Exits with 3 unless best and last weights, averaged weights,
optimizer state and history are identical to the bit.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from fer_edge.training.checkpoint import read_checkpoint
from fer_edge.training.hardware import describe_machine

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tools"))
from forked_cli import ForkedCli, run_cli  # noqa: E402  # a script of this repository, found through the line above

SETTINGS = ["--data", "sample:280", "--architecture", "tiny", "--weights", "none", "--batch-size", "16", "--seed", "3"]
SETTINGS += ["--mixup", "0.2", "--precision", "fp32", "--device", "cpu", "--threads", "1", "--save-interval", "0"]
TIMINGS = ("images_per_second", "seconds")
BEGUN = "validation faces;"
"""Part of the line that a run prints when it has read its data and is about to train."""


def command(folder: Path, epochs: int) -> list[str]:
    """What a user would type next: go on where there is a run, begin one where there is none yet."""
    if (folder / "config.json").is_file():
        return ["train", "--resume", str(folder)]
    return ["train", *SETTINGS, "--epochs", str(epochs), "--runs", str(folder.parent), "--name", folder.name]


def kill_after(folder: Path, epochs: int, delay_s: float, *, from_start: bool) -> bool:
    """Start or resume the run and kill it ``delay_s`` after its start or its first training line; False if it ended."""
    process: ForkedCli | subprocess.Popen[str]
    if from_start:
        words = [sys.executable, str(REPOSITORY / "cli.py"), *command(folder, epochs)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    else:
        process = ForkedCli(command(folder, epochs), cwd=Path.cwd())
        for line in process.stderr:
            if BEGUN in line or line.startswith("going on with"):
                break
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"a run failed by itself: {errors}")
    return process.returncode != 0


def to_the_end(folder: Path, epochs: int) -> None:
    """Train without a kill."""
    done = run_cli(command(folder, epochs), cwd=Path.cwd(), timeout=3600)
    if done.returncode:
        raise SystemExit(f"a run failed by itself: {done.stderr}")


def differences(first: object, second: object, path: str = "") -> list[str]:
    """Where two checkpoints differ, other than in times."""
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return [] if torch.equal(first, second) else [path]
    if isinstance(first, dict) and isinstance(second, dict):
        if first.keys() != second.keys():
            return [f"{path}: keys"]
        return [d for key in first if key not in TIMINGS for d in differences(first[key], second[key], f"{path}/{key}")]
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        if len(first) != len(second):
            return [f"{path}: length"]
        return [d for i, pair in enumerate(zip(first, second, strict=True)) for d in differences(*pair, f"{path}/{i}")]
    return [] if first == second else [path]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="fer-edge-kills-"))
    epochs = 4 * arguments.kills  # long enough to be killed that often
    draw = random.Random(arguments.seed)

    to_the_end(folder / "straight", epochs)
    killed, kills, moments = folder / "killed", 0, []
    while kills < arguments.kills:
        from_start = draw.random() < 0.15  # some while it still imports and reads
        delay_s = draw.uniform(0, 2.5) if from_start else draw.uniform(0, 0.2)
        if not kill_after(killed, epochs, delay_s, from_start=from_start):
            raise SystemExit(f"the run ended after {kills} kills; nothing is proven: use more epochs")
        kills += 1
        last = killed / "checkpoints" / "last.pt"
        progress = read_checkpoint(last)["progress"] if last.is_file() else {"epoch": 0, "position": 0}
        moments.append([progress["epoch"], progress["position"]])
    to_the_end(killed, epochs)

    wrong = [
        f"{name}{place}"
        for name in ("best.pt", "last.pt")
        for place in differences(
            *(read_checkpoint(folder / run / "checkpoints" / name) for run in ("straight", "killed"))
        )
    ]
    leftovers = [str(path) for path in folder.rglob("*.part")]
    verdict = "bit-identical" if not wrong else f"DIFFERENT: {', '.join(wrong[:5])}"
    print(f"{kills} kills: final weights {verdict}; {len(leftovers)} leftover files")
    if arguments.output:
        report = {
            "kills": kills,
            "killed_after_epoch_and_step": moments,
            "different": wrong,
            "leftovers": leftovers,
            "epochs": epochs,
            "machine": describe_machine(),
        }
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(report) + "\n")
        print(f"wrote {arguments.output}", file=sys.stderr)
    if wrong or leftovers:
        raise SystemExit(3)


if __name__ == "__main__":
    main()
