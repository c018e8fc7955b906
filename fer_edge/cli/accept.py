"""``accept``: measure again, on this machine, what a bundle claims of its model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli.bundle import faces_given
from fer_edge.cli.output import note, result, result_json
from fer_edge.cli.tables import result_table
from fer_edge.cli.typed import ClassMapFile, LabelsOfFaces, Trust, Votes
from fer_edge.errors import CheckFailed
from fer_edge.text import printable

if TYPE_CHECKING:
    from fer_edge.evidence.acceptance import Acceptance


def accept(
    bundle: Annotated[Path, typer.Argument(help="NAME-evidence.zip, as 'bundle' wrote it.", metavar="BUNDLE")],
    data: Annotated[
        str | None, typer.Option(help="Labelled faces here: those of the claim, to measure its accuracy again.")
    ] = None,
    labels: LabelsOfFaces = None,
    votes: Votes = None,
    class_map: ClassMapFile = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on without files that cannot be read.")] = False,
    verify_key: Annotated[
        Path | None,
        typer.Option(metavar="PUB.pem", help="The public elliptic key of who must have signed it (extra 'sign')."),
    ] = None,
    trust: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Check each claim of a bundle on this machine: exit code 3 where one fails. What cannot be checked is said so.

    Example: `fer-edge accept NAME-evidence.zip --data fer2013`
    """
    from fer_edge.evidence.acceptance import AcceptRequest, accept_bundle

    faces = faces_given(data, labels, votes, class_map, skip_bad=skip_bad)
    done = accept_bundle(AcceptRequest(bundle, faces, verify_key, trust), note)
    if as_json:
        result_json(done.to_dict())
    else:
        _print(done)
    if not done:
        raise CheckFailed(f"{bundle}: {done.failure_text()}")


def _print(done: "Acceptance") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("claim", "result", "stated", "found here")
    colours = {"passed": "green", "failed": "red", "not checked": "yellow"}
    for one in done.results:
        outcome = Text(one.outcome, style=colours[one.outcome])
        table.add_row(Text(printable(one.id)), outcome, Text(printable(one.stated)), Text(printable(one.found)))
    result_table(table)
    for one in done.results:
        if one.reason:
            result(f"{printable(one.id)}: {one.outcome}: {printable(one.reason)}")
    measured = done.manifest.environment  # the bundle's own word
    result(
        f"measured on {printable(measured.get('processor', 'an unknown processor'))}, "
        f"{printable(measured.get('system', ''))}"
    )
