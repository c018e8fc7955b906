"""What changed between two releases of the shipped models: latency, accuracy, classes and faces.

    python benchmarks/release_diff.py --data fer2013-original

The shipped INT8 models as they were at REVISION of this repository and as they are now are
measured under one name by 'benchmark --compare', in onnxruntime with one thread: now against then, then against now
(which has to be exit code 3), and now against now (which has to find nothing). The tables, the changes and what the
command printed last go to benchmarks/results/release/.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "release"
REVISION = "2859620^"
NAMES = ("fer-resnet18-int8", "fer-tiny-int8")
LIKE = ["--batch-sizes", "1", "--threads", "1", "--runtimes", "onnxruntime"]


def main() -> None:
    """Measure, compare, and keep the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    data = str(Path(parser.parse_args().data).resolve())
    RESULTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in NAMES:
            for end in (".onnx", ".json"):
                (folder / "then").mkdir(exist_ok=True)
                (folder / "now").mkdir(exist_ok=True)
                shown = ["git", "show", f"{REVISION}:exported/{name}{end}"]
                (folder / "then" / f"{name}{end}").write_bytes(
                    subprocess.run(shown, cwd=ROOT, check=True, capture_output=True).stdout
                )
                shutil.copy(ROOT / "exported" / f"{name}{end}", folder / "now")
        last = [
            measure(folder, "then", data, "then"),
            measure(folder, "now", data, "now", "--compare", "results/then.json"),
            measure(folder, "then", data, "back", "--compare", "results/now.json"),
            measure(folder, "now", data, "again", "--compare", "results/now.json"),
        ]
        (RESULTS / "exit_codes.txt").write_text("".join(last), encoding="utf-8")
        shutil.copy(folder / "results" / "now-changes.json", RESULTS)
        for kept in ("now.md", "again.md"):
            lines = (folder / "results" / kept).read_text(encoding="utf-8").splitlines(keepends=True)
            text = "".join(line for line in lines if not line.startswith("!["))  # no picture is kept
            text = text.replace(f"{ROOT}/", "").replace(f"{Path(data).parent}/", "")
            (RESULTS / kept).write_text(text, encoding="utf-8")


def measure(folder: Path, models: str, data: str, name: str, *compare: str) -> str:
    """Run the command in ``folder``; how it was called, its exit code and its last line."""
    words = ["benchmark", *(f"{models}/{one}.onnx" for one in NAMES), "--name", name, *compare]
    given = [*words, *LIKE, "--out", "results", "--data", data]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *given], cwd=folder, env=environment, capture_output=True, text=True
    )
    print(done.stdout, done.stderr, sep="\n", flush=True)
    return f"$ fer-edge {' '.join(words)} ...\nexit code {done.returncode}\n{done.stderr.splitlines()[-1]}\n\n"


if __name__ == "__main__":
    main()
