"""The claim of what a model answered on other devices: the matrix of ``verify --devices``, which is another's word."""

from pathlib import Path

import msgspec

from fer_edge.devices.matrix import Matrix, read_matrix
from fer_edge.errors import EvidenceError, ModelError
from fer_edge.evidence.claims import CLAIMS, Claim, NotCheckable, Result, converted, wrong_words
from fer_edge.evidence.kinds import Here
from fer_edge.text import listed, printable

FOLDER = "devices"


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Its figures."""

    passed: list[str]
    """Names of devices."""
    failed: list[str]
    not_run: list[str]
    max_logit_difference: float | None
    """The largest of those that passed."""

    @property
    def sentence(self) -> str:
        """The claim for people."""
        names = ", ".join(self.passed) or "none"
        more = f"; it failed on {', '.join(self.failed)}" if self.failed else ""
        return f"The model gives its golden answers on {len(self.passed)} devices ({names}){more}."

    @property
    def short(self) -> str:
        """The claim in a few words."""
        counts = {"passed": self.passed, "failed": self.failed, "not run": self.not_run}
        told = ", ".join(f"{len(names)} {word}" for word, names in counts.items() if names) or "none tried"
        furthest = self.max_logit_difference
        return f"devices: {told}" + ("" if furthest is None else f", logits within {furthest:.2g}")


def measure(file: Path, model_sha256: str) -> Claim:
    """The claim of the matrix ``file``, which lies in the bundle's ``devices``. Raises ModelError for a file that holds
    none, or that of another model."""
    matrix = read_matrix(file)
    if matrix.sha256 != model_sha256:
        raise ModelError(
            f"{file}: expected the matrix of the model {model_sha256[:12]}, found that of {printable(matrix.model)} "
            f"({printable(matrix.sha256)[:12]}); make one with 'fer-edge verify MODEL --devices'"
        )
    value = _value(matrix)
    return Claim(
        id="devices",
        kind="devices",
        sentence=value.sentence,
        value=msgspec.to_builtins(value),
        allowed={"logits": matrix.max_logit_difference},
        reason="the golden tolerance of its precision",
        measured=f"'verify --devices' on {printable(matrix.made_on)}, {printable(matrix.created)}",
        samples=f"{FOLDER}/{file.name}",
    )


def recheck(claim: Claim, here: Here) -> Result:
    """Compare the claim with its matrix. Raises NotCheckable where the two agree: the devices are not here."""
    value = converted(claim.value, Value, f"{CLAIMS}: {claim.id}")
    try:
        matrix = read_matrix(here.contents.path(claim.samples or ""))
    except ModelError as error:
        raise EvidenceError(f"{claim.samples}: expected a matrix of 'verify --devices', found another file") from error
    problems = [wrong_words(claim, value.sentence)]
    if matrix.sha256 != here.contents.manifest.model_sha256:
        problems.append("its matrix is of another model")
    if _value(matrix) != value:
        problems.append(f"it states {value.short}, and its matrix {_value(matrix).short}")
    beyond = [
        row.device
        for row in matrix.rows
        if row.outcome == "passed" and not (row.max_logit_difference or 0.0) <= matrix.max_logit_difference
    ]
    if beyond:
        problems.append(f"its matrix says passed of what is beyond its bound: {printable(listed(beyond, 3))}")
    if any(problems):
        return Result(claim.id, "failed", value.short, reason="; ".join(filter(None, problems)))
    raise NotCheckable("those devices are not here; 'fer-edge verify MODEL --devices' tries them again")


def _value(matrix: Matrix) -> Value:
    names = {
        outcome: [row.device for row in matrix.rows if row.outcome == outcome]
        for outcome in ("passed", "failed", "not run")
    }
    differences = [
        row.max_logit_difference
        for row in matrix.rows
        if row.outcome == "passed" and row.max_logit_difference is not None
    ]
    return Value(names["passed"], names["failed"], names["not run"], max(differences, default=None))
