"""Seconds from a command to its answer, each in a fresh process: ``--help`` and the imports that other apps pay for.

python benchmarks/startup.py --output benchmarks/results/startup.json
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "python cli.py --help": ["cli.py", "--help"],
    "python cli.py train --help": ["cli.py", "train", "--help"],
    "import fer_edge": ["-c", "import fer_edge"],
    "import fer_edge.runtime.classifier": ["-c", "import fer_edge.runtime.classifier"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    times_s: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(arguments.runs + 1):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *command], cwd=REPOSITORY, check=True, capture_output=True)
            if number:  # the first round warms the file cache
                times_s[name].append(time.perf_counter() - started)
    medians = {name: round(statistics.median(times), 3) for name, times in times_s.items()}
    for name, median in medians.items():
        print(f"{name:40} {median:.3f} s")
    if arguments.output:
        machine = f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}"
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps({"machine": machine, "median_s": medians}, indent=1) + "\n")
        print(f"wrote {arguments.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
