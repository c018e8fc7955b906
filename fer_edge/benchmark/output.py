"""Writes a benchmark: JSON with every sample, CSV, Markdown, and pictures where matplotlib is installed."""

from collections.abc import Callable
from pathlib import Path

from fer_edge.benchmark.comparison import Comparison
from fer_edge.benchmark.plots import plot_latency_against_accuracy, plot_throughput
from fer_edge.benchmark.report import to_csv, to_markdown
from fer_edge.benchmark.results import Benchmark, readable_json
from fer_edge.errors import MissingExtraError
from fer_edge.files import write_text
from fer_edge.own_files import OwnFiles

OTHER_NAME = "choose another with --out or --name"
"""What helps where the name of a benchmark's file is taken."""

_PICTURES = {"latency": plot_latency_against_accuracy, "throughput": plot_throughput}


def output_paths(folder: Path, name: str, json_path: Path | None = None) -> list[Path]:
    """Every file that ``write_benchmark`` may write: JSON, CSV, Markdown, then the pictures, then the changes."""
    tables = [json_path or folder / f"{name}.json", folder / f"{name}.csv", folder / f"{name}.md"]
    return [*tables, *(folder / f"{name}-{kind}.png" for kind in _PICTURES), folder / f"{name}-changes.json"]


def write_benchmark(
    benchmark: Benchmark,
    folder: Path,
    name: str,
    comparison: Comparison | None,
    note: Callable[[str], None] = lambda _: None,
    json_path: Path | None = None,
) -> list[Path]:
    """Write ``NAME.json``, ``NAME.csv``, ``NAME.md``, ``NAME-*.png`` and, of a comparison, ``NAME-changes.json`` into
    ``folder``; their paths.

    ``json_path`` is where the JSON goes instead. Without matplotlib there is no picture, and ``note`` hears so.
    Raises StorageError, also where one would replace a file that was not written here.
    """
    planned = output_paths(folder, name, json_path)
    *others, changes = planned
    with OwnFiles(OTHER_NAME).writing(*planned):
        written = _write(benchmark, others[:3], others[3:], comparison, note)
        if comparison is None:
            return written
        write_text(changes, readable_json(comparison.to_dict()))
        return [*written, changes]


def _write(
    benchmark: Benchmark,
    paths: list[Path],
    for_pictures: list[Path],
    comparison: Comparison | None,
    note: Callable[[str], None],
) -> list[Path]:
    write_text(paths[0], benchmark.to_json())
    write_text(paths[1], to_csv(benchmark))
    pictures: list[tuple[str, str]] = []
    try:
        for draw, path in zip(_PICTURES.values(), for_pictures, strict=True):
            caption = draw(benchmark.timed, path)
            if caption is not None:
                pictures.append((caption, path.name))
                paths.append(path)
    except MissingExtraError as error:
        note(f"no pictures: {error}")
    write_text(paths[2], to_markdown(benchmark, pictures, comparison))
    return paths
