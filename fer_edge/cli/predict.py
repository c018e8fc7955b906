"""``predict``: the expression in images, from files, folders, globs or standard input."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli import output
from fer_edge.errors import ImageError
from fer_edge.labels import EXPRESSIONS

if TYPE_CHECKING:
    from fer_edge.runtime.classifier import Classifier
    from fer_edge.runtime.folder import Outcome
    from fer_edge.runtime.images import ImageSource
    from fer_edge.runtime.prediction import Prediction

EXPORTED = Path("exported")

_STDIN = "<stdin>"
_BAR_WIDTH = 40


def predict(
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE", help="Files, folders, quoted globs, or - for standard input.")
    ],
    model: Annotated[
        Path | None, typer.Option(help="An .onnx or .ort model; default: the newest in exported/.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results and errors as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a CSV row for each image that was scored.")] = False,
    provider: Annotated[str, typer.Option(help="cpu, cuda, or auto: the best there is.")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, max=256, help="Threads inside an operator; 0: as many as cores.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Images of one size that are scored together.")] = 32,
) -> None:
    """Name the expression in images. Exit code 1 if one could not be opened; the others are scored all the same.

    Example: `python cli.py predict photos/ 'more/*.jpg' --csv > expressions.csv`
    """
    if as_json and as_csv:
        raise typer.BadParameter("expected one of --json and --csv, found both")
    if images.count("-") > 1:
        raise typer.BadParameter("expected - once: standard input is one image, found it named again")
    from fer_edge.runtime.classifier import Classifier
    from fer_edge.runtime.model_file import newest_model

    classifier = Classifier.load(model or newest_model(EXPORTED), provider=provider, threads=threads)
    output.note(f"model {classifier.path} on {classifier.provider}")
    if classifier.provider_note:
        output.note(classifier.provider_note)
    with _libraries_silenced():
        outcomes = _outcomes(classifier, images, batch_size)
        if as_json:
            num_images, errors = _print_json(classifier, outcomes)
        else:
            num_images, errors = _print_lines(outcomes, as_csv=as_csv)
    if errors:
        raise ImageError(f"{len(errors)} of {num_images} could not be scored (named above); the others were")


@contextmanager
def _libraries_silenced() -> Iterator[None]:
    """An image gets its result or its one line, and nothing else on stderr, whatever opens it has to say.

    Pillow warns about odd metadata; libtiff writes to file descriptor 2 by itself, so Python's stderr moves to a copy.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = sys.__stderr__
        if own is None or sys.stderr is not own:  # closed, or captured by a test: not descriptor 2
            yield
            return
        own.flush()
        descriptor = os.dup(2)
        silence = os.open(os.devnull, os.O_WRONLY)
        try:
            with os.fdopen(os.dup(2), "w", encoding=own.encoding, errors="backslashreplace") as sys.stderr:
                os.dup2(silence, 2)
                yield
        finally:
            sys.stderr = own
            os.dup2(descriptor, 2)
            os.close(descriptor)
            os.close(silence)


def _outcomes(classifier: "Classifier", arguments: list[str], batch_size: int) -> "Iterator[Outcome]":
    from fer_edge.runtime.folder import Outcome, images_named

    unusable: list[Outcome] = []

    def named() -> "Iterator[tuple[str, ImageSource]]":
        for argument in arguments:
            if argument == "-":
                yield _STDIN, sys.stdin.buffer.read()
                continue
            try:
                for path in images_named(argument):
                    yield str(path), path
            except ImageError as error:
                unusable.append(Outcome(argument, None, error))

    yield from classifier.predict_named(named(), batch_size=batch_size)
    yield from unusable


def _print_json(classifier: "Classifier", outcomes: "Iterator[Outcome]") -> tuple[int, list[str]]:
    results, errors = [], []
    for outcome in outcomes:
        if outcome.prediction is not None:
            results.append(outcome.prediction.as_dict())
        else:
            errors.append({"source": outcome.source, "error": str(outcome.error)})
    output.result_json(
        {"model": str(classifier.path), "provider": classifier.provider, "results": results, "errors": errors}
    )
    for error in errors:
        output.note(error["error"])
    return len(results) + len(errors), [error["error"] for error in errors]


def _print_lines(outcomes: "Iterator[Outcome]", *, as_csv: bool) -> tuple[int, list[str]]:
    """Print results as they come: CSV rows or charts. Returns the number of images and the errors."""
    num_images, errors = 0, []
    if as_csv:
        _print_csv_row(["source", "label", "confidence", *EXPRESSIONS, "latency_ms"])
    for num_images, outcome in enumerate(outcomes, start=1):  # noqa: B007  # the last number is the count
        if outcome.prediction is None:
            errors.append(str(outcome.error))
            output.note(errors[-1])
        elif as_csv:
            one = outcome.prediction
            values = [f"{value:.6f}" for value in (one.confidence, *one.probabilities.values())]
            _print_csv_row([one.source, one.label, *values, f"{one.latency_ms:.4f}"])
        else:
            with output.stdout_errors():
                _print_chart(outcome.prediction)
    return num_images, errors


def _print_csv_row(values: list[str]) -> None:
    import csv
    import io

    from fer_edge.runtime.images import shown

    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow([shown(value) for value in values])
    output.result(row.getvalue())


def _print_chart(prediction: "Prediction") -> None:
    """The seven probabilities as bars: coloured blocks in a terminal, plain characters in a pipe or file."""
    from rich.console import Console
    from rich.text import Text

    from fer_edge.runtime.images import shown

    console = Console(highlight=False, soft_wrap=True)
    in_colour = console.is_terminal and console.encoding.startswith("utf")
    block = "█" if in_colour else "#"
    console.print(Text(f"{shown(prediction.source)}: {prediction.label} {prediction.confidence:.1%}", style="bold"))
    for label, probability in prediction.probabilities.items():
        bar = block * round(probability * _BAR_WIDTH)
        style = "green" if label == prediction.label else "dim"
        console.print(Text(f"  {label:<9}").append(f"{bar:<{_BAR_WIDTH}}", style=style).append(f" {probability:6.1%}"))
