"""The claim that the model gives the answers of its golden kit, checked by running every vector again."""

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from fer_edge.backends.contract import ModelBackend
from fer_edge.errors import CheckFailed, EvidenceError
from fer_edge.evidence.claims import CLAIMS, Claim, Result, converted, decoded, rows_bytes, wider_bounds, wrong_words
from fer_edge.evidence.contents import Contents
from fer_edge.evidence.kinds import Here
from fer_edge.golden.manifest import KIT_FORMAT, MANIFEST
from fer_edge.golden.tolerance import GOLDEN_TOLERANCES
from fer_edge.runtime.machine import describe_machine
from fer_edge.text import printable

SAMPLES = "samples/golden.json"
_EXACT = 1e-12
"""Two figures of the same samples, worked out on two machines, differ by less."""


class _Model(msgspec.Struct):
    sha256: str
    dtype: Literal["uint8", "float32"]
    labels: list[str]


class _Vector(msgspec.Struct):
    name: str
    file: str
    shape: list[int]
    labels: list[str]
    logits: list[list[float]]
    probabilities: list[list[float]]


class Kit(msgspec.Struct):
    """What is read of a kit's manifest."""

    kit: str
    model: _Model
    vectors: list[_Vector]


class _Answer(msgspec.Struct):
    vector: str
    logits: list[list[float]]
    probabilities: list[list[float]]


class _Samples(msgspec.Struct):
    rows: list[_Answer]


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Its figures."""

    vectors: int
    images: int
    labels_changed: int
    """Images that get another label than the kit says, whether or not two are nearly as probable."""
    max_logit_difference: float
    max_probability_difference: float

    @property
    def sentence(self) -> str:
        """The claim for people."""
        return f"The model gives the answers of its golden kit: {self.short}."

    @property
    def short(self) -> str:
        """The claim in a few words."""
        return f"{self.vectors} vectors, {self.images} images: {self.differences}"

    @property
    def differences(self) -> str:
        """How far the answers are from the kit's."""
        changed = f", {self.labels_changed} labels changed" if self.labels_changed else ""
        return (
            f"logits within {self.max_logit_difference:.2g}, probabilities within "
            f"{self.max_probability_difference:.2g}{changed}"
        )


@dataclass(frozen=True)
class Run:
    """What a machine answered."""

    value: Value
    failures: tuple[str, ...]
    answers: tuple[tuple[str, NDArray[np.float64], NDArray[np.float64]], ...]
    """Name of the vector, logits and probabilities (N, C)."""


def allowed_for(precision: str) -> dict[str, float]:
    """The bounds for a model of this precision."""
    tolerance = GOLDEN_TOLERANCES[precision]
    return {"logits": tolerance.max_logit_difference, "probabilities": tolerance.max_probability_difference}


def measure(contents: Contents) -> tuple[Claim, bytes]:
    """The claim, and its raw samples. Raises CheckFailed where the model does not give its own answers again."""
    precision = contents.model.metadata.precision
    allowed = allowed_for(precision)
    run = run_kit(contents, contents.model, allowed)
    if run.failures:
        raise CheckFailed(
            f"{contents.manifest.model}: expected the same answers twice, found others: {run.failures[0]}"
        )
    claim = Claim(
        id="golden",
        kind="golden",
        sentence=run.value.sentence,
        value=msgspec.to_builtins(run.value),
        allowed=allowed,
        reason=GOLDEN_TOLERANCES[precision].reason,
        measured=f"each vector once, on one thread; {describe_machine()}",
        samples=SAMPLES,
    )
    rows = [
        {"vector": name, "logits": logits.tolist(), "probabilities": probabilities.tolist()}
        for name, logits, probabilities in run.answers
    ]
    return claim, rows_bytes({}, rows)


def recheck(claim: Claim, here: Here) -> Result:
    """Run every vector of the kit by the model's own backend."""
    where = f"{CLAIMS}: {claim.id}"
    value = converted(claim.value, Value, where)
    contents = here.contents
    if problem := _contradiction(claim, value, contents):
        return Result(claim.id, "failed", value.short, reason=problem)
    model = contents.model
    if problem := wider_bounds(claim, allowed_for(model.metadata.precision)):
        return Result(claim.id, "failed", value.short, reason=problem)
    here.note("running the golden vectors")
    run = run_kit(contents, model, claim.allowed)
    figures = msgspec.to_builtins(run.value)
    if run.failures:
        return Result(claim.id, "failed", value.short, run.value.differences, run.failures[0], figures)
    return Result(claim.id, "passed", value.short, run.value.differences, "", figures)


def read_kit(contents: Contents) -> Kit:
    """The kit of the bundle. Raises EvidenceError where it is malformed."""
    name = f"{contents.manifest.kit}/{MANIFEST}"
    kit = decoded(contents.read(name), Kit, name)
    if kit.kit != KIT_FORMAT or not kit.vectors:
        raise EvidenceError(f"{name}: expected '{KIT_FORMAT}' with vectors, found {printable(kit.kit)[:60]!r}")
    return kit


def run_kit(contents: Contents, model: ModelBackend, allowed: dict[str, float]) -> Run:
    """Run every vector. Raises EvidenceError where the kit is malformed."""
    kit = read_kit(contents)
    answers = []
    for vector in kit.vectors:
        outputs = model.run_feed(_feed(contents, kit, vector))
        answers.append((vector.name, outputs.logits.astype(np.float64), outputs.probabilities.astype(np.float64)))
    value, failures = _compared(kit, answers, allowed)
    if kit.model.sha256 != contents.manifest.model_sha256:
        failures.append(f"expected the kit of {contents.manifest.model_sha256[:12]}, found another model's")
    return Run(value, tuple(failures), tuple(answers))


def _feed(contents: Contents, kit: Kit, vector: _Vector) -> NDArray[Any]:
    name = f"{contents.manifest.kit}/{vector.file}"
    data, dtype = contents.read(name), np.dtype(kit.model.dtype).newbyteorder("<")
    if min(vector.shape, default=0) < 1 or math.prod(vector.shape) * dtype.itemsize != len(data):
        raise EvidenceError(f"{printable(name)[:100]}: expected an array of {vector.shape}, found {len(data)} bytes")
    return np.frombuffer(data, dtype).reshape(vector.shape).astype(kit.model.dtype)


def _compared(
    kit: Kit, answers: Iterable[tuple[str, NDArray[np.float64], NDArray[np.float64]]], allowed: dict[str, float]
) -> tuple[Value, list[str]]:
    """The figures, and what is beyond ``allowed``. ``answers`` are those of the kit's vectors, in their order."""
    worst, images, changed, failures = {"logits": 0.0, "probabilities": 0.0}, 0, 0, []
    for vector, (_, logits, probabilities) in zip(kit.vectors, answers, strict=True):
        where = f"vector {printable(vector.name)}"
        found = {"logits": logits, "probabilities": probabilities}
        for what, got in found.items():
            expected = _matrix(getattr(vector, what), where)
            shape = (len(vector.labels), len(kit.model.labels))
            if not got.shape == expected.shape == shape:
                raise EvidenceError(
                    f"{where}: expected {what} of the shape {shape}, found {expected.shape}, {got.shape}"
                )
            difference = np.abs(got - expected).max(axis=1)
            worst[what] = max(worst[what], float(np.nan_to_num(difference, nan=np.inf).max()))
            if not (difference <= allowed[what]).all():  # written so that NaN fails
                image = int((~(difference <= allowed[what])).argmax())
                failures.append(
                    f"{where}, image {image}: {what} differ by {difference[image]:.3g}, allowed {allowed[what]:g}"
                )
        for image, label in enumerate(vector.labels):
            second, first = np.sort(_matrix(vector.probabilities, where)[image])[-2:]
            answer = kit.model.labels[int(np.argmax(probabilities[image]))]
            changed += answer != label
            if answer != label and first - second > 2 * allowed["probabilities"]:
                failures.append(f"{where}, image {image}: expected {printable(label)}, found {printable(answer)}")
        images += len(vector.labels)
    if not all(map(math.isfinite, worst.values())):
        failures.insert(0, "expected finite answers, found others")
        worst = {what: min(value, sys.float_info.max) for what, value in worst.items()}
    return Value(len(kit.vectors), images, changed, worst["logits"], worst["probabilities"]), failures


def _matrix(rows: list[list[float]], where: str) -> NDArray[np.float64]:
    if not rows or len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        raise EvidenceError(f"{where}: expected a row of numbers for each image, found others")
    return np.asarray(rows, np.float64)


def _contradiction(claim: Claim, value: Value, contents: Contents) -> str:
    """How the claim contradicts its own samples, which needs no model to see; empty if it does not."""
    kit, name = read_kit(contents), claim.samples or ""
    rows = decoded(contents.read(name), _Samples, name).rows
    if [row.vector for row in rows] != [vector.name for vector in kit.vectors]:
        return "its samples are of other vectors"
    answers = [(row.vector, _matrix(row.logits, name), _matrix(row.probabilities, name)) for row in rows]
    found, failures = _compared(kit, answers, {"logits": math.inf, "probabilities": math.inf, **claim.allowed})
    if failures:
        return f"its samples are beyond its bounds: {failures[0]}"
    stated = (value.max_logit_difference, value.max_probability_difference)
    sampled = (found.max_logit_difference, found.max_probability_difference)
    counts = [(one.vectors, one.images, one.labels_changed) for one in (value, found)]
    if counts[0] != counts[1] or not np.allclose(stated, sampled, rtol=1e-6, atol=_EXACT):
        return f"it states {value.differences}, and its samples {found.differences}"
    return wrong_words(claim, value.sentence)
