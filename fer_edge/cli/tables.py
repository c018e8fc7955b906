"""Tables of results: boxed in a terminal that is wide enough, plain lines elsewhere, which never wrap when piped."""

from typing import TYPE_CHECKING

from fer_edge.cli.output import result_rich

if TYPE_CHECKING:
    from rich.table import Table

_PIPED_WIDTH = 1000  # columns; rich assumes 80 where there is no terminal, and would break words to fit


def result_table(table: "Table") -> None:
    """Print a table of results on stdout, every word and number of it: in a terminal that is too narrow, too."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console()
    unbounded = Console(width=_PIPED_WIDTH)  # a console never measures a table as wider than itself
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
        table.box = None
    elif Measurement.get(unbounded, unbounded.options, table).minimum > console.width:
        table.box = None
        for column in table.columns:  # names and numbers stay whole; sentences have line breaks
            column.no_wrap = not any(" " in str(cell) for cell in column.cells)
            column.overflow = "fold"
        console.width = max(console.width, Measurement.get(unbounded, unbounded.options, table).minimum)
    result_rich(console, table)
