"""``models``: what comes with this installation, by the names that every command takes."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_edge.cli import output
from fer_edge.errors import ModelError

if TYPE_CHECKING:
    from fer_edge.runtime.shipped import ShippedModel

SPLIT = "validation"
"""Whose accuracy is shown; test faces were never looked at."""


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """List the models that come with fer_edge: every command takes their names in place of a path.

    The names stand for the exported INT8 model where one is wanted, and for the checkpoint behind it where `train`,
    `export`, `evaluate`, `verify` or `explain` want one.

    Example: `fer-edge models`, then `fer-edge predict photo.jpg --model fer-tiny`
    """
    from fer_edge.runtime.shipped import DEFAULT_NAME, shipped_by_name

    found = [_facts(model) for model in shipped_by_name().values()]
    if not found:
        raise ModelError("expected models with this installation of fer_edge, found none; install it again")
    if as_json:
        output.result_json({"default": DEFAULT_NAME, "models": found})
        return
    from rich.table import Table

    from fer_edge.cli.tables import result_table

    table = Table("name", "network")
    for column in ("MB", "accuracy"):
        table.add_column(column, justify="right")
    table.add_column("classes")
    for one in found:
        accuracy = "" if one["accuracy"] is None else f"{one['accuracy']:.1%}"
        classes = f"{len(one['labels'])}: {', '.join(one['labels'])}"
        table.add_row(one["name"], one["architecture"], f"{one['size_bytes'] / 1e6:.1f}", accuracy, classes)
    result_table(table)
    for one in found:
        output.result(f"{one['name']}: {one['path']}")
        if one["checkpoint"] is not None:
            output.result(f"{' ' * len(one['name'])}  {one['checkpoint']}")
    measured = dict.fromkeys(one["measured_on"].removeprefix("this model, ") for one in found if one["measured_on"])
    output.note(f"accuracy: {'; '.join(measured)}; without a name, commands take {DEFAULT_NAME}")


def _facts(model: "ShippedModel") -> dict[str, Any]:
    metadata = model.metadata()
    metrics = metadata.metrics.get(SPLIT, {})
    return {
        "name": model.name,
        "path": str(model.path),
        "checkpoint": None if model.checkpoint is None else str(model.checkpoint),
        "size_bytes": model.path.stat().st_size,
        "architecture": metadata.architecture,
        "precision": metadata.precision,
        "labels": list(metadata.labels),
        "accuracy": metrics.get("accuracy"),
        "accuracy_standard_error": metrics.get("accuracy_standard_error"),
        "measured_on": metrics.get("measured_on", ""),
        "license": metadata.license,
    }
