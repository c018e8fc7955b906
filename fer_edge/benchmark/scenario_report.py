"""What scenarios found: the figure of each in words, the table, and the files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fer_edge.benchmark.columns import digits
from fer_edge.benchmark.early_stopping import N_TOO_SMALL
from fer_edge.benchmark.output import OTHER_NAME
from fer_edge.benchmark.results import readable_json
from fer_edge.benchmark.scenario_plot import plot_sustained
from fer_edge.benchmark.scenarios import MULTI_STREAM, OFFLINE, SERVER, SUSTAINED
from fer_edge.errors import MissingExtraError
from fer_edge.export.card.tables import markdown_table
from fer_edge.files import write_text
from fer_edge.own_files import OwnFiles


def title_of(row: dict[str, Any]) -> str:
    """A row in words."""
    threads = f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}"
    return f"{row['model']} {row['runtime']} {row['precision']}, {threads}, {row['scenario']} from {row['input']}"


def figure_of(row: dict[str, Any]) -> str:
    """The scenario's own figure, in words."""
    scenario = row["scenario"]
    if scenario == SERVER:
        rate = row["rate_per_s"]
        return f"{digits(rate)} queries/s" if rate else f"none under {row['bound_ms']:g} ms"
    if scenario == OFFLINE:
        return f"{row['images_per_s']:.0f} images/s"
    if scenario == SUSTAINED:
        drift = f"drift {row['drift']:.3f}" if row["drift"] is not None else f"drift: {N_TOO_SMALL}"
        return f"{row['images_per_s']:.0f} images/s, {drift}" + (", slowed down" if row["is_throttled"] else "")
    name = "p99_ms" if scenario == MULTI_STREAM else "p90_ms"
    value = row[name]
    return f"{name[:3]} {N_TOO_SMALL if value is None else digits(value) + ' ms'}"


def to_table(found: dict[str, Any]) -> str:
    """Markdown, one line a row."""
    header = ["scenario", "from", "model", "runtime", "prec", "thr", "figure", "queries"]
    cells = [
        [
            *(str(row[key]) for key in ("scenario", "input", "model", "runtime", "precision", "threads")),
            figure_of(row),
            _queries(row),
        ]
        for row in found["rows"]
    ]
    return markdown_table(header, cells, [5, 7])


def _queries(row: dict[str, Any]) -> str:
    """Behind the figure: of the server's, all queries of all rates that were tried."""
    if "probes" in row:
        return str(sum(one["queries"] for one in row["probes"]))
    if row["scenario"] == OFFLINE:
        return str(row["images"] // row["batch"])
    return str(row["queries"])


def audits_in_words(found: dict[str, Any]) -> str:
    """What the audits of all rows found, in a sentence or, where some failed, in a list."""
    if found["audit_failures"]:
        return "\n".join(["Audits that failed:", "", *(f"* {line}" for line in found["audit_failures"])])
    audits = [row["audit"] for row in found["rows"]]
    answers = sum(one["answers"] for one in audits)
    difference = max(one["largest_difference"] for one in audits)
    gains = [one["repeat_gain"] for one in audits]
    return (
        f"Audits: {answers:,} answers of timed runs, sampled by a seed, are those of the accuracy run (largest "
        f"difference {difference:.1e}); repeating one input is {min(gains):.2f} to {max(gains):.2f} times as fast as "
        "varied ones."
    )


def length_in_words(settings: dict[str, Any]) -> str:
    """How long each run was."""
    parts = []
    if set(settings["scenarios"]) != {SUSTAINED}:
        parts.append(
            f"Each run: at least {settings['queries']:,} queries and {settings['min_s']:g} s (offline: that time), at "
            f"most {settings['max_s']:g} s"
        )
    if SUSTAINED in settings["scenarios"]:
        parts.append(f"sustained: {60 * settings['minutes']:g} s")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}. MLPerf's runs last 600 s or more."


def scenario_paths(out: Path) -> list[Path]:
    """Every file that ``write_scenarios`` may write."""
    return [out / f"scenarios{end}" for end in (".json", ".md", "-sustained.png")]


def write_scenarios(found: dict[str, Any], out: Path, note: Callable[[str], None] = lambda _: None) -> list[Path]:
    """JSON with every figure, the table and, of sustained runs, a picture; their paths. Raises StorageError.

    Without matplotlib there is no picture, and ``note`` hears so.
    """
    json_path, table_path, picture = scenario_paths(out)
    written, parts = [json_path, table_path], ["# Scenarios", found["machine"], to_table(found)]
    parts += [length_in_words(found["settings"]), audits_in_words(found), *found["notes"]]
    sustained = [row for row in found["rows"] if row["scenario"] == SUSTAINED]
    with OwnFiles(OTHER_NAME).writing(json_path, table_path, picture):
        write_text(json_path, readable_json(found))
        try:
            if sustained:
                parts.append(f"![{plot_sustained(sustained, picture)}]({picture.name})")
                written.append(picture)
        except MissingExtraError as error:
            note(f"no picture: {error}")
        write_text(table_path, "\n\n".join(parts) + "\n")
    return written
