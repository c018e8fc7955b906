"""Accuracy, latency and size of the networks that could be shipped, after the same short training.

    python benchmarks/pareto.py --data fer2013

Each candidate trains by the same short recipe (SETTINGS), is exported to INT8 and judged on the validation split.
Training goes on where an earlier call was stopped, and a finished run is not done again. Latency is that of the INT8
files: one face, one thread, all candidates in turns of warm runs. Writes benchmarks/PARETO.md, and its picture and
figures beside the other results.
"""

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from fer_edge.evaluation.canvas import INK_COLOUR, SMALL_SIZE, TRAIN_COLOUR, new_figure, save_png, style_plot
from fer_edge.export.exporter import ExportRequest, export_checkpoint
from fer_edge.export.tables import markdown_table
from fer_edge.export.timing import time_in_turns
from fer_edge.training.config import AugmentConfig, TrainConfig
from fer_edge.training.hardware import describe_machine
from fer_edge.training.train import DataRequest, resume, train

SETTINGS = TrainConfig(
    weights="none",
    epochs=4,
    max_lr=0.05,
    warmup=0.25,
    threads=1,
    save_interval=120,
    augment=AugmentConfig(rotation=8, scale=0.08, shift=0, brightness=0.15, contrast=0.2, erasing_area=0.15),
)
"""The variations of fer-resnet18, and all epochs at the full size: so few do not make up for a change of it."""

CANDIDATES = {
    "resnet10_half": replace(SETTINGS, architecture="resnet10_half"),
    "resnet18-imagenet": replace(SETTINGS, stem="imagenet"),
    "resnet18-no_pool": replace(SETTINGS, stem="no_pool"),
    "resnet18-small": replace(SETTINGS, stem="small"),
}
REFERENCE = "resnet18-imagenet"
"""Latencies are also given as ratios to this one's."""


@dataclass(frozen=True)
class Candidate:
    """One network after the short training."""

    name: str
    accuracy_fp32: float
    accuracy_int8: float
    int8_ms: float
    """Median latency of one face on one thread."""
    relative: float
    """Median ratio of its latency to the reference's."""
    int8_megabytes: float
    parameters_millions: float


def trained(name: str, config: TrainConfig, data: str, runs: Path) -> Path:
    """The run folder of a candidate, trained to its end."""
    folder = runs / f"pareto-{name}"
    if (folder / "checkpoints" / "last.pt").is_file():
        resume(folder)
    else:
        train(config, DataRequest(data), folder)
    return folder


def measure(runs: dict[str, Path], data: str, models: Path) -> list[Candidate]:
    """Export each run to INT8, judge it, and time all of them together."""
    reports, files = {}, {}
    for name, run in runs.items():
        export = export_checkpoint(
            ExportRequest(checkpoint=run, precision="int8", folder=models, name=name, data=data, max_drop_points=100),
            print,
        )
        if export.quantisation is None or not export.paths:
            raise SystemExit(f"{name}: {export.failures}")
        reports[name], files[name] = export.quantisation, export.paths[0].read_bytes()
    times_ms = time_in_turns(list(files.values()), SETTINGS.image_size)  # (turns, candidates)
    reference_ms = times_ms[:, list(files).index(REFERENCE)]
    return [
        Candidate(
            name=name,
            accuracy_fp32=reports[name].accuracy_fp32,
            accuracy_int8=reports[name].accuracy_int8,
            int8_ms=float(np.median(times_ms[:, column])),
            relative=float(np.median(times_ms[:, column] / reference_ms)),
            int8_megabytes=len(files[name]) / 1e6,
            parameters_millions=reports[name].bytes_fp32 / 4e6,
        )
        for column, name in enumerate(files)
    ]


def table(candidates: list[Candidate]) -> str:
    """The figures as a Markdown table."""
    header = ("network", "fp32", "INT8", "ms a face", "x imagenet stem", "MB")
    rows = [
        (
            candidate.name,
            f"{candidate.accuracy_fp32:.2%}",
            f"{candidate.accuracy_int8:.2%}",
            f"{candidate.int8_ms:.3f}",
            f"{candidate.relative:.2f}",
            f"{candidate.int8_megabytes:.2f}",
        )
        for candidate in candidates
    ]
    return markdown_table(header, rows, right=range(1, len(header)))


def draw(candidates: list[Candidate], path: Path) -> None:
    """Accuracy against latency; the area of a point is the size of the file."""
    figure = new_figure(6.4, 4.0, f"After {SETTINGS.epochs} epochs: accuracy against INT8 latency")
    axes = figure.subplots()
    for candidate in candidates:
        point = (candidate.int8_ms, 100 * candidate.accuracy_int8)
        axes.scatter(*point, s=30 * candidate.int8_megabytes, color=TRAIN_COLOUR, alpha=0.7, linewidths=0)
        axes.annotate(
            f"{candidate.name}\n{candidate.int8_megabytes:.1f} MB",
            point,
            xytext=(0, 14),
            textcoords="offset points",
            ha="center",
            fontsize=SMALL_SIZE,
            color=INK_COLOUR,
        )
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.3)
    style_plot(axes, "milliseconds a face, one thread (log scale)", "accuracy on PublicTest, %")
    save_png(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fer2013")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--models", type=Path, default=Path("runs/pareto-models"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--only", choices=CANDIDATES, help="train this one and stop")
    arguments = parser.parse_args()
    if arguments.only:
        trained(arguments.only, CANDIDATES[arguments.only], arguments.data, arguments.runs)
        return
    runs = {name: trained(name, config, arguments.data, arguments.runs) for name, config in CANDIDATES.items()}
    candidates = measure(runs, arguments.data, arguments.models)
    report = {
        "machine": describe_machine("cpu"),
        "settings": SETTINGS.to_dict(),
        "candidates": [asdict(candidate) for candidate in candidates],
    }
    (arguments.results / "pareto.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(candidates, arguments.results / "pareto.png")
    print(table(candidates))


if __name__ == "__main__":
    main()
