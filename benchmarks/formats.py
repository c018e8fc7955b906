"""Every format of the shipped models: what ``export --all`` says of them, and the table of docs/deployment/formats.md.

    python benchmarks/formats.py --data fer2013-original [--reports] [NAME ...]

NAME is that of exported/NAME.pt. Writes results/formats-NAME.json, and results/formats.md from all that are there. Of
what is not installed the table says so. ``--reports`` also verifies each file that benchmarks/parity.sh does not, and
writes results/parity-FORMAT-PRECISION.md. All of it runs in one environment: .[dev,litert-export], and on top of it the
packages executorch, ncnn, pnnx and coremltools, whatever pip says of typing_extensions.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from fer_edge.runtime.machine import describe_machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
NAMES = ("fer-resnet18", "fer-tiny", "ferplus-resnet18")
HEAD = (
    "| format | precision | MB | probability differs by | accuracy | labels changed | from ONNX | time | runs by |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
)


OF_PARITY_SH = ("onnx", "ort", "pt2", "torchscript")
"""Formats whose reports benchmarks/parity.sh writes."""


def measure(name: str, data: str, with_reports: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "export",
            "--checkpoint",
            f"exported/{name}.pt",
            "--all",
            "--data",
            data,
            "--folder",
            folder,
            "--json",
        ]
        done = subprocess.run(
            [sys.executable, "cli.py", *command], cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8", check=False
        )
        found = json.loads(done.stdout)
        found = {"model": name, "machine": describe_machine(), "exit_code": done.returncode, **found}
        found["published"] = [Path(path).name for path in found["published"]]
        figures = json.dumps(found, indent=1) + "\n"
        (RESULTS / f"formats-{name}.json").write_text(figures, encoding="utf-8")  # before the reports: they take long
        for row in found["rows"] if with_reports else ():
            if row["state"] == "written" and row["format"] not in OF_PARITY_SH:
                verify(Path(folder) / row["files"][0], name, data, f"{row['format']}-{row['precision']}")


def verify(model: Path, name: str, data: str, kind: str) -> None:
    report = RESULTS / f"parity-{kind}.md"
    report.unlink(missing_ok=True)  # no command replaces a file that it did not write
    given = [str(model), "--checkpoint", f"exported/{name}.pt", "--data", data, "--markdown", str(report)]
    subprocess.run([sys.executable, "cli.py", "verify", *given], cwd=ROOT, check=True)


def table(found: dict[str, Any]) -> str:
    lines = [HEAD]
    left_out = []
    for row in found["rows"]:
        if row["state"] != "written":
            left_out.append(f"* {row['format']} {row['precision']}: {row['state']}: {row['reason']}")
            continue
        cells = (
            f"`{row['format']}`",
            row["precision"],
            f"{row['num_bytes'] / 1e6:.1f}",
            f"{row['max_probability_difference']:.1g}",
            f"{row['accuracy']:.2%}",
            f"{row['labels_changed']:.2%}",
            f"{row['labels_changed_from_onnx']:.2%}",
            "–" if row["relative_time"] is None else f"{row['relative_time']:.2f}",
            row["on_device"],
        )
        lines.append(f"| {' | '.join(cells)} |")
    heading = f"## {found['model']}\n\n{found['faces']} faces, validation of {found['source']}; {found['machine']}."
    return "\n\n".join([heading, "\n".join(lines), *(["\n".join(left_out)] if left_out else [])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--data")
    parser.add_argument("--reports", action="store_true")
    options = parser.parse_args()
    if options.data is not None:
        for name in options.names:
            measure(name, options.data, options.reports)
    there = [RESULTS / f"formats-{name}.json" for name in NAMES]
    tables = [table(json.loads(path.read_text(encoding="utf-8"))) for path in there if path.exists()]
    text = (
        "# Every format of the shipped models\n\n"
        "Written by `benchmarks/formats.py`. *Differs by*: the largest difference of a probability from the "
        "checkpoint's, of any image that judges it. *Labels changed*: faces that are named otherwise than by the "
        "checkpoint, and than by the ONNX file of the same precision. *Time*: one face on one thread, over that of the "
        "fp32 ONNX file, in turns in one run.\n\n" + "\n\n".join(tables) + "\n"
    )
    (RESULTS / "formats.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
