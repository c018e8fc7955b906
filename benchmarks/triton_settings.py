"""What ``fer-edge triton --measure`` finds for the shipped models: batches, instances and threads, in one table.

python benchmarks/triton_settings.py
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from fer_edge.files import write_text
from fer_edge.runtime.shipped import shipped_by_name
from fer_edge.serving.triton_settings import NEAR, TritonSettings

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def measured(name: str, folder: Path) -> TritonSettings:
    """By the command itself, as a user runs it."""
    command = [sys.executable, str(ROOT / "cli.py"), "triton", name, "--out", str(folder), "--measure"]
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
    (found,) = folder.glob(f"{name}*/1/measurement.json")
    return TritonSettings.read(found)


def table(settings: dict[str, TritonSettings]) -> str:
    """Markdown."""
    any_one = next(iter(settings.values()))
    lines = [
        "# Settings for Triton, as measured",
        "",
        f"`python benchmarks/triton_settings.py`, {any_one.machine}, {any_one.created}. Images of 48x48x1, uint8.",
        "Sessions of onnxruntime at once in one process, as Triton's instances; no server and no HTTP in it.",
        f"**Bold**: what the config gets: the most images/s, of its batches the smallest within {NEAR:.0%} of that.",
        "",
        "| model | instances × threads | batch | ms a batch, median | images/s, all instances |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for name, one in settings.items():
        for cell in one.cells:
            chosen = (cell.instances, cell.threads, cell.batch) == (one.instances, one.threads, one.batch)
            row = [name, f"{cell.instances} × {cell.threads}", str(cell.batch), f"{cell.p50_ms:.2f}"]
            row.append(f"{cell.images_per_s:,.0f}")
            lines.append("| " + " | ".join(f"**{text}**" if chosen else text for text in row) + " |")
    lines += [
        "",
        "| model | `preferred_batch_size` | `max_queue_delay_microseconds` | `instance_group.count` | threads |",
    ]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for name, one in settings.items():
        lines.append(f"| {name} | {one.batch} | {one.queue_delay_us} | {one.instances} | {one.threads} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "triton_settings.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {name: measured(name, Path(folder)) for name in shipped_by_name()}
    write_text(arguments.out, table(found))
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
