"""``score``: any number of images into Parquet files, by all cores or by a Ray cluster."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli import output
from fer_edge.cli.named import MODEL_HELP, complete_model, model_named
from fer_edge.cli.score_progress import score_progress
from fer_edge.cli.stopping import signal_behind
from fer_edge.cli.typed import CertainOnly, Describe, MaxRisk
from fer_edge.errors import ImageError, Interrupted
from fer_edge.text import shown_name

if TYPE_CHECKING:
    from fer_edge.scoring.report import ScoreReport


def score(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DIR_OR_PARQUET",
            help="A folder of images, or Parquet with a column of paths or images; s3://, gs:// addresses too.",
        ),
    ],
    out: Annotated[str, typer.Option(help="Folder for the Parquet files: new, empty, or that of the same run.")],
    model: Annotated[
        Path | None,
        typer.Option(
            help=f"A model file of any format; {MODEL_HELP}", show_default=False, autocompletion=complete_model
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(help="Parquet: the column of paths or of images. [default: bytes, image or path]"),
    ] = None,
    engine: Annotated[str, typer.Option(help="local: processes of this machine. ray: Ray Data.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster. [default: RAY_ADDRESS, or one started for the run]")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes of one thread each; 0: as many as cores.")] = 0,
    rows: Annotated[int, typer.Option(min=1, help="About how many rows a file has.")] = 2048,
    batch_size: Annotated[int, typer.Option(min=1, help="Images of one size that are scored together.")] = 32,
    certain_only: CertainOnly = False,
    max_risk: MaxRisk = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    describe: Describe = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Open a model whose loading runs code in it, or whose graph is unusual."),
    ] = False,
) -> None:
    """Score any number of images, each one face, into Parquet files: path, label, confidence, probabilities, error.

    Stopped in any way, the same command goes on. An image that cannot be scored is a row with an error. Exit code 1
    if none could be scored or a folder could not be listed.

    Example: `fer-edge score faces/ --out results/`

    Example: `fer-edge score faces.parquet --column image --model fer-tiny --out results/`
    """
    from fer_edge.scoring.report import ScoreProgress
    from fer_edge.scoring.request import ScoreRequest
    from fer_edge.scoring.run import score as run_score

    request = ScoreRequest(
        source=source,
        out=out,
        model=None if model is None else model_named(model),
        column=column,
        engine=engine,
        address=address,
        workers=workers,
        rows=rows,
        batch_size=batch_size,
        max_risk=max_risk,
        certain_only=certain_only,
        trust=trust,
        description=describe,
    )
    counts = ScoreProgress()
    try:
        with score_progress() as show:

            def report(now: ScoreProgress) -> None:
                nonlocal counts
                counts = now
                show(now)

            done = run_score(request, progress=report)
    except KeyboardInterrupt as stop:
        saved = "interrupted; no file was finished; the same command goes on"
        if counts.rows:
            where = f"{counts.rows} rows in {counts.parts} files are saved in {shown_name(out)}"
            saved = f"interrupted; {where}; the same command goes on"
        raise Interrupted(saved, signal_behind(stop)) from None
    _finish(done, as_json=as_json)


def _finish(done: "ScoreReport", *, as_json: bool) -> None:
    """Print what was done. Raises ImageError where nothing could be scored or a folder could not be listed."""
    if as_json:
        output.result_json(done.as_dict())
    else:
        new = done.rows - done.rows_before
        before = f", {done.rows_before} were written before" if done.rows_before else ""
        output.result(f"{new} images scored in {done.seconds:.1f} s ({done.images_per_s:.0f}/s){before}")
        for label, count in done.labels.items():
            output.result(f"  {label}: {count}")
    if done.restarts:
        output.note(
            f"{done.restarts} worker process{'es' * (done.restarts > 1)} ended and began again; nothing is lost"
        )
    if done.uncertain:
        output.note(f"{done.uncertain} of {done.rows} answers are not certain: see the column is_certain")
    if done.errors:
        output.note(f"{done.errors} of {done.rows} images could not be scored: see the column error")
    if done.left_out:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in done.left_out.items())
        output.note(f"left out: {sum(done.left_out.values())} files that are no images by their names ({kinds})")
    output.note(
        f"wrote {done.rows} rows in {done.parts} Parquet file{'s' * (done.parts != 1)} to {shown_name(done.out)}"
    )
    if done.unreadable_folders:
        raise ImageError(
            f"{done.unreadable_folders} folder{'s' * (done.unreadable_folders > 1)} could not be listed, so images may "
            f"be missing: {done.first_unreadable}; the same command goes on"
        )
    if done.errors == done.rows:
        raise ImageError("none of the images could be scored: see the column error")
