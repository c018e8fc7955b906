"""Tables of results: boxed in a terminal, plain lines that never wrap when piped."""

from typing import TYPE_CHECKING

from fer_edge.cli.output import result_rich

if TYPE_CHECKING:
    from rich.table import Table

_PIPED_WIDTH = 1000  # columns; rich assumes 80 where there is no terminal, and would break words to fit


def result_table(table: "Table") -> None:
    """Print a table of results on stdout."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = _PIPED_WIDTH
        table.box = None
    result_rich(console, table)
