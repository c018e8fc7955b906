"""The time, bound and share of each layer of the shipped models: benchmarks/results/layers.json, .md and pictures.

    python benchmarks/layers.py

Each shipped INT8 model, and what two checkpoints export in fp32, in onnxruntime and OpenVINO: one face, one thread, as
``fer-edge benchmark --layers`` measures it. Takes a minute and a half; nothing else may run meanwhile.
"""

import json
from pathlib import Path

from fer_edge.backends.registry import backend_named
from fer_edge.benchmark.baselines import Baselines
from fer_edge.benchmark.layer_plot import plot_layers
from fer_edge.benchmark.layer_report import layer_of, picture_names, title_of, to_markdown
from fer_edge.benchmark.layer_run import LayerSettings, able_backends, run_layers
from fer_edge.benchmark.request import BenchmarkRequest
from fer_edge.files import temporary_folder, write_text

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
INT8 = ("fer-tiny-int8", "fer-resnet18-int8", "ferplus-resnet18-int8")
FP32 = ("fer-tiny", "fer-resnet18")
PICTURES = (("fer-tiny-int8", "onnxruntime"), ("fer-resnet18-int8", "onnxruntime"), ("fer-tiny-fp32", "onnxruntime"))


class Printed:
    """Progress on stdout."""

    def note(self, text: str) -> None:
        print(text)

    def begin(self, expected_s: float) -> None: ...

    def step(self, what: str, expected_s: float) -> None:
        print(what)


def main() -> None:
    runtimes = tuple(name for name in able_backends() if backend_named(name).is_installed)
    with temporary_folder("layers-") as folder:
        models = [ROOT / "exported" / f"{name}.onnx" for name in INT8]
        for name in FP32:
            backend, _ = Baselines(ROOT / "exported" / f"{name}.pt").write("onnx", "fp32", f"{name}-fp32", Path(folder))
            models.append(backend.path)
        request = BenchmarkRequest(models=tuple(models), batch_sizes=(1,), threads=(1,), runtimes=runtimes)
        found = run_layers(request, LayerSettings(), Printed(), lambda: False)
    found["rows"] = [row for row in found["rows"] if row["precision"] in ("int8", "fp32")]  # bf16: the same file again
    write_text(RESULTS / "layers.json", json.dumps(found, indent=1, allow_nan=False) + "\n")
    pictures = {}
    for number, (row, name) in enumerate(zip(found["rows"], picture_names(found["rows"], "layers"), strict=True)):
        if (row["model"], row["runtime"]) in PICTURES:
            plot_layers(row, title_of(row), layer_of, RESULTS / name)
            pictures[number] = name
    write_text(RESULTS / "layers.md", to_markdown(found, pictures))


if __name__ == "__main__":
    main()
