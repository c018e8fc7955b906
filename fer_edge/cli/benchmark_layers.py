"""``benchmark --layers``: measure, print, write."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_edge.cli.output import note, result, result_json, wrote
from fer_edge.cli.tables import result_table
from fer_edge.errors import Interrupted

if TYPE_CHECKING:
    from fer_edge.benchmark.request import BenchmarkRequest


def request_for_layers(request: "BenchmarkRequest", named: Collection[str]) -> "BenchmarkRequest":
    """``request`` with what --layers measures where nothing else was ``named``: one image, one thread, and the
    installed runtimes that have counters."""
    from fer_edge.export.graph.model_layers import require_onnx

    require_onnx("train" if request.checkpoints else "onnx")  # before what imports it, which can name no smaller extra
    from fer_edge.backends.registry import backend_named
    from fer_edge.benchmark.layer_run import able_backends

    able = tuple(name for name in able_backends() if backend_named(name).is_installed)
    return replace(
        request,
        batch_sizes=request.batch_sizes if "batch_sizes" in named else (1,),
        threads=request.threads if "threads" in named else (1,),
        runtimes=request.runtimes if "runtimes" in named else able,
    )


def measure_layers(request: "BenchmarkRequest", out: Path, name: str, *, quick: bool, as_json: bool) -> None:
    """Time the layers of every row of ``request``; print them, write them to ``out``."""
    from fer_edge.benchmark.layer_report import write_layers
    from fer_edge.benchmark.layer_run import LayerSettings, check_countable, run_layers
    from fer_edge.benchmark.output import OTHER_NAME
    from fer_edge.benchmark.progress import Reporter
    from fer_edge.own_files import OwnFiles
    from fer_edge.training.signals import StopSignals

    check_countable(request)
    OwnFiles(OTHER_NAME).refuse_foreign([out / f"{name}.json", out / f"{name}.md"])
    settings = LayerSettings(profile_s=0.3, timed_s=0.5) if quick else LayerSettings()
    with StopSignals() as signals, Reporter() as reporter:
        found = run_layers(request, settings, reporter, lambda: signals.received is not None)
    if not found["rows"]:
        raise Interrupted("interrupted; nothing was written", signals.received or 2)
    if as_json:
        result_json(found)
    else:
        _print(found)
    wrote(*write_layers(found, out, name, note))
    if found["is_partial"]:
        raise Interrupted("interrupted; what was measured is kept", signals.received or 2)


def _print(found: dict[str, Any]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from fer_edge.benchmark.layer_report import HEADER, RIGHT, cells_of, roofline_line, summary_lines, title_of
    from fer_edge.text import printable

    result(found["machine"])
    for roofline in found["rooflines"]:
        result(roofline_line(roofline))
    for row in found["rows"]:
        result(f"\n{title_of(row)}")
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
        for place, title in enumerate(HEADER):
            table.add_column(title, justify="right" if place in RIGHT else "left", no_wrap=True)
        for cells in cells_of(row):
            table.add_row(*(Text(printable(cell)) for cell in cells))
        result_table(table)
        for line in summary_lines(row):
            result(line)
