"""``verify --devices`` and ``devices``: a model's answers on devices that are not here."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli.output import note, result, result_json, wrote
from fer_edge.cli.tables import result_table
from fer_edge.errors import CheckFailed

if TYPE_CHECKING:
    from fer_edge.devices.matrix import Matrix

devices = typer.Typer(no_args_is_help=True, help="Reports of a model's answers on other people's machines.")


@devices.callback()
def group() -> None:
    """Reports of a model's answers on other people's machines; `verify --devices` makes the matrix they go into."""


@devices.command()
def merge(
    matrix: Annotated[Path, typer.Argument(help="NAME-devices.json, as 'verify --devices' wrote it.")],
    reports: Annotated[list[Path], typer.Argument(help="What 'python check.py --report FILE' wrote there.")],
    json_output: Annotated[bool, typer.Option("--json", help="Print the matrix as JSON.")] = False,
) -> None:
    """Add reports that owners of other machines sent to a matrix, marked as reported.

    They get the kit that `golden` writes and the model, and run `python check.py MODEL --report report.json` there.
    Example: `python cli.py devices merge devices/NAME-devices.json report.json`
    """
    from fer_edge.devices.matrix import merged, read_matrix

    _finish(merged(read_matrix(matrix), reports), matrix.parent, matrix.stem, json_output)


def verify_devices(
    model: Path, data: str | None, targets: str | None, num_faces: int, out: Path, skip_bad: bool, json_output: bool
) -> None:
    """Run the matrix of ``model`` and write it to ``out``. Raises CheckFailed unless it is true."""
    from fer_edge.data.load import load_faces_for
    from fer_edge.devices.farm import chosen_faces, run_devices
    from fer_edge.devices.targets import DEVICES, devices_named
    from fer_edge.runtime.model_file import read_model

    wanted = list(DEVICES.values()) if targets is None else devices_named(targets.split(","))
    metadata = read_model(model).metadata
    source = "sample" if data is None else data
    read = load_faces_for(metadata.label_set, source, skip_bad=skip_bad)
    if read.labels != metadata.label_set:
        from fer_edge.data.load import load_faces

        read = load_faces(source, labels=metadata.label_set, skip_bad=skip_bad)
    faces = chosen_faces(read.split("validation"), num_faces, read.source)
    _finish(run_devices(model, wanted, faces, out / "runs", note), out, f"{model.stem}-devices", json_output)


def _finish(matrix: "Matrix", out: Path, stem: str, json_output: bool) -> None:
    from rich.table import Table

    from fer_edge.devices.matrix import as_json
    from fer_edge.files import make_folder, write_text

    make_folder(out)
    files = [out / f"{stem}{suffix}" for suffix in (".json", ".md", ".png")]
    write_text(files[0], as_json(matrix))
    write_text(files[1], matrix.markdown())
    try:
        from fer_edge.devices.plot import plot_matrix

        plot_matrix(matrix, files[2])
    except ImportError:
        files.pop()
    if json_output:
        result_json(matrix.to_dict())
    else:
        heading, *rows = matrix.cells()
        table = Table(*heading)
        for row in rows:
            table.add_row(*row)
        result_table(table)
        for line in matrix.reasons():
            result(line)
    wrote(*files)
    if not matrix:
        failed = matrix.failures
        why = f"{failed[0].device}: {failed[0].reason}" if failed else "no device could be tried"
        raise CheckFailed(f"{matrix.model}: expected its own answers on every device, found others: {why}")
