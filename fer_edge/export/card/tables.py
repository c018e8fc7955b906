"""Markdown tables, and how numbers stand in text."""

import re
from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]], right: Iterable[int] = ()) -> str:
    """A table in Markdown, padded so that it also reads well as plain text; ``right``: the columns of numbers."""
    cells = [[re.sub(r"(?<!\\)\|", r"\\|", str(cell)) for cell in row] for row in (header, *rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(header))]
    right = set(right)

    def line(row: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (width - 1) + ":" if column in right else "-" * width for column, width in enumerate(widths)]
    return "\n".join([line(cells[0]), line(rule), *(line(row) for row in cells[1:])])


def signed(points: float, decimals: int = 2) -> str:
    """Percentage points with their sign; what rounds to nothing has none: ``0.00``, not ``-0.00``."""
    rounded = round(points, decimals)
    return f"{rounded:+.{decimals}f}" if rounded else f"{0:.{decimals}f}"


def plain(text: str) -> str:
    """``text`` that Markdown shows as it is, whatever signs are in it: a label may be called ``<a> | *b*``."""
    return re.sub(r"([\\`*\[\]<>&#|~]|(?<!\w)_|_(?!\w))", r"\\\1", text)
