"""``tune``: a small search over settings."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_edge.cli.output import note, result, result_json, wrote
from fer_edge.cli.program import as_called
from fer_edge.cli.settings import config_from, with_settings
from fer_edge.cli.tables import result_table
from fer_edge.cli.typed import ClassMapFile, Labels, Votes, class_map_in
from fer_edge.labels import AUTO
from fer_edge.training.config import TrainConfig

if TYPE_CHECKING:
    from fer_edge.training.tune import SearchResult

_SEARCHED = ("max_lr", "weight_decay", "batch_size", "augment_strength")
_OF_ONE_RUN = ("save_interval", "tensorboard")


@with_settings(leave_out=(*_SEARCHED, *_OF_ONE_RUN), defaults={"epochs": 4})
def tune(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Option(help="Folder or CSV of labelled faces, or 'sample' for synthetic ones. [default: fer2013/ here]"),
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Finished trials in all; earlier sessions' count.")] = 20,
    storage: Annotated[Path, typer.Option(help="SQLite file that keeps every trial.")] = Path("runs/tune.db"),
    study: Annotated[
        str | None, typer.Option(help="Name of the search; one that exists is gone on with. [default: architecture]")
    ] = None,
    timeout: Annotated[float | None, typer.Option(min=0, help="Minutes after which no trial begins.")] = None,
    drop_leaks: Annotated[
        bool, typer.Option(help="Leave out validation faces that are byte-identical to a training face.")
    ] = False,
    skip_bad: Annotated[bool, typer.Option(help="Go on without files and rows that cannot be read.")] = False,
    labels: Labels = AUTO,
    votes: Votes = None,
    class_map: ClassMapFile = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    **settings: Any,
) -> None:
    """Search learning rate, weight decay, batch size and augmentation strength by short runs, judged on validation.

    Needs the extra 'tune' (optuna). Ctrl-C keeps what is finished; the same command goes on.
    Example: `fer-edge tune --data sample --architecture tiny --trials 10`
    """
    config = config_from(context, TrainConfig(epochs=settings["epochs"]))

    from fer_edge.training.preparation import DataRequest
    from fer_edge.training.tune import Search, search

    votes_table, mapped = None if votes is None else str(votes), class_map_in(class_map)
    entries = {} if mapped is None else dict(mapped.entries)
    request = DataRequest(data, skip_bad, drop_leaks, labels, votes_table, entries)
    map_file = None if class_map is None else str(class_map)
    done = search(Search(config, request, storage, study or config.architecture, trials, timeout, map_file), note)
    if json_output:
        command = None if done.train_command is None else as_called(done.train_command)
        result_json({**asdict(done), "train_command": command, "storage": str(storage)})
    else:
        _print(done)
    wrote(storage)


def _print(done: "SearchResult") -> None:
    from rich.table import Table

    table = Table("trial", "state")
    for column in ("accuracy", "max lr", "decay", "batch", "augment", "s"):
        table.add_column(column, justify="right")
    for trial in done.trials:
        settings = trial.settings
        table.add_row(
            f"{trial.number}{' (best)' if trial == done.best else ''}",
            trial.state,
            "" if trial.accuracy is None else f"{trial.accuracy:.4f}",
            *(f"{settings[name]:.3g}" if name in settings else "" for name in _SEARCHED),
            "" if trial.seconds is None else f"{trial.seconds:.0f}",
        )
    result_table(table)
    if done.best is None:
        result("no trial completed; give the search more with --trials")
    else:
        result(f"best validation accuracy {done.best.accuracy:.4f} (trial {done.best.number}); train with it:")
        result(f"  {as_called(done.train_command or '')}")
