"""Every format of the shipped models: what ``export --all`` says of them, and the table of docs/deployment/formats.md.

    python benchmarks/formats.py --data FACES [--work FOLDER] [--untimed | --reports | --only KINDS] [NAME ...]

NAME is that of exported/NAME.pt. Writes results/formats-NAME.json, and results/formats.md from all that are there. Of
what is not installed the table says so. Files and rows are kept in ``--work``, from which it goes on where it was
stopped, so that it can be run in pieces; ``--untimed`` leaves out the last step, which times all files against each
other and wants a quiet machine: rows keep the times that results/ has of them from the same kind of machine. The parity
and accuracy of each file are in results/formats-NAME-parity.md. ``--only coreml-int8,onnx-int8`` measures these,
untimed, and keeps all other rows of results/ as they are.

``--reports`` instead verifies the files in ``--work`` that benchmarks/parity.sh does not, and writes
results/parity-FORMAT-PRECISION.md where that is not the file's already. All of it runs in one environment:
.[litert-export], and on top of it the packages executorch, openvino, ncnn, pnnx and coremltools, whatever pip says of
typing_extensions.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.export import exporter
from fer_edge.export.every_format import (
    WRITTEN,
    FormatRow,
    beside_onnx,
    every_kind,
    export_row,
    searched_once,
    timed,
)
from fer_edge.export.graph.reference import PixelsToProbabilities
from fer_edge.export.parity.report import parity_summary
from fer_edge.export.request import ExportRequest
from fer_edge.files import write_text
from fer_edge.runtime.machine import describe_machine
from fer_edge.training.checkpoint import CheckpointInfo

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
NAMES = ("fer-resnet18", "fer-tiny", "ferplus-resnet18")
HEAD = (
    "| format | precision | MB | probability differs by | accuracy | labels changed | from ONNX | time | runs by |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
)
Load = Callable[[Path], tuple[PixelsToProbabilities, CheckpointInfo]]
OF_PARITY_SH = ("onnx", "ort", "pt2", "torchscript")
"""Formats whose reports benchmarks/parity.sh writes."""


def measure(name: str, data: str, work: Path, is_timed: bool, only: Collection[str]) -> None:
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    request = ExportRequest(ROOT / "exported" / f"{name}.pt", folder=folder, data=data)
    search = searched_once()
    rows: list[FormatRow] = []
    about: dict[str, Any] = {}
    reports: list[str] = []
    kinds = [kind for kind in every_kind() if not only or f"{kind[0].name}-{kind[1]}" in only]
    for model_format, precision in kinds:
        kept = folder / f"row-{model_format.name}-{precision}"
        if not kept.exists():
            row, export = export_row(request, model_format, precision, search, note)
            accuracy = None if export is None else export.parity.accuracy
            judged = {} if accuracy is None else {"faces": accuracy.faces, "source": accuracy.source}
            report = "" if export is None else parity_summary(export.parity)
            write_text(kept, json.dumps({"row": row.to_dict(), "named": row.named, "judged": judged, "report": report}))
        stated = json.loads(kept.read_text(encoding="utf-8"))
        about |= stated["judged"]
        reports.append(stated.get("report", ""))
        values = {key: value for key, value in stated["row"].items() if key != "format"}
        row = FormatRow(**values)
        rows.append(replace(row, files=tuple(folder / one for one in row.files), named=tuple(stated["named"])))
    rows = beside_onnx(rows)
    target = RESULTS / f"formats-{name}.json"
    rows = timed(rows, note) if is_timed and not only else with_times_of(rows, target)
    if only:
        rows = with_others_of(rows, target)
    exit_code = 0 if all(row.state == WRITTEN for row in rows) else 3
    found = {"model": name, "machine": describe_machine(), "exit_code": exit_code}
    found |= {"rows": [row.to_dict() for row in rows], **about}
    write_text(target, json.dumps(found, indent=1) + "\n")
    if only:
        return
    fenced = "\n\n".join(f"```\n{report}\n```" for report in reports if report)
    by = f"Written by `benchmarks/formats.py` on {describe_machine()}."
    heading = f"# Parity and accuracy of {name} in every format\n\n{by}"
    write_text(RESULTS / f"formats-{name}-parity.md", f"{heading}\n\n{fenced}\n")


def remembered(load: Load) -> Load:
    """``load``, whose checkpoints answer no image twice: every format is compared with the same answers."""
    found: dict[bytes, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def loaded(checkpoint: Path) -> tuple[PixelsToProbabilities, CheckpointInfo]:
        reference, info = load(checkpoint)
        answer = reference.answer

        def once(image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            key = hashlib.sha256(f"{checkpoint} {image.shape}".encode() + image.tobytes()).digest()
            if key not in found:
                found[key] = answer(image)
            return found[key]

        reference.answer = once  # type: ignore[method-assign]
        return reference, info

    return loaded


def with_times_of(rows: list[FormatRow], path: Path) -> list[FormatRow]:
    """``rows`` with the times of an earlier run on such a machine; without where there was none."""
    earlier: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"machine": ""}
    of_this_machine = earlier["rows"] if earlier["machine"] == describe_machine() else []
    times = {(row["format"], row["precision"]): row["relative_time"] for row in of_this_machine}
    return [replace(row, relative_time=times.get((row.file_format, row.precision))) for row in rows]


def note(line: str) -> None:
    print(line, file=sys.stderr)


def with_others_of(rows: list[FormatRow], path: Path) -> list[FormatRow]:
    """``rows`` in place of those of an earlier run on such a machine."""
    earlier = json.loads(path.read_text(encoding="utf-8"))
    if earlier["machine"] != describe_machine():
        raise SystemExit(f"{path}: expected rows of {describe_machine()}, found those of {earlier['machine']}")
    measured = {(row.file_format, row.precision): row for row in rows}
    kept = [
        FormatRow(
            **{key: value for key, value in row.items() if key != "format"} | {"files": tuple(map(Path, row["files"]))}
        )
        for row in earlier["rows"]
    ]
    all_rows = {(row.file_format, row.precision): row for row in kept} | measured
    return [all_rows[kind] for kind in ((one.name, precision) for one, precision in every_kind()) if kind in all_rows]


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
            "–" if row["labels_changed_from_onnx"] is None else f"{row['labels_changed_from_onnx']:.2%}",
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
    parser.add_argument("--only", type=lambda text: text.split(","), default=[])
    options = parser.parse_args()
    exporter.load_reference = remembered(exporter.load_reference)  # type: ignore[attr-defined,assignment]
    if options.data is not None:
        with tempfile.TemporaryDirectory() as temporary:
            work = options.work or Path(temporary)
            for name in options.names:
                if options.reports:
                    verify(name, options.data, work)
                else:
                    measure(name, options.data, work, not options.untimed, options.only)
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
