"""How many cores or GPUs for so many faces, and what a million costs: results/scale.md, from what was measured.

    python benchmarks/scale.py [--core-hour 0.04] [--gpu-hour 3.0]

Reads results/scoring.json (benchmarks/scoring.py) and results/serving.json (benchmarks/serving.py), and measures
nothing. Prices are inputs: write in your own. What is said of GPUs is calculated, from the multiply-adds of the
shipped network and a GPU's published peak: no GPU was measured.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import onnx

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
MODELS = ("fer-tiny", "fer-resnet18")
VOLUMES = (1_000, 100_000, 10_000_000)
SECONDS_A_DAY = 86_400
PEAK_FACTOR = 4
"""How much busier than the day's mean its busiest second is taken to be: an assumption."""
GPU_NAME, GPU_PEAK_FLOPS = "H100 SXM", 989e12
"""Dense float16, as its maker publishes it."""
GPU_FRACTION = 0.2
"""Of the peak that a small network is taken to reach: an assumption."""
P99_MS = 50.0


def multiply_adds(model: Path) -> int:
    """Of the convolutions and the classifier of one face of 48x48, from the shapes in the file."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(model)).graph
    shapes = {one.name: [d.dim_value for d in one.type.tensor_type.shape.dim] for one in graph.value_info}
    shapes |= {one.name: list(one.dims) for one in graph.initializer}
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            weights, out = shapes[node.input[1]], shapes[node.output[0]]
            total += math.prod(weights) * math.prod(out[2:])
        elif node.op_type in ("Gemm", "MatMul") and node.input[1] in shapes:
            total += math.prod(shapes[node.input[1]])
    return total


def rows_of_scoring(found: dict[str, Any]) -> dict[str, float]:
    """Images a second and core of the engine of one machine, by model; of the longest run."""
    rates: dict[str, tuple[int, float]] = {}
    for row in found["rows"]:
        if row["engine"] == "local" and row["images"] >= rates.get(row["model"], (0, 0.0))[0]:
            rates[row["model"]] = row["images"], row["images_per_s"] / row["workers"]
    return {model: rate for model, (_, rate) in rates.items()}


def rows_of_serving(found: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """By model: the most images a second that one server answered at a p99 of at most P99_MS, in requests of one image,
    and the cores that it took."""
    best: dict[str, tuple[float, float]] = {}
    for series in found["series"]:
        if series["images_per_request"] != 1 or series["batch_deadline_ms"]:
            continue
        for row in series["rows"]:
            if row["p99_ms"] is not None and row["p99_ms"] <= P99_MS and "503" not in row["statuses"]:
                reached = row["answered_images_per_s"], row["server_cpu_s"] / row["seconds"]
                best[series["model"]] = max(best.get(series["model"], (0.0, 0.0)), reached)
    return best


def cores(rate: float, per_core: float) -> str:
    """As many as it takes, or the part of one."""
    needed = rate / per_core
    if needed < 0.01:
        return "< 0.01"
    return f"{needed:.1g}" if needed < 1 else f"{math.ceil(needed):,}"


def page(scoring: dict[str, Any], serving: dict[str, Any], core_hour: float, gpu_hour: float) -> str:
    """The tables in Markdown."""
    per_core, served = rows_of_scoring(scoring), rows_of_serving(serving)
    lines = [
        "# Capacity",
        "",
        "Written by `benchmarks/scale.py` from `scoring.json` and `serving.json`. INT8 on CPU: "
        f"{scoring['machine']}, grey JPEGs of 48x48. A core there is a virtual one of a cloud machine.",
        "",
        f"## A million faces ({core_hour:g} a core-hour, in any currency: write in yours)",
        "",
        "| model | faces/s and core, `score` | core-hours a million | cost a million |",
        "| --- | ---: | ---: | ---: |",
    ]
    for model in MODELS:
        hours = 1e6 / per_core[model] / 3600
        lines.append(f"| `{model}` | {per_core[model]:,.0f} | {hours:.2f} | {hours * core_hour:.4f} |")
    lines += [
        "",
        "## Cores for so many faces, `score` and `serve`",
        "",
        f"*A day*: scored in one night of 8 hours; served, where the busiest second has {PEAK_FACTOR} times the day's "
        "mean (assumed). *A second*: all day long. Calculated from the rates: cores are taken to add up, which one "
        "machine cannot show.",
        "",
        "| model | faces | `score`, a day's in 8 h | `serve`, that many a day | `serve`, that many a second |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for model in MODELS:
        rate, taken = served[model]
        per_served_core = rate / taken
        for volume in VOLUMES:
            cells = (
                cores(volume / (8 * 3600), per_core[model]),
                cores(PEAK_FACTOR * volume / SECONDS_A_DAY, per_served_core),
                cores(volume, per_served_core),
            )
            lines.append(f"| `{model}` | {volume:,} | {' | '.join(cells)} |")
    lines += ["", f"One process of `serve` (requests of one image, p99 at most {P99_MS:g} ms, one thread):", ""]
    lines += [f"* `{name}`: {rate:,.0f} images/s with {taken:.2f} cores" for name, (rate, taken) in served.items()]
    lines += [
        "",
        "## GPUs: calculated, not measured",
        "",
        f"A {GPU_NAME} has a published peak of {GPU_PEAK_FLOPS / 1e12:g} TFLOP/s in dense float16, of which "
        f"{GPU_FRACTION:.0%} is taken to be reached; a multiply-add is two operations. At {gpu_hour:g} a GPU-hour:",
        "",
        "| model | multiply-adds of a face | faces/s and GPU | cost a million | GPUs for 10,000,000 a second "
        "| CPU cores that open files for one |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for model in MODELS:
        macs = multiply_adds(ROOT / "exported" / f"{model}-int8.onnx")
        rate = GPU_FRACTION * GPU_PEAK_FLOPS / (2 * macs)
        cost = 1e6 / rate / 3600 * gpu_hour
        lines.append(
            f"| `{model}` | {macs / 1e6:,.1f} M | {rate:,.0f} | {cost:.5f} | {math.ceil(1e7 / rate):,} | "
            f"{rate / max(per_core.values()):,.0f} or more |"
        )
    lines += [
        "",
        "The last column says why: no core opens more JPEGs a second than it opens and scores with "
        "the smaller model, so the GPU waits for them.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Calculate and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core-hour", type=float, default=0.04)
    parser.add_argument("--gpu-hour", type=float, default=3.0)
    given = parser.parse_args()
    found = (json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in ("scoring", "serving"))
    text = page(*found, given.core_hour, given.gpu_hour)
    (RESULTS / "scale.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
