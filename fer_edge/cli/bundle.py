"""``bundle``: a model with its measured claims and everything behind them in one archive."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_edge.cli.named import complete_checkpoint, complete_model, given_checkpoint, model_named
from fer_edge.cli.output import files_of_model, note, refuse_overwriting, result, result_json, wrote
from fer_edge.cli.tables import result_table
from fer_edge.cli.typed import ClassMapFile, Describe, LabelsOfFaces, ModelArgument, Trust, Votes, class_map_for
from fer_edge.errors import UsageError
from fer_edge.text import printable

if TYPE_CHECKING:
    from fer_edge.evidence.bundle import Bundle
    from fer_edge.evidence.claims import Claim
    from fer_edge.evidence.kinds import GivenFaces


def bundle(
    model: ModelArgument = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.zip",
            help="The archive; default: NAME-evidence.zip beside the model, of a shipped one here.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(help="Labelled faces, for a claim of the accuracy on them.")] = None,
    split: Annotated[
        Literal["validation", "test"], typer.Option(help="Choose on validation; look at test once.")
    ] = "validation",
    labels: LabelsOfFaces = None,
    votes: Votes = None,
    class_map: ClassMapFile = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on without files that cannot be read.")] = False,
    against: Annotated[
        Path | None,
        typer.Option(
            help="Time it in turns with this model, e.g. the fp32 file, which goes into the bundle, too.",
            autocompletion=complete_model,
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Compare it with this checkpoint or run, which goes into the bundle, too (needs torch).",
            callback=given_checkpoint,
            autocompletion=complete_checkpoint,
        ),
    ] = None,
    devices: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="The matrix that 'verify --devices' wrote.")
    ] = None,
    sign_key: Annotated[
        Path | None,
        typer.Option(metavar="KEY.pem", help="Sign it with this private elliptic key (extra 'sign')."),
    ] = None,
    describe: Describe = None,
    trust: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print claims and manifest as JSON.")] = False,
) -> None:
    """Write one archive that proves itself: the model, its golden kit, measured claims, raw samples, SHA-256 of all.

    Whoever gets it checks it with 'accept'. Examples:

        fer-edge bundle exported/NAME-int8.onnx --data fer2013

        fer-edge bundle exported/NAME-int8.onnx --against exported/NAME.onnx --checkpoint runs/NAME --sign-key me.pem
    """
    from fer_edge.evidence.bundle import BundleRequest, default_path, write_bundle

    path = model_named(model)  # says which file a name means
    kept = [*files_of_model(path), *(one for one in (devices, sign_key) if one is not None)]
    if against is not None:
        kept += files_of_model(model_named(against))
    refuse_overwriting("--out", [out or default_path(model)], kept)
    request = BundleRequest(
        model=model,
        out=out,
        faces=faces_given(data, labels, votes, class_map, skip_bad=skip_bad),
        split=split,
        against=against,
        checkpoint=checkpoint,
        devices=devices,
        sign_key=sign_key,
        description=describe,
        trust=trust,
    )
    written = write_bundle(request, note)
    if as_json:
        result_json(written.to_dict())
    else:
        _print(written)
    wrote(written.path)


def faces_given(
    data: str | None, labels: str | None, votes: Path | None, class_map: Path | None, *, skip_bad: bool
) -> "GivenFaces | None":
    """What the options with ``--data`` say; None without it. Raises UsageError where others are given without it."""
    from fer_edge.evidence.kinds import GivenFaces

    mapped = class_map_for(data, class_map)
    if data is None:
        given = {"--labels": labels is not None, "--votes": votes is not None, "--skip-bad": skip_bad}
        if others := [option for option, is_given in given.items() if is_given]:
            raise UsageError(f"{others[0]}: expected --data with it, found none; add it")
        return None
    return GivenFaces(data, labels, votes, mapped, skip_bad)


def _print(written: "Bundle") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("claim", "measured here", "another machine may differ by")
    for claim in written.claims:
        table.add_row(claim.id, Text(_short(claim)), Text(_allowed(claim)))
    result_table(table)
    count = len(written.manifest.files) + 1 + written.is_signed
    result(f"{count} files, {written.size_bytes / 1e6:.1f} MB, {'signed' if written.is_signed else 'not signed'}")


def _short(claim: "Claim") -> str:
    from fer_edge.evidence.kinds import short

    return printable(short(claim))


def _allowed(claim: "Claim") -> str:
    return ", ".join(f"{name} {limit:.3g}" for name, limit in claim.allowed.items()) or "nothing"
