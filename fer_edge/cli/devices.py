"""``verify --devices`` and ``devices``: a model's answers on devices that are not here."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli.output import note, result, result_json, wrote
from fer_edge.cli.program import ProgramGroup
from fer_edge.cli.stopping import signal_behind
from fer_edge.cli.tables import result_table
from fer_edge.errors import CheckFailed, Interrupted
from fer_edge.labels import FER2013
from fer_edge.own_files import OwnFiles

if TYPE_CHECKING:
    from fer_edge.data.class_map import ClassMap
    from fer_edge.devices.matrix import Matrix

devices = typer.Typer(cls=ProgramGroup, no_args_is_help=True)


@devices.callback()
def group() -> None:
    """Reports of a model's answers on other people's machines; `verify --devices` makes the matrix they go into.

    Example: `fer-edge devices merge devices/NAME-devices.json report.json`
    """


@devices.command()
def merge(
    matrix: Annotated[Path, typer.Argument(help="NAME-devices.json, as 'verify --devices' wrote it.")],
    reports: Annotated[list[Path], typer.Argument(help="What 'python check.py --report FILE' wrote there.")],
    json_output: Annotated[bool, typer.Option("--json", help="Print the matrix as JSON.")] = False,
) -> None:
    """Add reports that owners of other machines sent to a matrix, marked as reported.

    They get the kit that `golden` writes and the model, and run `python check.py MODEL --report report.json` there.
    Example: `fer-edge devices merge devices/NAME-devices.json report.json`
    """
    from fer_edge.devices.matrix import merged, read_matrix
    from fer_edge.devices.output import output_paths

    own_files = OwnFiles("copy the matrix to a folder of its own")
    read = read_matrix(matrix)
    own_files.accept(matrix)  # it was made here or elsewhere, and is to be replaced
    own_files.refuse_foreign(output_paths(matrix.parent, matrix.stem))
    _finish(merged(read, reports), matrix.parent, matrix.stem, json_output, own_files)


def verify_devices(
    model: Path,
    data: str | None,
    targets: str | None,
    num_faces: int,
    out: Path,
    skip_bad: bool,
    json_output: bool,
    class_map: "ClassMap | None" = None,
) -> None:
    """Run the matrix of ``model`` and write it to ``out``. Raises CheckFailed unless it is true, Interrupted."""
    from fer_edge.data.load import load_faces_for
    from fer_edge.data.relabel import relabelled
    from fer_edge.devices.farm import chosen_faces, run_devices
    from fer_edge.devices.output import output_paths
    from fer_edge.devices.progress import Reporter
    from fer_edge.devices.targets import DEVICES, devices_named
    from fer_edge.runtime.model_file import read_model

    own_files = OwnFiles("choose another folder with --out")
    own_files.refuse_foreign(output_paths(out, f"{model.stem}-devices"))
    wanted = list(DEVICES.values()) if targets is None else devices_named(targets.split(","))
    metadata = read_model(model).metadata
    faces, left_out_files = None, None
    if data is not None or metadata.label_set == FER2013:  # whose are the synthetic faces
        wanted_labels = metadata.label_set
        found = load_faces_for(wanted_labels, data or "sample", skip_bad=skip_bad, class_map=class_map)
        read = relabelled(found, wanted_labels)
        name = Path(read.source).name  # reports travel: they must not tell this machine's folders
        left_out_files = found.left_out
        faces = chosen_faces(read.split("validation"), num_faces, name)
    try:
        with Reporter(len(wanted)) as reporter:
            matrix = run_devices(model, wanted, faces, out / "runs", reporter.on_row)
    except KeyboardInterrupt as stop:
        kept = f"interrupted; what had finished is kept in {out / 'runs'}: the same command goes on from there"
        raise Interrupted(kept, signal_behind(stop)) from stop
    _finish(matrix, out, f"{model.stem}-devices", json_output, own_files, left_out_files or {})


def _finish(
    matrix: "Matrix",
    out: Path,
    stem: str,
    json_output: bool,
    own_files: OwnFiles,
    left_out_files: Mapping[str, int] | None = None,
) -> None:
    """Write and show the matrix. ``left_out_files``: of the faces, by kind; None where none were read."""
    from rich.table import Table
    from rich.text import Text

    from fer_edge.devices.output import write_matrix

    files = write_matrix(matrix, out, stem, own_files, note)
    if json_output:
        left_out = {} if left_out_files is None else {"left_out_files": dict(left_out_files)}
        result_json(matrix.to_dict() | left_out)
    else:
        heading, *rows = matrix.cells()
        table = Table(*heading)
        for row in rows:
            table.add_row(*map(Text, row))  # a processor's name may look like markup
        result_table(table)
        for line in matrix.reasons():
            result(line)
    wrote(*files)
    if not matrix:
        failed = matrix.failures
        why = f"{failed[0].device}: {failed[0].reason}" if failed else "no device could be tried"
        raise CheckFailed(f"{matrix.model}: expected its own answers on every device, found others: {why}")
