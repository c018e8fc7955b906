"""The table that ``benchmark`` prints: one for all rows, with as many columns as the terminal has room for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fer_edge.cli.evaluate_reports import result_answer_changes
from fer_edge.cli.output import result
from fer_edge.cli.tables import result_table

if TYPE_CHECKING:
    from rich.table import Table

    from fer_edge.benchmark.columns import Column
    from fer_edge.benchmark.comparison import Comparison
    from fer_edge.benchmark.results import Benchmark, RowResult


def print_table(done: "Benchmark") -> None:
    """Environment, rows by batch size and threads, ties, notes and recommendations, on stdout."""
    from fer_edge.benchmark.recommendation import ties
    from fer_edge.benchmark.report import environment_lines

    for name, value in environment_lines(done.environment):
        result(f"{name:<18}{value}")
    result("")
    result_table(_table(done.timed))
    for line in (*ties(done.timed), *done.notes):
        result(line)
    result("")
    for line in done.recommendations:
        result(line)


def print_comparison(comparison: "Comparison") -> None:
    """Against an earlier benchmark, on stdout: ratios, accuracy, and what changed by class where anything did."""
    from rich.text import Text

    from fer_edge.benchmark.report import accuracy_table, comparison_table, is_number

    result("\nagainst the other benchmark:")
    for header, rows in (comparison_table(comparison), accuracy_table(comparison)):
        if not rows:
            continue
        table = _empty_table()
        for title in header:
            table.add_column(title, justify="right" if is_number(title) else "left")
        for cells in rows:
            table.add_row(*map(Text, cells))
        result_table(table)
    for line in comparison.notes:
        result(line)
    for one in comparison.accuracy:
        if one.answers.faces:
            result(f"\n{one.title}: {len(one.answers.faces):,} answers changed")
            result_answer_changes(one.answers)


def _table(rows: "Sequence[RowResult]") -> "Table":
    """As wide as fits: columns that matter least go first. A pipe gets them all."""
    from rich.console import Console

    columns, console = _columns(rows), Console()
    if console.is_terminal:
        unbounded = Console(width=10_000)  # a console never measures a table as wider than itself
        for column in _least_important_first():
            if unbounded.measure(_filled_table(columns, rows)).maximum <= console.width:
                break
            columns = [one for one in columns if one is not column]
    return _filled_table(columns, rows)


def _columns(rows: "Sequence[RowResult]") -> "list[Column]":
    """In the order they are printed, without those that are empty in all rows."""
    from fer_edge.benchmark import columns as c
    from fer_edge.benchmark.report import name_columns

    figures = [c.P50, c.INTERVAL, c.P90, c.P95, c.P99, c.RATE, c.ACCURACY, c.MACRO_F1, c.AGREEMENT, c.COLD, c.MEMORY]
    figures += [c.FILE, c.COPIES, c.CUDA_SHARE]
    shown = [column for column in figures if any(column.value(one) is not None for one in rows)]
    return [c.BATCH, c.THREADS, *name_columns(rows), *shown]


def _least_important_first() -> "list[Column]":
    from fer_edge.benchmark import columns as c

    return [c.AGREEMENT, c.MACRO_F1, c.P90, c.P99, c.INTERVAL, c.P95, c.MEMORY, c.FILE, c.COLD]


def _filled_table(columns: "Sequence[Column]", rows: "Sequence[RowResult]") -> "Table":
    from rich.text import Text

    from fer_edge.benchmark.results import by_setting

    table = _empty_table()
    for column in columns:
        table.add_column(column.title, justify="left" if column.is_text else "right", no_wrap=True)
    for group in by_setting(rows).values():
        for one in group:
            table.add_row(*(Text(column.cell(one)) for column in columns), end_section=one is group[-1])
    return table


def _empty_table() -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
