"""Every format of the shipped models: what ``export --all`` says of them, and the table of docs/deployment/formats.md.

    python benchmarks/formats.py --data fer2013-original [--work FOLDER] [--untimed | --reports] [NAME ...]

NAME is that of exported/NAME.pt. Writes results/formats-NAME.json, and results/formats.md from all that are there. Of
what is not installed the table says so. Files and rows are kept in ``--work``, from which it goes on where it was
stopped, so that it can be run in pieces; ``--untimed`` ends before the last step, which times all files against each
other and wants a quiet machine. ``--reports`` instead verifies the files in ``--work`` that benchmarks/parity.sh does
not, and writes results/parity-FORMAT-PRECISION.md where that is not the file's already. All of it runs in one
environment: .[litert-export], and on top of it the packages executorch, openvino, ncnn, pnnx and coremltools, whatever
pip says of typing_extensions.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from fer_edge.export.every_format import (
    WRITTEN,
    FormatRow,
    beside_onnx,
    every_kind,
    export_row,
    searched_once,
    timed,
)
from fer_edge.export.request import ExportRequest
from fer_edge.files import write_text
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


def measure(name: str, data: str, work: Path, is_timed: bool) -> None:
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    request = ExportRequest(ROOT / "exported" / f"{name}.pt", folder=folder, data=data)
    search = searched_once()
    rows, about = [], {}
    for model_format, precision in every_kind():
        kept = folder / f"row-{model_format.name}-{precision}"
        if not kept.exists():
            row, export = export_row(request, model_format, precision, search, note)
            accuracy = None if export is None else export.parity.accuracy
            judged = {} if accuracy is None else {"faces": accuracy.faces, "source": accuracy.source}
            write_text(kept, json.dumps({"row": row.to_dict(), "named": row.named, "judged": judged}))
        stated = json.loads(kept.read_text(encoding="utf-8"))
        about |= stated["judged"]
        values = {key: value for key, value in stated["row"].items() if key != "format"}
        row = FormatRow(**values)
        rows.append(replace(row, files=tuple(folder / one for one in row.files), named=tuple(stated["named"])))
    if not is_timed:
        return
    rows = timed(beside_onnx(rows), note)
    exit_code = 0 if all(row.state == WRITTEN for row in rows) else 3
    found = {"model": name, "machine": describe_machine(), "exit_code": exit_code}
    found |= {"rows": [row.to_dict() for row in rows], **about}
    write_text(RESULTS / f"formats-{name}.json", json.dumps(found, indent=1) + "\n")


def note(line: str) -> None:
    print(line, file=sys.stderr)


def verify(name: str, data: str, work: Path) -> None:
    """Reports of the files of one model that are there."""
    for model_format, precision in every_kind():
        suffix = model_format.suffixes[0]
        precision_part = "" if precision == "fp32" else f"-{precision}"
        model = work / name / f"{name}{precision_part}-{model_format.name_part or model_format.name}{suffix}"
        report = RESULTS / f"parity-{model_format.name}-{precision}.md"
        if model_format.name in OF_PARITY_SH or not model.exists():
            continue
        if report.exists() and report.stat().st_mtime > model.stat().st_mtime:
            continue
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
    parser.add_argument("--work", type=Path)
    parser.add_argument("--untimed", action="store_true")
    parser.add_argument("--reports", action="store_true")
    options = parser.parse_args()
    if options.data is not None:
        with tempfile.TemporaryDirectory() as temporary:
            work = options.work or Path(temporary)
            for name in options.names:
                if options.reports:
                    verify(name, options.data, work)
                else:
                    measure(name, options.data, work, is_timed=not options.untimed)
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
