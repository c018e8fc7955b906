"""A benchmark as Markdown and CSV."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from fer_edge.benchmark import columns as c
from fer_edge.benchmark.columns import Column
from fer_edge.benchmark.comparison import Comparison
from fer_edge.benchmark.recommendation import ties
from fer_edge.benchmark.results import Benchmark, RowResult, by_setting
from fer_edge.export.card.tables import markdown_table, signed

METHOD = """\
Each row ran in its own process with the same thread budget in every pool. Rows alternated over {rounds} rounds, in an
order in which no row always follows the same one: in a round {warm_up} untimed runs, then timed ones for
{budget_ms:.0f} ms, and the next row began when no thread of this one computed any more. Latency is from uint8 pixels
48x48 in memory to probabilities, each runtime's own preprocessing included. Intervals are 95% bootstrap intervals of
the median, resampled by rounds and then by runs. Cold start: a fresh process, one image; the interpreter's start, the
imports, loading, the first answer (medians of {cold_starts}; one for torch.compile, whose compiler keeps what it
made). A percentile stands where its runs support it at 99% confidence. Memory: the most the process held, over what
it held before its imports. OpenVINO runs at a fixed input shape. Every sample is in the JSON."""

_AUDITED = """ Rows were timed on varied faces in an order of a seed; a part of the timed answers was compared with
those of the accuracy run, and the time of varied inputs with that of one again and again."""


def name_columns(rows: Sequence[RowResult]) -> list[Column]:
    """The columns that name a row within a batch size and number of threads."""
    names = [c.MODEL, c.RUNTIME, c.PRECISION]
    if len({one.row.provider for one in rows}) > 1:
        names.append(c.PROVIDER)
    return names


def to_csv(benchmark: Benchmark) -> str:
    """One line a timed row, figures unrounded; an empty cell where nothing was measured."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.key for column in c.ALL])
    for one in benchmark.timed:
        values = [column.value(one) for column in c.ALL]
        writer.writerow(["" if value is None else value for value in values])
    return text.getvalue()


def to_markdown(benchmark: Benchmark, pictures: Sequence[tuple[str, str]], comparison: Comparison | None) -> str:
    """The whole benchmark for people. ``pictures``: caption and file name of each."""
    rows = benchmark.timed
    parts = ["# Benchmark" + (" (partial: it was interrupted)" if benchmark.is_partial else "")]
    parts.append(f"`{benchmark.command}`, {benchmark.created}")
    if benchmark.recommendations:
        parts.append("## What to deploy\n\n" + _list(benchmark.recommendations))
    if comparison is not None:
        parts.append(comparison_markdown(comparison))
    parts += [f"![{caption}]({name})" for caption, name in pictures]
    if rows:
        names = name_columns(rows)
        parts += [f"## {title}\n\n{table}" for title, table in _tables(rows, names)]
        same = ties(rows)
        if same:
            parts.append("## Where the intervals of neighbours overlap\n\n" + _list(same))
    for title, lines in (
        ("Left out", benchmark.left_out),
        ("Audits that failed", benchmark.audit_failures),
        ("Mind", benchmark.notes),
    ):
        if lines:
            parts.append(f"## {title}\n\n{_list(lines)}")
    parts.append(f"## How it was measured\n\n{_method(benchmark)}")
    parts.append(f"## Machine\n\n{environment_markdown(benchmark.environment)}")
    parts.append(f"## Files\n\n{_files(benchmark.rows)}")
    return "\n\n".join(parts) + "\n"


def _tables(rows: Sequence[RowResult], names: list[Column]) -> list[tuple[str, str]]:
    latency = [*names, c.P50, c.INTERVAL, c.P90, c.P95, c.P99, c.RATE, c.RUNS, c.ACCURACY, c.MACRO_F1, c.AGREEMENT]
    latency += [column for column in (c.COPIES, c.CUDA_SHARE) if any(column.value(one) is not None for one in rows)]
    found = []
    for (batch, threads), group in by_setting(rows).items():
        title = f"Batch {batch}, {threads} thread{'s' if threads > 1 else ''}"
        found.append((title, _table([*latency, c.MEMORY], group)))
    photos = [one for one in rows if one.photo_ms()]
    if photos:
        names_and_threads = [*names, c.THREADS]
        found.append(
            (
                "From JPEG bytes to the answer, one 48x48 face",
                _table([*names_and_threads, *c.PHOTO_PARTS, c.PREPROCESSING], photos)
                + "\n\nWhere a runtime does not tell preprocessing from the network, it is in *run*; for "
                "onnxruntime its profiler tells (*prep. in graph*: the part of the model's own time).",
            )
        )
    engines = list({one.row.engine: one for one in reversed(rows)}.values())[::-1]
    cold = [one for one in engines if one.cold_starts_ms]
    if cold:
        cold.sort(key=lambda one: one.cold_start_ms()["total"])
        title = "Cold start (s) and file size"
        found.append((title, _table([*names, *c.COLD_PARTS, c.COLD, c.FILE], cold)))
    return found


def _table(columns: Sequence[Column], rows: Sequence[RowResult]) -> str:
    right = [place for place, column in enumerate(columns) if not column.is_text]
    cells = [[column.cell(one) for column in columns] for one in rows]
    return markdown_table([column.title for column in columns], cells, right)


_SETTING_HEADER = ("batch", "thr", "model", "runtime", "prec")
_RATIO_HEADER = ("then ms", "now ms", "ratio", "95%", "result")


_MOST_FACES = 20
"""Of a row, in Markdown; all are in the JSON file."""


def comparison_markdown(comparison: Comparison) -> str:
    """The tables of ratios and of accuracy, and what changed by class and by face where anything did."""
    parts = ["## Against the other benchmark"]
    for header, cells in (comparison_table(comparison), accuracy_table(comparison)):
        if cells:
            parts.append(markdown_table(header, cells, [at for at, title in enumerate(header) if is_number(title)]))
    parts += comparison.notes
    for one in comparison.accuracy:
        if one.answers.faces:
            table = "\n".join(one.answers.tables(_MOST_FACES, "the JSON file"))
            parts += [f"### {one.title}: {len(one.answers.faces):,} answers changed", table]
    return "\n\n".join(parts)


def comparison_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Header, and cells of each row: latency then and now, the ratio and its interval."""
    cells = [
        [
            *(str(one.row.batch), str(one.row.threads), one.row.model, one.row.label, one.row.precision),
            *(c.digits(one.old_p50_ms), c.digits(one.new_p50_ms), f"{one.ratio:.2f}"),
            f"{one.interval.low:.2f}–{one.interval.high:.2f}",
            one.result,
        ]
        for one in comparison.changes
    ]
    return [*_SETTING_HEADER, *_RATIO_HEADER], cells


def accuracy_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Header, and cells of each row: accuracy then and now, and the faces that only one of the two is right on."""
    header = ["model", "runtime", "prec", "batch", "faces", "then %", "now %", "points", "answers changed"]
    cells = [
        [
            *(one.rows[0].model, one.rows[0].label, one.rows[0].precision),
            ",".join(str(batch) for batch in sorted({row.batch for row in one.rows})),
            f"{one.answers.overall.num_faces:,}",
            *(f"{100 * value:.2f}" for value in (one.answers.overall.old, one.answers.overall.new)),
            signed(one.answers.overall.points),
            f"{len(one.answers.faces):,}",
            *(str(one.answers.overall.only_old_right), str(one.answers.overall.only_new_right)),
            *(f"{one.answers.overall.p_value:.2g}", one.result),
        ]
        for one in comparison.accuracy
    ]
    return [*header, "only then right", "only now right", "p (McNemar)", "result"], cells


def is_number(title: str) -> bool:
    """Whether a column of the comparison holds numbers."""
    return title not in ("model", "runtime", "prec", "result")


def environment_lines(environment: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and value of what the figures belong to."""
    load = environment["load_average"]
    memory = environment["memory_bytes"]
    lines = [
        ("CPU", f"{environment['cpu']} ({' '.join(environment['cpu_flags']) or 'no flags known'})"),
        ("GPU", environment["gpu"]),
        ("cores", f"{environment['cores_available']} available of {environment['cores']}"),
        ("memory", f"{memory / 2**30:.1f} GiB" if memory else None),
        ("system", environment["system"]),
        ("Python", environment["python"]),
        ("packages", ", ".join(f"{name} {version}" for name, version in environment["packages"].items())),
        ("governor", environment["governor"] or "not known"),
        ("load at the start", f"{load[0]:.2f} over a minute" if load else None),
        ("busy at the start", None if environment["busy_cores"] is None else f"{environment['busy_cores']} cores"),
        ("commit", environment["git_commit"] or "not a checkout"),
    ]
    return [(name, value) for name, value in lines if value]


def environment_markdown(environment: dict[str, Any]) -> str:
    """As a table."""
    return markdown_table(("", ""), environment_lines(environment))


def _method(benchmark: Benchmark) -> str:
    settings = benchmark.settings
    judged = settings["judged_on"]
    timed = settings.get("timed_run") or settings["turn"]  # "turn": the key of earlier versions
    text = METHOD.format(
        rounds=settings["rounds"],
        warm_up=timed["warm_up_runs"],
        budget_ms=1000 * timed["budget_s"],
        cold_starts=settings["cold_starts"],
    )
    if any(one.audit for one in benchmark.rows):
        text += _AUDITED
    if judged:
        text += (
            f" Accuracy and agreement: {judged}, answered at the row's batch size; reference: the checkpoint in eager "
            "PyTorch, else onnxruntime fp32, at its largest batch size."
        )
    return text


def _files(rows: Sequence[RowResult]) -> str:
    files = {(one.row.model, one.row.network, one.file, one.sha256): one.file_bytes for one in rows}
    cells = [[*names, f"{size:,}", sha256] for (*names, sha256), size in files.items()]
    return markdown_table(("model", "network", "file", "bytes", "SHA-256"), cells, right=(3,))


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"* {line}" for line in lines)
