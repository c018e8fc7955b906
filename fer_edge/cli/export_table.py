"""The table of ``export --all``."""

from typing import TYPE_CHECKING

from fer_edge.cli import output

if TYPE_CHECKING:
    from fer_edge.export.every_format import EveryFormat, FormatRow

_UNKNOWN = "–"


def print_formats(done: "EveryFormat") -> None:
    """A row for each format and precision that was written or failed; below it what was not and how to get it."""
    from rich.table import Table

    from fer_edge.cli.tables import result_table
    from fer_edge.export.every_format import FAILED, NOT_INSTALLED, NOT_MADE, WRITTEN

    table = Table("format", "precision")
    for column in ("MB", "differs by", "accuracy", "labels changed", "from ONNX", "time"):
        table.add_column(column, justify="right")
    table.add_column("files")
    table.add_column("runs by")
    for row in done.rows:
        if row.state in (WRITTEN, FAILED):
            table.add_row(*_cells(row))
    result_table(table)
    for row in done.rows:
        if row.state in (NOT_INSTALLED, NOT_MADE):
            output.result(f"{row.file_format} {row.precision}: {row.state}: {row.reason}")
    faces = f"; accuracy on {done.num_faces} faces of {done.source}" if done.num_faces else ""
    output.note(
        "differs by: largest difference of a probability from the checkpoint's; labels changed: from the checkpoint's, "
        "and from those of the ONNX file of the same precision; time: one face on one thread, over the fp32 ONNX "
        f"file's, in turns{faces}"
    )


def _cells(row: "FormatRow") -> tuple[str, ...]:
    return (
        row.file_format,
        row.precision,
        f"{row.num_bytes / 1e6:.1f}" if row.files else "FAILED",
        _UNKNOWN if row.max_probability_difference is None else f"{row.max_probability_difference:.1g}",
        _UNKNOWN if row.accuracy is None else f"{row.accuracy:.2%}",
        _UNKNOWN if row.labels_changed is None else f"{row.labels_changed:.2%}",
        _UNKNOWN if row.labels_changed_from_onnx is None else f"{row.labels_changed_from_onnx:.2%}",
        _UNKNOWN if row.relative_time is None else f"{row.relative_time:.2f}x",
        " ".join(path.name for path in row.files) or row.reason,
        row.on_device,
    )
