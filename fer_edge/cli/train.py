"""``train``: begin a run, or go on with one."""

import shlex
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from fer_edge.cli.output import is_main_process, note, result, result_json, wrote
from fer_edge.cli.settings import config_from, with_settings
from fer_edge.cli.typed import ClassMapFile, Labels, Votes, class_map_in, is_typed
from fer_edge.errors import UsageError
from fer_edge.labels import AUTO
from fer_edge.training.config import AUGMENTATION, TrainConfig
from fer_edge.training.presets import preset_named, refuse_missing_presets

_WITH_RESUME = {"resume", "data", "device", "json_output"}


@with_settings()
def train(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Option(help="Folder or CSV of labelled faces, or 'sample' for synthetic ones. [default: fer2013/ here]"),
    ] = None,
    labels: Labels = AUTO,
    name: Annotated[str | None, typer.Option(help="Name of the run. [default: architecture and time]")] = None,
    runs: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs"),
    preset: Annotated[
        str | None,
        typer.Option(help="fer-resnet18 or another recipe: settings to begin with. Other options change them."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this run folder, with the settings it began with.")
    ] = None,
    drop_leaks: Annotated[
        bool, typer.Option(help="Leave out validation and test faces that are byte-identical to a training face.")
    ] = False,
    skip_bad: Annotated[bool, typer.Option(help="Go on without files and rows that cannot be read.")] = False,
    votes: Votes = None,
    class_map: ClassMapFile = None,
    augment_strength: Annotated[
        float,
        typer.Option(help="Multiplies all variations below.", rich_help_panel=AUGMENTATION),
    ] = 1.0,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    **settings: Any,
) -> None:
    """Train a classifier under a one-cycle schedule and keep it in a run folder.

    `fer-edge train --data sample --architecture tiny` takes seconds; `fer-edge train` trains
    ResNet18 on fer2013/. Ctrl-C saves and says how to go on. Several GPUs or machines:
    `torchrun --standalone --nproc_per_node=2 -m fer_edge train ...`. A longer recipe:
    `fer-edge train --data fer2013 --preset teacher --name teacher-0`.
    """
    if resume is not None:
        _refuse_settings(context)
    else:
        config = _config(context)

    from fer_edge.training.preparation import DataRequest
    from fer_edge.training.runs import resume as resume_run
    from fer_edge.training.runs import train as train_run

    if resume is not None:
        done = resume_run(resume, source=data, device=settings["device"] if is_typed(context, "device") else None)
    else:
        # A preset's own name, so that the presets that begin from its run find it.
        name = name or preset or f"{config.architecture}-{datetime.now():%Y%m%d-%H%M%S}"
        votes_table, mapped = None if votes is None else str(votes), class_map_in(class_map)
        entries = {} if mapped is None else dict(mapped.entries)
        request = DataRequest(data, skip_bad, drop_leaks, labels, votes_table, entries)
        done = train_run(config, request, runs / name)
    if not is_main_process():
        return
    history = done.history
    if json_output:
        summary = {**asdict(history), "folder": str(done.folder), "config": done.record.config.to_dict()}
        summary["left_out_files"] = done.left_out
        result_json({**summary, "machine": done.record.machine, "starting_weights": done.record.starting_weights})
    else:
        early = ", stopped early" if history.stopped_early else ""
        result(
            f"best validation accuracy {history.best_accuracy:.4f} "
            f"(epoch {history.best_epoch} of {len(history.rows)}{early})"
        )
    wrote(done.folder / "checkpoints" / "best.pt", done.folder / "curves.png")
    note(f"next: fer-edge evaluate --checkpoint {shlex.quote(str(done.folder))}")


def _config(context: typer.Context) -> TrainConfig:
    """The preset's settings, or the defaults, under those that were typed."""
    preset = context.params["preset"]
    base = preset_named(preset, context.params["runs"]) if preset is not None else TrainConfig()
    config = config_from(context, base, is_preset=preset is not None)
    config = replace(config, augment=config.augment.scaled(context.params["augment_strength"]))
    refuse_missing_presets(config)
    return config


def _refuse_settings(context: typer.Context) -> None:
    """A resumed run keeps its settings: anything else on the command line is a mistake to hear about."""
    for parameter in context.command.params:
        if parameter.name not in _WITH_RESUME and is_typed(context, parameter.name or ""):
            raise UsageError(f"--resume goes on with the settings the run began with; leave out {parameter.opts[0]}")
