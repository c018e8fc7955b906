"""``predict``: the expression of every face in images from files, folders, globs or standard input."""

import glob
import os
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_edge.cli import answers, output
from fer_edge.cli.named import MODEL_HELP, model_named
from fer_edge.cli.progress import progress_bar
from fer_edge.cli.typed import Describe, Trust
from fer_edge.errors import ImageError, UsageError
from fer_edge.files import file_identity, make_folder
from fer_edge.own_files import OwnFiles
from fer_edge.text import shown_name

if TYPE_CHECKING:
    from fer_edge.runtime.classifier import Classifier
    from fer_edge.runtime.crops import Framing
    from fer_edge.runtime.images import ImageSource
    from fer_edge.runtime.photos import FaceSearch, PhotoOutcome


_STDIN = "<stdin>"


def predict(
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE", help="Files, folders, quoted globs, or - for standard input.")
    ],
    model: Annotated[
        Path | None,
        typer.Option(help=f"An .onnx or .ort model; {MODEL_HELP}", show_default=False),
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
    from fer_edge.runtime.photos import FaceSearch

    detector = FaceDetector(min_score=min_score, max_side=max_side, threads=threads)
    search = FaceSearch(faces, Framing(margin=margin, align=align), detector)
    sources = cache(lambda: _sources(images))  # folders are walked where somebody asks, and once
    pictures = None if out is None else _Pictures(out, images, sources())
    crops = None if save_crops is None else _Crops(save_crops, sources(), search.framing)
    keep_pixels = pictures is not None or crops is not None
    classifier = Classifier.load(
        model_named(model), provider=provider, threads=threads, trust=trust, description=describe
    )
    output.note(f"model {shown_name(classifier.path)} on {classifier.provider}")
    if not classifier.is_verified:
        output.note(f"not verified: another maker's model, fed as described: {classifier.metadata.input.colour}")
    if classifier.provider_note:
        output.note(classifier.provider_note)
    tally = answers.Tally()
    printer: answers.Printer
    if as_json:
        printer = answers.JsonPrinter(str(classifier.path), classifier.provider, verified=classifier.is_verified)
    else:
        printer = answers.CsvPrinter(classifier.labels) if as_csv else answers.TextPrinter(is_compact=compact)
    outcomes = _outcomes(classifier, images, search, 1 if keep_pixels else batch_size, keep_pixels=keep_pixels)
    with progress_bar(lambda: len(sources())) as advance:
        for outcome in outcomes:
            if pictures:
                outcome = pictures.write(outcome)
            if crops:
                crops.write(outcome)
            tally.add(outcome)
            printer.show(outcome)
            advance()
    printer.finish(tally)
    for summary in filter(None, (tally.labels_summary(), tally.summary())):
        output.note(summary)
    if pictures:
        output.wrote(*pictures.written)
    if crops:
        output.wrote(*crops.written)
    if tally.errors:
        others = "; the others were" if len(tally.errors) < tally.num_images else ""
        raise ImageError(f"{len(tally.errors)} of {tally.num_images} could not be scored (named above){others}")


class _Pictures:
    """Where annotated pictures go: the file that was named, or one file for each image in a folder."""

    def __init__(self, out: Path, arguments: list[str], sources: list[str]) -> None:
        from fer_edge.runtime.annotation import PICTURE_FORMATS
        from fer_edge.runtime.output_names import OutputNames

        self._out = out
        # os.path: Path's own raise for names that are too long.
        self._is_folder = os.path.isdir(out) or not out.suffix  # noqa: PTH112
        self.written: list[Path] = []
        self._own_files = OwnFiles("choose another with --out")
        self._images = _identities(sources)
        if self._is_folder:
            self._names = OutputNames(out, self._images)
            self._planned: dict[str, deque[Path]] = {}
            for source in sources:
                self._planned.setdefault(source, deque()).append(self._new_path(source))
            self._own_files.refuse_foreign(path for paths in self._planned.values() for path in paths)
            return
        if out.suffix.lower() not in PICTURE_FORMATS:
            raise UsageError(f"--out {out}: expected a folder or a name that ends in {', '.join(PICTURE_FORMATS)}")
        argument = arguments[0]
        may_be_several = os.path.isdir(argument) or (  # noqa: PTH112
            glob.has_magic(argument) and not os.path.exists(argument)  # noqa: PTH110
        )
        if len(arguments) > 1 or may_be_several:
            raise UsageError(f"--out {out}: expected a folder, because there may be several images, found a file")
        self._refuse_image(out)
        self._own_files.refuse_foreign([out])

    def write(self, outcome: "PhotoOutcome") -> "PhotoOutcome":
        """Draw one image's faces and write the picture; what became of the image then. Raises StorageError."""
        if outcome.photo is None or outcome.pixels is None:
            return outcome
        from fer_edge.runtime.annotation import annotate, write_picture

        path = self._path(outcome.source)
        make_folder(path.parent)
        try:
            with self._own_files.writing(path):
                write_picture(path, annotate(outcome.pixels, outcome.photo.faces))
        except ImageError as error:
            return replace(outcome, photo=None, error=error)
        self.written.append(path)
        return outcome

    def _path(self, source: str) -> Path:
        if not self._is_folder:
            return self._out
        planned = self._planned.get(source)
        return planned.popleft() if planned else self._new_path(source)  # an image that came since

    def _new_path(self, source: str) -> Path:
        return self._names.path(_stem(source), "faces.jpg")

    def _refuse_image(self, path: Path) -> None:
        if file_identity(path) in self._images:
            raise UsageError(f"--out {path}: expected another file than the image itself; choose another name")


class _Crops:
    """Writes what the model saw of each face into a folder, under names that nothing else has."""

    def __init__(self, folder: Path, sources: list[str], framing: "Framing") -> None:
        from fer_edge.runtime.output_names import OutputNames

        if os.path.lexists(folder) and not folder.is_dir():
            raise UsageError(f"--save-crops {folder}: expected a folder, or a name that is free, found a file")
        self.written: list[Path] = []
        self._folder, self._framing = folder, framing
        self._own_files = OwnFiles("choose another with --save-crops")
        self._names = OutputNames(folder, _identities(sources))

    def write(self, outcome: "PhotoOutcome") -> None:
        """Write the faces of one image, each under a name of its own. Raises StorageError."""
        if outcome.photo is None or outcome.pixels is None:
            return
        from fer_edge.runtime.annotation import write_picture
        from fer_edge.runtime.results import face_crops

        for crop in face_crops(outcome.pixels, outcome.photo.faces, self._framing):
            path = self._new_path(outcome.source)
            while self._own_files.is_foreign(path):  # somebody else's: it keeps its name
                path = self._new_path(outcome.source)
            make_folder(self._folder)
            with self._own_files.writing(path):
                write_picture(path, crop)
            self.written.append(path)

    def _new_path(self, source: str) -> Path:
        return self._names.path(_stem(source), "face.png")


def _sources(arguments: list[str]) -> list[str]:
    """What the command line names, in order: each image, and what is none."""
    from fer_edge.runtime.folder import images_named

    found: list[str] = []
    for argument in arguments:
        if argument == "-":
            found.append(_STDIN)
            continue
        try:
            found.extend(str(path) for path in images_named(argument))
        except ImageError:  # said when it is its turn
            found.append(argument)
    return found


def _identities(sources: list[str]) -> set[tuple[int, int] | str]:
    """Of the images' own files, which nothing is written over."""
    return {file_identity(source) for source in sources if source != _STDIN}


def _stem(source: str) -> str:
    """What the names of an image's files begin with."""
    return "stdin" if source == _STDIN else Path(source).stem


def _read_stdin() -> bytes:
    """Standard input to its end. Raises ImageError where it is closed, no input, or longer than any image file."""
    from fer_edge.runtime.images import MAX_FILE_BYTES

    if sys.stdin is None:
        raise ImageError(f"{_STDIN}: expected an image, found it closed")
    try:
        data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ImageError(f"{_STDIN}: cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"{_STDIN}: expected at most {MAX_FILE_BYTES} bytes, found more")
    return data


def _outcomes(
    classifier: "Classifier", arguments: list[str], search: "FaceSearch", batch_size: int, *, keep_pixels: bool
) -> "Iterator[PhotoOutcome]":
    from fer_edge.runtime.folder import images_named
    from fer_edge.runtime.photos import PhotoOutcome

    unusable: list[PhotoOutcome] = []

    def named() -> "Iterator[tuple[str, ImageSource]]":
        for argument in arguments:
            try:
                if argument == "-":
                    yield _STDIN, _read_stdin()
                    continue
                for path in images_named(argument):
                    yield str(path), path
            except ImageError as error:
                unusable.append(PhotoOutcome(argument, None, error))

    yield from classifier.predict_photos(named(), search=search, batch_size=batch_size, keep_pixels=keep_pixels)
    yield from unusable
