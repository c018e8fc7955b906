"""``predict``: the expression of every face in images from files, folders, globs or standard input."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli import answers, output
from fer_edge.cli.named import MODEL_HELP, complete_model, model_named
from fer_edge.cli.predict_pictures import STDIN, Crops, Pictures
from fer_edge.cli.progress import progress_bar
from fer_edge.cli.typed import CertainOnly, Describe, MaxRisk, Trust
from fer_edge.errors import ImageError
from fer_edge.text import shown_name

if TYPE_CHECKING:
    from fer_edge.runtime.classifier import Classifier
    from fer_edge.runtime.images import ImageSource
    from fer_edge.runtime.left_out import LeftOut
    from fer_edge.runtime.photos import FaceSearch, PhotoOutcome


def predict(
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE", help="Files, folders, quoted globs, or - for standard input.")
    ],
    model: Annotated[
        Path | None,
        typer.Option(help=f"An .onnx or .ort model; {MODEL_HELP}", show_default=False, autocompletion=complete_model),
    ] = None,
    faces: Annotated[
        str,
        typer.Option(
            help="crop: an image is one face. detect: search it. auto: search it; take it whole where a face fills it "
            "or no side is above 48 pixels."
        ),
    ] = "auto",
    out: Annotated[
        Path | None,
        typer.Option(help="Picture to draw the faces on (.jpg, .png, .webp); for several images a folder."),
    ] = None,
    save_crops: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for what the model saw of each face, as PNG.")
    ] = None,
    margin: Annotated[
        float, typer.Option(min=0.5, max=3.0, help="Side of a face's crop over the longer side of its box.")
    ] = 1.0,
    align: Annotated[bool, typer.Option("--align", help="Turn each found face until its eyes are level.")] = False,
    max_side: Annotated[
        int, typer.Option(min=32, max=4096, help="Search larger photos at this many pixels; more finds smaller faces.")
    ] = 640,
    min_score: Annotated[float, typer.Option(min=0.01, max=1.0, help="Leave out faces found less surely.")] = 0.7,
    certain_only: CertainOnly = False,
    max_risk: MaxRisk = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results and errors as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a CSV row for each face.")] = False,
    compact: Annotated[bool, typer.Option("--compact", help="Print one line for each face, without bars.")] = False,
    provider: Annotated[str, typer.Option(help="cpu, cuda, or auto: the best there is.")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, max=256, help="Threads inside an operator; 0: as many as cores.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Faces of one size that are scored together.")] = 32,
    describe: Describe = None,
    trust: Trust = False,
) -> None:
    """Name the expression of every face in images; a photo without a face is an answer, too.

    Exit code 1 if an image could not be opened; the others are scored all the same.

    Example: `fer-edge predict party.jpg --out annotated.jpg`

    Example: `fer-edge predict photos/ --compact`

    Example: `fer-edge predict photos/ 'more/*.jpg' --csv > expressions.csv`

    Example: `fer-edge predict photos/ --certain-only --max-risk 0.15`
    """
    formats = {"--json": as_json, "--csv": as_csv, "--compact": compact}
    if len(given := [name for name, is_given in formats.items() if is_given]) > 1:
        found = "both" if len(given) == 2 else "all"
        raise typer.BadParameter(f"expected one of {' and '.join(given)}, found {found}")
    if images.count("-") > 1:
        raise typer.BadParameter("expected - once: standard input is one image, found it named again")
    from fer_edge.runtime.classifier import Classifier
    from fer_edge.runtime.crops import Framing
    from fer_edge.runtime.detector import FaceDetector
    from fer_edge.runtime.left_out import LeftOut
    from fer_edge.runtime.photos import FaceSearch
    from fer_edge.uncertainty import DEFAULT_MAX_RISK

    detector = FaceDetector(min_score=min_score, max_side=max_side, threads=threads)
    search = FaceSearch(faces, Framing(margin=margin, align=align), detector)
    sources = cache(lambda: _sources(images))  # folders are walked where somebody asks, and once
    pictures = None if out is None else Pictures(out, images, sources())
    crops = None if save_crops is None else Crops(save_crops, sources(), search.framing)
    keep_pixels = pictures is not None or crops is not None
    classifier = Classifier.load(
        model_named(model),
        provider=provider,
        threads=threads,
        trust=trust,
        description=describe,
        max_risk=DEFAULT_MAX_RISK if certain_only and max_risk is None else max_risk,
    )
    output.note(f"model {shown_name(classifier.path)} on {classifier.provider}")
    if not classifier.is_verified:
        output.note(f"not verified: another maker's model, fed as described: {classifier.metadata.input.colour}")
    if classifier.provider_note:
        output.note(classifier.provider_note)
    if (certainty := classifier.certainty) is not None and certainty.threshold is None:
        output.note(f"no answer of this model is certain: no threshold was found for a risk of {certainty.max_risk:g}")
    left_out = LeftOut()
    tally = answers.Tally(left_out=left_out)
    printer: answers.Printer
    if as_json:
        printer = answers.JsonPrinter(str(classifier.path), classifier.provider, verified=classifier.is_verified)
    else:
        printer = answers.CsvPrinter(classifier.labels) if as_csv else answers.TextPrinter(is_compact=compact)
    outcomes = _outcomes(
        classifier, images, search, 1 if keep_pixels else batch_size, left_out, keep_pixels=keep_pixels
    )
    with progress_bar(lambda: len(sources())) as advance:
        for outcome in outcomes:
            if certain_only and outcome.photo is not None:
                outcome = replace(outcome, photo=outcome.photo.certain())
            if pictures:
                outcome = pictures.write(outcome)
            if crops:
                crops.write(outcome)
            tally.add(outcome)
            printer.show(outcome)
            advance()
            if output.reader_is_gone() and not keep_pixels:
                return  # nobody reads what comes next, and no file is to be written
    printer.finish(tally)
    for summary in filter(None, (tally.labels_summary(), tally.summary(), tally.uncertain_summary(), str(left_out))):
        output.note(summary)
    if pictures:
        output.wrote(*pictures.written)
    if crops:
        output.wrote(*crops.written)
    if tally.errors:
        others = "; the others were" if len(tally.errors) < tally.num_images else ""
        raise ImageError(f"{len(tally.errors)} of {tally.num_images} could not be scored (named above){others}")


def _sources(arguments: list[str]) -> list[str]:
    """What the command line names, in order: each image, and what is none."""
    from fer_edge.runtime.folder import images_named

    found: list[str] = []
    for argument in arguments:
        if argument == "-":
            found.append(STDIN)
            continue
        try:
            found.extend(str(path) for path in images_named(argument))
        except ImageError:  # said when it is its turn
            found.append(argument)
    return found


def _read_stdin() -> bytes:
    """Standard input to its end. Raises ImageError where it is closed, no input, or longer than any image file."""
    from fer_edge.runtime.images import MAX_FILE_BYTES

    if sys.stdin is None:
        raise ImageError(f"{STDIN}: expected an image, found it closed")
    try:
        data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ImageError(f"{STDIN}: cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"{STDIN}: expected at most {MAX_FILE_BYTES} bytes, found more")
    return data


def _outcomes(
    classifier: "Classifier",
    arguments: list[str],
    search: "FaceSearch",
    batch_size: int,
    left_out: "LeftOut",
    *,
    keep_pixels: bool,
) -> "Iterator[PhotoOutcome]":
    from fer_edge.runtime.folder import images_named
    from fer_edge.runtime.photos import PhotoOutcome

    unusable: list[PhotoOutcome] = []

    def named() -> "Iterator[tuple[str, ImageSource]]":
        for argument in arguments:
            try:
                if argument == "-":
                    yield STDIN, _read_stdin()
                    continue
                for path in images_named(argument, left_out):
                    yield str(path), path
            except ImageError as error:
                unusable.append(PhotoOutcome(argument, None, error))

    yield from classifier.predict_photos(named(), search=search, batch_size=batch_size, keep_pixels=keep_pixels)
    yield from unusable
