"""``calibrate``: when a model's answers are certain, fitted on labelled faces and kept in its metadata."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fer_edge.cli.named import complete_model, model_named
from fer_edge.cli.output import note, result, result_json, wrote
from fer_edge.cli.tables import result_table
from fer_edge.cli.typed import ClassMapFile, LabelsOfFaces, Trust, Votes, class_map_in
from fer_edge.errors import UsageError
from fer_edge.files import require_writable
from fer_edge.text import printable, shown_name

if TYPE_CHECKING:
    from fer_edge.export.uncertainty import LeftOut
    from fer_edge.uncertainty import Uncertainty


def calibrate(
    model: Annotated[
        Path,
        typer.Argument(help="An exported model of any format.", show_default=False, autocompletion=complete_model),
    ],
    data: Annotated[
        str | None, typer.Option(help="Labelled faces that the model was not trained on. [default: fer2013/ here]")
    ] = None,
    labels: LabelsOfFaces = None,
    votes: Votes = None,
    class_map: ClassMapFile = None,
    split: Annotated[
        Literal["validation", "all"],
        typer.Option(help="Which faces: validation, or all of a folder that is new to the model."),
    ] = "validation",
    coverage: Annotated[
        float, typer.Option(min=0.5, max=0.99, help="How often the right label is among the candidates.")
    ] = 0.9,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Draws which faces choose and which check.")] = 0,
    sidecar: Annotated[
        bool, typer.Option("--sidecar", help="Write NAME.json alone; the .onnx stays as it is, byte for byte.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be written, and write nothing.")] = False,
    skip_bad: Annotated[bool, typer.Option(help="Go on without files and rows that cannot be read.")] = False,
    provider: Annotated[str, typer.Option(help="cpu, cuda, or auto: the best there is.")] = "cpu",
    trust: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Find out when a model's answers are certain, and keep it in the model's metadata.

    One half of the faces chooses a temperature, a threshold for each risk and the candidates; the other half checks
    them: exit code 3, and nothing is written, where it shows that a risk is not kept.

    Example: `fer-edge calibrate exported/NAME.onnx --data fer2013`

    Example: `fer-edge predict photos/ --model exported/NAME.onnx --certain-only --max-risk 0.1`
    """
    from fer_edge.export.uncertainty import calibrate_model, write_uncertainty
    from fer_edge.runtime.shipped import shipped_named

    if shipped_named(model) is not None and not dry_run:
        raise UsageError(
            f"{model}: expected a file of your own to write to, found the name of a shipped model; copy it, or look "
            "with --dry-run"
        )
    path = model_named(model)
    if not dry_run:
        require_writable(path.parent)
    found, left_out = calibrate_model(
        path,
        source=data,
        labels=labels,
        votes=votes,
        class_map=class_map_in(class_map),
        split=split,
        skip_bad=skip_bad,
        coverage=coverage,
        seed=seed,
        provider=provider,
        trust=trust,
    )
    for told in _told(left_out):
        note(told)
    if as_json:
        from dataclasses import asdict

        result_json({"model": str(path), **asdict(found), "left_out_files": dict(left_out.files)})
    else:
        _print(path, found)
    if not dry_run:
        wrote(*write_uncertainty(path, found, sidecar_only=sidecar))


def _told(left_out: "LeftOut") -> list[str]:
    reasons = (
        (left_out.leaked, "that are training faces, too"),
        (left_out.repeated, "that are there twice"),
        (left_out.without_label, "without a label"),
    )
    return [f"left out: {number:,} faces {reason}" for number, reason in reasons if number]


def _print(path: Path, found: "Uncertainty") -> None:
    from rich.table import Table

    faces = found.checked_faces
    result(
        f"{shown_name(path)} on {printable(found.data_source)}, {found.split}: temperature from "
        f"{found.temperature_faces} faces, thresholds from {found.threshold_faces}, checked on {faces}\n"
    )
    risks = Table("at most wrong")
    for column in ("confidence above", "faces answered", "of these wrong"):
        risks.add_column(column, justify="right")
    for one in found.risks:
        if one.threshold is None:
            risks.add_row(f"{one.max_risk:.0%}", "none found", "0.0%", "")
            continue
        wrong = f"{one.checked_mistakes / one.checked_answers:.1%}" if one.checked_answers else ""
        risks.add_row(f"{one.max_risk:.0%}", f"{one.threshold:.4f}", f"{one.checked_answers / faces:.1%}", wrong)
    result_table(risks)
    result("")
    sets = Table("class")
    for each in found.sets:
        sets.add_column(f"{each.method.upper()} has it", justify="right")
    sets.add_column("faces", justify="right")
    for name, (number, _) in found.sets[0].classes.items():
        shares = [f"{each.classes[name][1] / number:.1%}" if number else "" for each in found.sets]
        sets.add_row(printable(name), *shares, str(number))
    sets.add_row("all", *(f"{each.checked_covered / faces:.1%}" for each in found.sets), str(faces))
    sets.add_row("mean candidates", *(f"{each.mean_size:.2f}" for each in found.sets), "")
    result_table(sets)
    result("")
    result(f"temperature        {found.temperature:.4f}")
    result(
        f"calibration error  {found.calibration_error:.4f} before the temperature, "
        f"{found.calibration_error_at_temperature:.4f} after"
    )
