"""Tables of what ``layer_run`` measured, and its files."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fer_edge.benchmark.columns import digits
from fer_edge.benchmark.energy import Energy
from fer_edge.benchmark.layer_plot import plot_layers
from fer_edge.benchmark.output import OTHER_NAME
from fer_edge.errors import MissingExtraError
from fer_edge.export.card.tables import markdown_table
from fer_edge.files import write_text
from fer_edge.own_files import OwnFiles
from fer_edge.text import printable, table_cell

HEADER = (
    "layer",
    "runs as",
    "prec",
    "µs",
    "share",
    "M mult-adds",
    "KB",
    "mult-adds/B",
    "bound µs",
    "bound by",
    "of bound",
)
RIGHT = (3, 4, 5, 6, 7, 8, 10)
"""Columns of numbers."""
LEAST_SHARE = 0.01
"""Of the time; shorter nodes are folded into one line."""


def folded(
    nodes: Sequence[Mapping[str, Any]], least_share: float
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """The nodes that take ``least_share`` of the time or more, and the others, each in the order they run."""
    return (
        [one for one in nodes if one["share"] >= least_share],
        [one for one in nodes if one["share"] < least_share],
    )


def title_of(row: Mapping[str, Any]) -> str:
    """The row in words."""
    threads = f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}"
    images = "" if row["images"] == 1 else f", {row['images']} images"
    return f"{row['model']} {row['runtime']} {row['precision']}{images}, {threads}"


def layer_of(node: Mapping[str, Any]) -> str:
    """What a node is called: its first layer and how many more were merged into it, or the runtime's own name."""
    layers = node["layers"]
    if not layers:
        return f"({node['name']})"
    return f"{layers[0]}" + (f" +{len(layers) - 1}" if len(layers) > 1 else "")


def summary_lines(row: Mapping[str, Any]) -> list[str]:
    """The row's totals, in words."""
    energy = Energy(row["joules_per_image"], row["energy_not_measured"] or "")
    shortest_us = 1000 * min((node["ms"] for node in row["nodes"]), default=0.0)
    latency, with_counters, count = digits(row["latency_ms_p50"]), digits(row["nodes_ms"]), len(row["nodes"])
    lines = [
        f"latency {latency} ms (p50, without counters); nodes {with_counters} ms (with them)",
        f"{count} nodes, the shortest {shortest_us:.1f} µs: about what it takes to start and to time one",
    ]
    if row["bound_ms"] is not None:
        of_time = row["bound_ms"] / row["nodes_ms"] if row["nodes_ms"] else 0.0
        lines.append(
            f"bound of all nodes {digits(row['bound_ms'])} ms, {of_time:.0%} of what they take: "
            f"{row['multiply_adds'] / 1e6:.1f} million multiply-adds; bytes at "
            f"{row['bandwidth_bytes_per_s'] / 1e9:.1f} GB/s, as so many as the model holds are copied"
        )
    return [*lines, f"energy: {energy.in_words()}"]


def roofline_line(roofline: Mapping[str, Any]) -> str:
    """What the machine can do, in words."""
    peaks = ", ".join(
        f"{name} {value / 1e9:.0f} ({roofline['peak_runtime'][name]})"
        for name, value in roofline["peak_multiply_adds_per_s"].items()
    )
    threads = f"{roofline['threads']} thread{'s' if roofline['threads'] > 1 else ''}"
    return (
        f"measured here with {threads}: peak in 10^9 multiply-adds/s: {peaks}; "
        f"memory {roofline['memory_bytes_per_s'] / 1e9:.1f} GB/s"
    )


def cells_of(row: Mapping[str, Any], least_share: float = LEAST_SHARE) -> Iterator[list[str]]:
    """The table's cells, in the order the nodes run; the last line has the short ones together."""
    shown, others = folded(row["nodes"], least_share)
    for node in shown:
        yield [
            layer_of(node),
            node["operator"],
            node["precision"],
            f"{1000 * node['ms']:.1f}",
            f"{node['share']:.1%}",
            f"{node['multiply_adds'] / 1e6:.2f}" if node["multiply_adds"] else "–",
            "–" if node["activation_bytes"] is None else f"{_bytes(node) / 1000:.1f}",
            f"{node['intensity']:.1f}" if node["multiply_adds"] else "–",
            "–" if node["bound_ms"] is None else f"{1000 * node['bound_ms']:.1f}",
            node["bound_by"] or "–",
            "–" if node["fraction_of_bound"] is None else f"{node['fraction_of_bound']:.0%}",
        ]
    if others:
        ms = sum(one["ms"] for one in others)
        bound = sum(one["bound_ms"] or 0.0 for one in others)
        yield [
            f"{len(others)} others, each under {least_share:.0%}",
            *("", ""),
            f"{1000 * ms:.1f}",
            f"{sum(one['share'] for one in others):.1%}",
            f"{sum(one['multiply_adds'] for one in others) / 1e6:.2f}",
            f"{sum(map(_bytes, others)) / 1000:.1f}",
            "",
            f"{1000 * bound:.1f}",
            "",
            f"{bound / ms:.0%}" if ms else "–",
        ]


def _bytes(node: Mapping[str, Any]) -> int:
    return int(node["weight_bytes"] + (node["activation_bytes"] or 0))


def to_markdown(found: Mapping[str, Any], pictures: Mapping[int, str]) -> str:
    """A table for each row; ``pictures`` are names of files by the number of the row."""
    parts = ["# Time by layer", printable(found["machine"])]
    parts += [f"* {roofline_line(one)}" for one in found["rooflines"]]
    for number, row in enumerate(found["rows"]):
        cells = [[table_cell(cell) for cell in line] for line in cells_of(row)]
        parts += [f"## {table_cell(title_of(row))}", "\n".join(f"* {line}" for line in summary_lines(row))]
        parts += [markdown_table(HEADER, cells, RIGHT)]
        if number in pictures:
            parts.append(f"![{table_cell(title_of(row))}]({pictures[number]})")
    return "\n\n".join(parts) + "\n"


def picture_names(rows: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    """File names that say which row each is of."""
    found = []
    for row in rows:
        runtime = re.sub(r"[^\w.]+", "-", str(row["runtime"])).strip("-")
        model = re.sub(r"[^\w.-]+", "-", str(row["model"]))
        batch = "" if row["images"] == 1 else f"-batch{row['images']}"
        found.append(f"{name}-{model}-{runtime}-{row['precision']}{batch}-{row['threads']}t.png")
    return found


def write_layers(found: dict[str, Any], out: Path, name: str, note: Callable[[str], None]) -> list[Path]:
    """Write ``NAME.json`` with every figure, ``NAME.md``, and a picture a row; their paths.

    Without matplotlib there is no picture, and ``note`` hears so. Raises StorageError.
    """
    json_path, table_path = out / f"{name}.json", out / f"{name}.md"
    names = picture_names(found["rows"], name)
    planned = [json_path, table_path, *(out / one for one in names)]
    written, pictures = [json_path, table_path], {}
    with OwnFiles(OTHER_NAME).writing(*planned):
        write_text(json_path, json.dumps(found, indent=1, allow_nan=False) + "\n")
        try:
            for number, (row, picture) in enumerate(zip(found["rows"], names, strict=True)):
                plot_layers(row, title_of(row), layer_of, out / picture)
                written.append(out / picture)
                pictures[number] = picture
        except MissingExtraError as error:
            note(f"no pictures: {error}")
        write_text(table_path, to_markdown(found, pictures))
    return written
