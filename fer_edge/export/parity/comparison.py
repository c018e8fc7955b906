"""Parity: how far a model's answers are from a reference's, measured from image files on.

The reference is the model's checkpoint, or another model file (``against``). Torch is not needed here.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fer_edge.backends.contract import Backend, ModelBackend, Outputs
from fer_edge.data.faces import FaceSet
from fer_edge.errors import ModelError
from fer_edge.export.parity.failures import row_failures, systematic_failures
from fer_edge.export.parity.figures import AccuracyPair, ParityRow, row_of, slope_and_bias
from fer_edge.export.parity.probes import make_probes
from fer_edge.export.parity.tolerance import TOLERANCES, Tolerance
from fer_edge.metadata import FACES, NORMALISED
from fer_edge.runtime.images import face_pixels
from fer_edge.text import printable

_ACCURACY_BATCH = 64
CHECKPOINT = "its checkpoint"
"""What a model is usually compared with, in words."""


class Reference(Protocol):
    """What a model is compared with."""

    def answer(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Probabilities and logits (N, C) of images uint8 (N, H, W, C), classes in the model's order."""

    def prepared_faces(self, image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Normalised faces (N, 1, S, S) for a raw model of ours to answer; None leaves them to its own loader."""


@dataclass(frozen=True)
class Parity:
    """Every figure of one comparison; true when all are within the tolerance."""

    model: str
    precision: str
    tolerance: Tolerance
    rows: tuple[ParityRow, ...]
    accuracy: AccuracyPair | None
    failures: tuple[str, ...]
    slope: float
    """Of the model's logits over the reference's, each class by itself, on all judged images: 1 where they agree."""
    bias: tuple[float, ...]
    """Mean difference of each class's logit on all judged images, over the logits' standard deviation."""
    differences: NDArray[np.float32]
    """|difference of probabilities| of every judged image, (images, C), for the picture."""
    reference: str = CHECKPOINT
    """What the model was compared with, in words."""

    def __bool__(self) -> bool:
        return not self.failures

    @property
    def max_probability_difference(self) -> float:
        """The largest difference of any probability of any judged image."""
        return max(row.max_probability_difference for row in self.rows if row.judged)

    @property
    def sqnr_db(self) -> float:
        """The smallest SQNR of any judged row."""
        return min(row.sqnr_db for row in self.rows if row.judged)

    @property
    def max_softmax_difference(self) -> float:
        """The model's probabilities against the softmax of its own logits: the largest difference of a judged row."""
        return max(row.max_softmax_difference for row in self.rows if row.judged)

    @property
    def top1_agreement(self) -> float:
        """Fraction of the decided, judged images that get the same class; 1.0 where none is decided."""
        decided = sum(row.decided for row in self.rows if row.judged)
        return sum(row.agreeing for row in self.rows if row.judged) / decided if decided else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Plain types for ``--json``; a figure that is no number is None, as JSON has no NaN."""
        figures = {
            "model": self.model,
            "reference": self.reference,
            "passed": bool(self),
            "failures": list(self.failures),
            "precision": self.precision,
            "max_probability_difference": self.max_probability_difference,
            "top1_agreement": self.top1_agreement,
            "sqnr_db": self.sqnr_db,
            "max_softmax_difference": self.max_softmax_difference,
            "slope": self.slope,
            "bias": [_number(value) for value in self.bias],
            "accuracy": self.accuracy.to_dict() if self.accuracy else None,
            "tolerance": asdict(self.tolerance),
            "rows": [_finite(asdict(row)) for row in self.rows],
        }
        return _finite(figures)


def _finite(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: _number(value) if isinstance(value, float) else value for name, value in figures.items()}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def measure_parity(
    reference: Reference,
    backend: ModelBackend,
    faces: NDArray[np.uint8],
    *,
    labelled: FaceSet | None = None,
    source: str = "",
    accuracy: AccuracyPair | None = None,
    max_drop_points: float | None = None,
    tolerance: Tolerance | None = None,
    face_size: int | None = None,
    name: str = CHECKPOINT,
) -> Parity:
    """Compare ``backend`` with the ``reference`` called ``name`` on probes of ``faces`` (uint8 (N, S, S)) and of noise.

    ``labelled`` faces (from ``source``) add the accuracy of both sides, unless it was measured (``accuracy``).
    ``max_drop_points`` overrides the tolerance's, and ``tolerance`` that of the model's precision. ``face_size``: both
    sides are given grey faces of that size, made by the runtime's own preprocessing, instead of the images; None: only
    where the model takes nothing else.
    Raises ModelError when the model cannot run, or takes no image that could judge it: what was not compared is not
    equal.
    """
    if face_size is None and backend.metadata.input.kind == FACES:
        face_size = backend.metadata.image_size
    tolerance = tolerance or TOLERANCES[backend.metadata.precision]
    allowed_drop = tolerance.max_drop_points if max_drop_points is None else max_drop_points
    rows: list[ParityRow] = []
    judged_pairs: list[tuple[Outputs, Outputs]] = []
    for probe in make_probes(faces):
        pixels = probe.pixels()
        if not backend.accepts(pixels.shape[3]):
            continue
        pixels = _judged_pixels(pixels, face_size)
        expected = Outputs(*reference.answer(pixels))
        judged = probe.is_face or not tolerance.faces_only
        for batch in probe.batch_sizes():
            found = _answer(backend, pixels[:batch], reference)
            _check_classes(backend, name, expected, found)
            rows.append(row_of(probe.name, batch, _first(expected, batch), found, tolerance, judged))
        if judged:
            judged_pairs.append((_first(expected, batch), found))
    if not judged_pairs:
        raise ModelError(
            f"{backend.metadata.name}: expected a model of 1 or 3 channels to compare with {name}, found "
            f"{', '.join(map(str, backend.metadata.input.channels)) or 'none'}; export it again"
        )
    if accuracy is None and labelled is not None:
        accuracy = measure_accuracy(reference, backend, labelled, source, face_size=face_size)
    slope, bias = slope_and_bias(
        np.concatenate([expected.logits for expected, _ in judged_pairs]),
        np.concatenate([found.logits for _, found in judged_pairs]),
    )
    return Parity(
        model=backend.metadata.name,
        precision=backend.metadata.precision,
        tolerance=tolerance,
        rows=tuple(rows),
        accuracy=accuracy,
        failures=(
            *row_failures(rows, accuracy, tolerance, allowed_drop),
            *systematic_failures(slope, bias, backend.metadata.labels, tolerance),
        ),
        reference=name,
        slope=slope,
        bias=bias,
        differences=np.concatenate([abs(own.probabilities - found.probabilities) for own, found in judged_pairs]),
    )


def _check_classes(backend: ModelBackend, name: str, expected: Outputs, found: Outputs) -> None:
    """Raise ModelError where the two sides answer of other numbers of classes: no figure compares them."""
    own, others = found.logits.shape[1:], expected.logits.shape[1:]
    if own != others or found.probabilities.shape[1:] != expected.probabilities.shape[1:]:
        raise ModelError(
            f"{printable(backend.path)}: expected {others[0]} outputs, as {printable(name)} has, found {own[0]}; "
            "compare it with what it was made from"
        )


def measure_accuracy(
    reference: Reference, backend: ModelBackend, labelled: FaceSet, source: str, *, face_size: int | None = None
) -> AccuracyPair:
    """Accuracy of both sides on ``labelled`` faces, fed as grey pixels (as RGB to a model that takes no others).

    ``face_size`` is as in ``measure_parity``.
    """
    pairs: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for start in range(0, len(labelled), _ACCURACY_BATCH):
        pixels = _judged_pixels(labelled.faces[start : start + _ACCURACY_BATCH, :, :, np.newaxis], face_size)
        pairs.append((reference.answer(pixels)[0], _answer(backend, pixels, reference).probabilities))
    by_checkpoint, by_model = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return AccuracyPair(source, labelled.labels, by_checkpoint, by_model)


def answers(backend: Backend, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities (N, C) of grey faces uint8 (N, S, S), a batch at a time."""
    starts = range(0, len(faces), _ACCURACY_BATCH)
    batches = (faces[start : start + _ACCURACY_BATCH, :, :, np.newaxis] for start in starts)
    return np.concatenate([backend.run_feed(backend.prepare(batch)).probabilities for batch in batches])


def _judged_pixels(pixels: NDArray[np.uint8], face_size: int | None) -> NDArray[np.uint8]:
    """What both sides are given for ``pixels`` (N, H, W, C): for a model of grey faces these, rounded to whole numbers
    as its loader does, so that its parity is that of all that the file does."""
    if face_size is None:
        return pixels
    return np.stack([face_pixels(image, face_size) for image in pixels])[..., np.newaxis]


def _answer(backend: ModelBackend, pixels: NDArray[np.uint8], reference: Reference) -> Outputs:
    """What the model says to pixels (N, H, W, channels), unchecked.

    A raw model is handed the faces that ``reference`` prepares, so its parity is that of the network alone.
    """
    if backend.metadata.input.kind != NORMALISED:
        return backend.run_feed(backend.prepare(pixels))
    faces = reference.prepared_faces(pixels)
    return backend.run_feed(backend.prepare(pixels) if faces is None else faces)


def _first(outputs: Outputs, count: int) -> Outputs:
    return Outputs(outputs.probabilities[:count], outputs.logits[:count])
