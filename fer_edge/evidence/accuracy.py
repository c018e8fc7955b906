"""The claim of an accuracy on given faces, checked by asking the model about the very same faces again."""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from fer_edge.backends.evaluation import evaluate_model
from fer_edge.evaluation.evaluation import Evaluation
from fer_edge.evaluation.intervals import wilson_interval
from fer_edge.evidence.claims import (
    CLAIMS,
    Claim,
    NotCheckable,
    Result,
    converted,
    decoded,
    rows_bytes,
    wider_bounds,
    wrong_words,
)
from fer_edge.evidence.contents import Contents
from fer_edge.evidence.kinds import GivenFaces, Here
from fer_edge.text import printable

SAMPLES = "samples/accuracy.json"
MAX_POINTS = 0.5
"""Percentage points by which another machine's accuracy may differ, or one face where that is more."""
MAX_CHANGED = 0.01
"""Fraction of the faces that another machine may answer differently, or two of them."""
_REASON = (
    "the same file on the same faces: only the order of the arithmetic differs, which moves an answer where two "
    "classes are nearly as probable; on emulated processors no answer of 225 changed (docs/devices.md)"
)
_FACE_DIGITS = 32


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Its figures."""

    accuracy: float
    right: int
    faces: int
    split: Literal["validation", "test"]
    source: str
    """What the faces are called; no path."""
    fingerprint: str
    """SHA-256 over the pixels and labels of the faces, whatever their names and order."""
    data_fingerprint: str
    """Of the whole data set that they are a split of."""

    @property
    def sentence(self) -> str:
        """The claim for people."""
        low, high = wilson_interval(self.right, self.faces)
        return (
            f"The model is right on {self.right} of {self.faces} faces, {self.accuracy:.2%} (95 % interval {low:.1%} "
            f"to {high:.1%}), of the {self.split} split of {self.source}."
        )

    @property
    def short(self) -> str:
        """The claim in a few words."""
        return f"{self.accuracy:.2%} of {self.faces:,} faces ({self.split} of {self.source})"


class _Samples(msgspec.Struct):
    rows: list[tuple[str, str, str, float]]
    """Digest of the face's pixels, label, answer and confidence."""


def measure(
    contents: Contents, faces: GivenFaces, split: Literal["validation", "test"]
) -> tuple[Claim, bytes, Mapping[str, int]]:
    """The claim on ``split`` of ``faces``, its raw samples, and what was left out of the faces, by kind.

    Raises DataError and as ``evaluate_model`` does.
    """
    done = _evaluated(contents, faces, split)
    rows = _rows(done)
    right = sum(label == answer for _, label, answer, _ in rows)
    value = Value(
        accuracy=right / len(rows),
        right=right,
        faces=len(rows),
        split=split,
        source=printable(Path(done.data_source).name),  # bundles travel: they tell no machine's folders
        fingerprint=faces_fingerprint(done),
        data_fingerprint=done.data_fingerprint,
    )
    claim = Claim(
        id="accuracy",
        kind="accuracy",
        sentence=value.sentence,
        value=msgspec.to_builtins(value),
        allowed=allowed_for(len(rows)),
        reason=_REASON,
        measured=f"every face once, by {done.subject.description}; {done.machine}",
        samples=SAMPLES,
    )
    return claim, rows_bytes({"columns": ["face", "label", "answer", "confidence"]}, rows), done.left_out_files


def allowed_for(num_faces: int) -> dict[str, float]:
    """The bounds for so many faces."""
    return {"points": max(MAX_POINTS, 150 / num_faces), "changed": max(2, math.floor(MAX_CHANGED * num_faces))}


def recheck(claim: Claim, here: Here) -> Result:
    """Evaluate the model on the faces that are given here, where they are the claim's."""
    where = f"{CLAIMS}: {claim.id}"
    value = converted(claim.value, Value, where)
    name = claim.samples or ""
    rows = decoded(here.contents.read(name), _Samples, name).rows
    if problem := _contradiction(claim, value, rows):
        return Result(claim.id, "failed", value.short, reason=problem)
    if here.faces is None:
        raise NotCheckable("no faces were given; name them with --data")
    here.note(f"evaluating {printable(here.contents.path(here.contents.manifest.model).name)} on {here.faces.source}")
    done = _evaluated(here.contents, here.faces, value.split)
    found = f"{done.metrics.accuracy:.2%} of {len(done.faces):,} faces"
    figures: dict[str, Any] = {"accuracy": done.metrics.accuracy, "faces": len(done.faces)}
    if done.left_out_files:
        figures["left_out_files"] = dict(done.left_out_files)
    if faces_fingerprint(done) != value.fingerprint:
        return Result(claim.id, "not checked", value.short, found, "other faces than the claim's", figures)
    answers = {(face, label): answer for face, label, answer, _ in rows}
    changed = sum(answers.get((face, label)) != answer for face, label, answer, _ in _rows(done))
    points = 100 * abs(done.metrics.accuracy - value.accuracy)
    found += f", {changed} answers changed"
    figures |= {"changed": changed, "points": points}
    problems = [
        f"expected {what} of at most {claim.allowed[key]:g}, found {number:.4g}"
        for what, key, number in (
            ("a difference in points", "points", points),
            ("a number of changed answers", "changed", changed),
        )
        if number > claim.allowed[key]
    ]
    return Result(claim.id, "failed" if problems else "passed", value.short, found, "; ".join(problems), figures)


def faces_fingerprint(done: Evaluation) -> str:
    """SHA-256 over the names of the classes and the pixels and label of each face, whatever their order."""
    names = [name.encode() for name in done.subject.labels.names]
    return hashlib.sha256(b"\n".join([*names, *sorted(done.faces.labelled_digests(2))])).hexdigest()


def _evaluated(contents: Contents, faces: GivenFaces, split: str) -> Evaluation:
    path = contents.openable(contents.manifest.model)
    return evaluate_model(path, split=split, trust=contents.trust, **faces.options())


def _rows(done: Evaluation) -> list[tuple[str, str, str, float]]:
    """A row for each face, in an order that follows from the faces."""
    names, answers = done.subject.labels.names, done.probabilities.argmax(axis=1)
    confidences = np.round(done.probabilities.max(axis=1), 6)
    return sorted(
        (digest.hex()[:_FACE_DIGITS], names[label], names[answer], float(confidence))
        for digest, label, answer, confidence in zip(
            done.faces.digests(), done.faces.labels.tolist(), answers.tolist(), confidences, strict=True
        )
    )


def _contradiction(claim: Claim, value: Value, rows: list[tuple[str, str, str, float]]) -> str:
    """How the claim contradicts its own samples or what this version allows; empty if it does not."""
    if not rows:
        return "it has no samples"
    counted = Counter(label == answer for _, label, answer, _ in rows)
    right, faces = counted[True], len(rows)
    if (value.right, value.faces) != (right, faces) or not math.isclose(value.accuracy, right / faces, abs_tol=1e-9):
        return f"it states {value.right} of {value.faces} ({value.accuracy:.2%}), and its samples {right} of {faces}"
    return wider_bounds(claim, allowed_for(faces)) or wrong_words(claim, value.sentence)
