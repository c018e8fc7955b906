"""How ``predict`` prints what it found: charts for people, CSV rows and JSON for programs."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from fer_edge.cli import output
from fer_edge.text import no_formula, shown_name

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from fer_edge.runtime.left_out import LeftOut
    from fer_edge.runtime.photos import FacePrediction, PhotoOutcome, PhotoPrediction

_FIRST_COLUMNS = ("source", "label", "confidence")
_LAST_COLUMNS = (
    *("latency_ms", "face", "x", "y", "width", "height", "detection_score"),
    *("is_certain", "candidates", "calibrated_confidence", "quality", "error"),
)
"""The probability of each label stands between both. A row for each face; an image without one has a row in which only
the source is filled, one that could not be scored a row of its source and its error."""

_BAR_WIDTH = 40


@dataclass
class Tally:
    """What was done with the images so far."""

    num_searched: int = 0
    num_faces: int = 0
    """Found in the images that were searched."""
    crop_reasons: Counter[str] = field(default_factory=Counter)
    """How many images were taken as one face, by the reason."""
    errors: list[dict[str, str]] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)
    """How many faces have which label."""
    num_without_face: int = 0
    """Images that were scored and have none."""
    num_uncertain: int = 0
    """Faces that were left out because their answers are not certain."""
    left_out: "LeftOut | None" = None
    """The files of folders and globs that are no images; None until it was looked for them."""

    @property
    def num_images(self) -> int:
        """All of them, those that could not be opened too."""
        return self.crop_reasons.total() + self.num_searched + len(self.errors)

    def add(self, outcome: "PhotoOutcome") -> None:
        """Count one image."""
        if outcome.photo is None:
            self.errors.append({"source": outcome.source, "error": str(outcome.error)})
            return
        self.labels.update(face.label for face in outcome.photo.faces)
        self.num_uncertain += outcome.photo.num_uncertain
        self.num_without_face += not outcome.photo.faces and not outcome.photo.num_uncertain
        if outcome.photo.crop_reason is not None:
            self.crop_reasons[outcome.photo.crop_reason] += 1
        else:
            self.num_searched += 1
            self.num_faces += len(outcome.photo.faces) + outcome.photo.num_uncertain

    def uncertain_summary(self) -> str:
        """How many answers were left out because they are not certain, in a line; empty for none."""
        return f"left out: {_count(self.num_uncertain, 'answer')} not certain" if self.num_uncertain else ""

    def labels_summary(self) -> str:
        """How many faces have which label, the most frequent first, in a line; empty for fewer than two faces."""
        if self.labels.total() < 2:
            return ""
        counts = ", ".join(f"{label} {count}" for label, count in sorted(self.labels.items(), key=_by_count))
        without = f"; {_count(self.num_without_face, 'image')} without a face" if self.num_without_face else ""
        return f"{_count(self.labels.total(), 'face')}: {counts}{without}"

    def summary(self) -> str:
        """Which images were taken as crops and which were searched, in a line; empty when none was scored."""
        from fer_edge.runtime.whole_faces import REASONS

        parts = [
            f"{_count(number, 'image')} taken as face crop{'s' * (number > 1)} ({REASONS[reason]})"
            for reason, number in sorted(self.crop_reasons.items())
        ]
        if self.num_searched:
            faces = _count(self.num_faces, "face") if self.num_faces else "no face"
            parts.append(f"{_count(self.num_searched, 'image')} searched: {faces} found")
        return ", ".join(parts)


class Printer(Protocol):
    """Prints outcomes as they come."""

    def show(self, outcome: "PhotoOutcome") -> None:
        """Print one image's faces, or note its error."""

    def finish(self, tally: Tally) -> None:
        """Print what comes after the last."""


class JsonPrinter:
    """One object at the end: a result for each face, a line for each image, the errors."""

    def __init__(self, model: str, provider: str, *, verified: bool) -> None:
        self._head = {"model": model, "provider": provider, "verified": verified}
        self._results: list[dict[str, Any]] = []
        self._images: list[dict[str, Any]] = []

    def show(self, outcome: "PhotoOutcome") -> None:
        """Keep one image's faces for the end."""
        if outcome.photo is not None:
            self._results.extend(face.as_dict() for face in outcome.photo.faces)
            self._images.append(outcome.photo.as_dict())

    def finish(self, tally: Tally) -> None:
        """Print the object, then the errors on stderr."""
        output.result_json(
            {
                **self._head,
                "results": self._results,
                "images": self._images,
                "labels": dict(sorted(tally.labels.items(), key=_by_count)),
                "num_uncertain_left_out": tally.num_uncertain,
                "left_out": {} if tally.left_out is None else tally.left_out.as_dict(),
                "errors": tally.errors,
            },
        )
        for error in tally.errors:
            output.note(error["error"])


class CsvPrinter:
    """A header and a row for each face, and for each image without one or with an error."""

    def __init__(self, labels: Sequence[str]) -> None:
        from fer_edge.runtime.prediction import probability_columns

        probabilities = probability_columns(labels, (*_FIRST_COLUMNS, *_LAST_COLUMNS))
        self._columns = (*_FIRST_COLUMNS, *probabilities, *_LAST_COLUMNS)
        _print_row(self._columns)

    def show(self, outcome: "PhotoOutcome") -> None:
        """Print the rows of one image."""
        if outcome.photo is None:
            output.note(str(outcome.error))
            empty = [""] * (len(self._columns) - 2)
            _print_row((no_formula(shown_name(outcome.source)), *empty, no_formula(str(outcome.error))))
            return
        for number, face in enumerate(outcome.photo.faces, start=1):
            _print_row((*_prediction_cells(face), *_place_cells(face, number), *_certainty_cells(face), ""))
        if hint := outcome.photo.hint():
            output.note(f"{shown_name(outcome.photo.source)}: {hint}")
        if not outcome.photo.faces:
            row = dict.fromkeys(self._columns, "")
            row["is_certain"] = "false" if outcome.photo.num_uncertain else ""
            _print_row((no_formula(shown_name(outcome.source)), *list(row.values())[1:]))

    def finish(self, tally: Tally) -> None:
        """Nothing comes after the last row."""


class TextPrinter:
    """A line for each face and, unless ``is_compact``, a bar for each label below it."""

    def __init__(self, *, is_compact: bool = False) -> None:
        self._is_compact = is_compact

    def show(self, outcome: "PhotoOutcome") -> None:
        """Print the faces of one image."""
        if outcome.photo is None:
            output.note(str(outcome.error))
            return
        from rich.console import Console
        from rich.text import Text

        console = Console(highlight=False, soft_wrap=True)
        for line, face in _lines(outcome.photo):
            _print_text(console, Text(line, style="" if self._is_compact else "bold"))
            if face is not None and not self._is_compact:
                _print_bars(console, face)

    def finish(self, tally: Tally) -> None:
        """Nothing comes after the last line."""


def _by_count(entry: tuple[str, int]) -> tuple[int, str]:
    label, count = entry
    return -count, label


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _prediction_cells(face: "FacePrediction") -> list[str]:
    values = [f"{value:.6f}" for value in (face.confidence, *face.probabilities.values())]
    return [no_formula(shown_name(face.source)), face.label, *values, f"{face.latency_ms:.4f}"]


def _place_cells(face: "FacePrediction", number: int) -> list[str]:
    if face.face is None:
        return [""] * 6
    box = face.face.box
    sides = [f"{value:.2f}" for value in (box.x, box.y, box.width, box.height)]
    return [str(number), *sides, f"{face.face.score:.4f}"]


def _certainty_cells(face: "FacePrediction") -> list[str]:
    """Empty where the model was not calibrated, and the quality where the face was not searched for."""
    quality = "" if face.quality is None else f"{face.quality:.4f}"
    if face.is_certain is None or face.candidates is None or face.calibrated_confidence is None:
        return [*[""] * 3, quality]
    certain = "true" if face.is_certain else "false"
    return [certain, ";".join(face.candidates), f"{face.calibrated_confidence:.6f}", quality]


def _print_row(cells: Iterable[str]) -> None:
    from fer_edge.text import printable

    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow([printable(cell) for cell in cells])
    output.result(row.getvalue())


def _lines(photo: "PhotoPrediction") -> "Iterator[tuple[str, FacePrediction | None]]":
    """One line for each face, with the face; for a photo without any a line that says so."""
    name = shown_name(photo.source)
    if photo.num_uncertain and not photo.faces:
        yield f"{name}: no certain answer ({_count(photo.num_uncertain, 'face')})", None
        return
    if photo.is_crop:
        (face,) = photo.faces
        yield f"{name}: {_answer(face)}", face
        return
    hint = photo.hint()
    if not photo.faces:
        yield f"{name}: no face found{hint and f'; {hint}'}", None
    for number, face in enumerate(photo.faces, start=1):
        assert face.face is not None  # cut out of the photo, so with a place
        box = face.face.box
        place = f"face {number} of {len(photo.faces)} ({box.width:.0f}x{box.height:.0f} at {box.x:.0f}, {box.y:.0f})"
        yield f"{name} {place}: {_answer(face)}", face
    if photo.faces and hint:
        yield f"{name}: {hint}", None


def _answer(face: "FacePrediction") -> str:
    """The label, and what else it may be where that is not certain."""
    text = f"{face.label} {face.confidence:.1%}"
    if face.is_certain is not False:
        return text
    others = ", ".join((face.candidates or ())[1:])
    return f"{text} (not certain{': or ' + others if others else ''})"


def _print_text(console: "Console", text: "Text") -> None:
    """In colour where there is a terminal, else as every other result."""
    if console.is_terminal:
        output.result_rich(console, text)
    else:
        output.result(text.plain)


def _print_bars(console: "Console", face: "FacePrediction") -> None:
    """The probabilities: coloured blocks in a terminal, plain characters in a pipe or file."""
    from rich.cells import cell_len, set_cell_size
    from rich.text import Text

    in_colour = console.is_terminal and console.encoding.startswith("utf")
    block = "█" if in_colour else "#"
    width = max(map(cell_len, face.probabilities)) + 1
    room = console.width - width - len("  ") - len(" 100.0%") if console.is_terminal else _BAR_WIDTH
    bar_width = max(1, min(_BAR_WIDTH, room))
    for label, probability in face.probabilities.items():
        bar = block * round(probability * bar_width)
        style = "green" if label == face.label else "dim"
        _print_text(
            console,
            Text(f"  {set_cell_size(label, width)}")
            .append(f"{bar:<{bar_width}}", style=style)
            .append(f" {probability:6.1%}"),
        )
