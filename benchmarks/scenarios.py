"""The shipped models as they will be used: MLPerf's scenarios, from JPEG and camera photos, and minutes on end.

    python benchmarks/scenarios.py int8
    python benchmarks/scenarios.py fp32
    python benchmarks/scenarios.py sustained

Runs 'benchmark --scenario' on fer-tiny and fer-resnet18 in INT8, and on fer-resnet18 in fp32, in onnxruntime with one
thread; less than nine minutes each, on a machine that does nothing else. The files go to
benchmarks/results/scenarios/int8/, fp32/ and sustained/.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "scenarios"
SHIPPED = ("fer-tiny-int8", "fer-resnet18-int8")
ALL = ["--scenario", "single-stream,multi-stream,server,offline"]
PARTS = {"int8": ALL, "fp32": ALL, "sustained": ["--scenario", "sustained", "--minutes", "1.75"]}


def main() -> None:
    """Run the command and keep its files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--note", help="what a reader has to know of the machine, for the files")
    given = parser.parse_args()
    part = given.part
    with tempfile.TemporaryDirectory() as folder:
        models = [f"{name}.onnx" for name in SHIPPED]
        for name in SHIPPED:
            for end in (".onnx", ".json"):
                shutil.copy(ROOT / "exported" / f"{name}{end}", folder)
        if part == "fp32":
            run("export", "--checkpoint", str(ROOT / "exported" / "fer-resnet18.pt"), "--folder", ".", folder=folder)
            models = ["fer-resnet18.onnx"]
        run("benchmark", *models, *PARTS[part], "--threads", "1", "--runtimes", "onnxruntime", folder=folder)
        (RESULTS / part).mkdir(parents=True, exist_ok=True)
        for path in Path(folder, "benchmark-results").glob("scenarios*"):
            shutil.copy(path, RESULTS / part)
        if given.note:
            table = RESULTS / part / "scenarios.md"
            table.write_text(f"{table.read_text(encoding='utf-8')}\n{given.note}\n", encoding="utf-8")


def run(*words: str, folder: str) -> None:
    """The command line, in ``folder``."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(ROOT / "cli.py"), *words], cwd=folder, env=environment, check=True)


if __name__ == "__main__":
    main()
