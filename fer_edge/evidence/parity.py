"""The claim that the model answers like its checkpoint, checked by ``verify_model`` where torch is installed."""

from typing import Any

import msgspec

from fer_edge.errors import CheckFailed, CheckpointError, EvidenceError, ModelError
from fer_edge.evidence.claims import (
    CLAIMS,
    Claim,
    NotCheckable,
    Outcome,
    Result,
    converted,
    decoded,
    json_bytes,
    wider_bounds,
    wrong_words,
)
from fer_edge.evidence.contents import Contents
from fer_edge.evidence.kinds import Here
from fer_edge.golden.tolerance import GOLDEN_TOLERANCES
from fer_edge.metadata import PRECISIONS
from fer_edge.runtime.machine import describe_machine
from fer_edge.text import printable

SAMPLES = "samples/parity.json"
_REASON = (
    "on another machine the same two files differ by rounding: the model by as much as its golden vectors may, the "
    "checkpoint by that of float32"
)


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Its figures."""

    precision: str
    max_probability_difference: float
    top1_agreement: float
    """Fraction (0-1) of the decided images that get the same class."""
    graph: str
    """What the comparison of the graphs found."""

    @property
    def sentence(self) -> str:
        """The claim for people."""
        return f"The model answers like its checkpoint: {self.short}; its graph: {self.graph}."

    @property
    def short(self) -> str:
        """The claim in a few words."""
        return (
            f"probabilities within {self.max_probability_difference:.2g} of the checkpoint's, the same class for "
            f"{self.top1_agreement:.1%}"
        )


def allowed_for(precision: str) -> float:
    """How far the largest difference of a probability may be from the claim's, elsewhere."""
    return (
        GOLDEN_TOLERANCES[precision].max_probability_difference + GOLDEN_TOLERANCES["fp32"].max_probability_difference
    )


def measure(contents: Contents) -> tuple[Claim, bytes]:
    """The claim, and every figure of ``verify``. Raises CheckFailed where the model differs too far."""
    value, found, failures = _measured(contents, lambda _: None)
    if failures:
        raise CheckFailed(f"{contents.manifest.model}: differs from its checkpoint: {failures[0]}")
    claim = Claim(
        id="parity",
        kind="parity",
        sentence=value.sentence,
        value=msgspec.to_builtins(value),
        allowed={"probabilities": allowed_for(value.precision)},
        reason=_REASON,
        measured=f"'verify' on synthetic faces and noise, of several sizes and batches; {describe_machine()}",
        samples=SAMPLES,
    )
    return claim, json_bytes(found)


def recheck(claim: Claim, here: Here) -> Result:
    """Compare model and checkpoint again, answers, metadata and graph. Raises ModuleNotFoundError without torch."""
    where = f"{CLAIMS}: {claim.id}"
    value = converted(claim.value, Value, where)
    if value.precision not in PRECISIONS:
        raise EvidenceError(f"{where}: expected a precision of {', '.join(PRECISIONS)}, found another")
    if problem := _contradiction(claim, value, here.contents):
        return Result(claim.id, "failed", value.short, reason=problem)
    try:
        found, figures, failures = _measured(here.contents, here.note)
    except CheckpointError as error:
        return Result(claim.id, "failed", value.short, reason=f"its checkpoint: {error}")
    difference = abs(found.max_probability_difference - value.max_probability_difference)
    if not difference <= claim.allowed["probabilities"]:  # written so that NaN fails
        failures = (*failures, f"expected {value.short}, found {found.short}")
    if found.precision != value.precision:
        failures = (*failures, f"expected a model in {value.precision}, found {found.precision}")
    outcome: Outcome = "failed" if failures else "passed"
    return Result(claim.id, outcome, value.short, found.short, "; ".join(failures[:2]), figures)


def _measured(contents: Contents, note: Any) -> tuple[Value, dict[str, Any], tuple[str, ...]]:
    """The figures, all of them as plain types, and what failed."""
    checkpoint = contents.manifest.checkpoint
    if checkpoint is None:
        raise NotCheckable("the bundle holds no checkpoint")
    model = contents.openable(contents.manifest.model)
    file = contents.path(checkpoint)
    from fer_edge.export.parity.verification import VerifyRequest, verify_model

    try:
        # The claim is of answers: they are measured here, whichever torch wrote the file.
        request = VerifyRequest(model=model, checkpoint=file, trust=contents.trust, other_writer=True)
        verification = verify_model(request, note)
    except ModelError as error:  # by the names of the bundle's files, not of the folder that it was unpacked into
        raise ModelError(str(error).replace(f"{contents.folder}/", "")) from error
    parity = verification.parity
    value = Value(parity.precision, parity.max_probability_difference, parity.top1_agreement, verification.graph)
    return value, verification.to_dict(), tuple(parity.failures)


class _Parity(msgspec.Struct):
    precision: str
    max_probability_difference: float
    top1_agreement: float
    passed: bool


class _Samples(msgspec.Struct):
    parity: _Parity
    graph: str


def _contradiction(claim: Claim, value: Value, contents: Contents) -> str:
    """How the claim contradicts its own samples or what this version allows; empty if it does not."""
    name = claim.samples or ""
    samples = decoded(contents.read(name), _Samples, name)
    sampled = Value(
        samples.parity.precision,
        samples.parity.max_probability_difference,
        samples.parity.top1_agreement,
        samples.graph,
    )
    if sampled != value or not samples.parity.passed:
        told = sampled.short if samples.parity.passed else "that it failed"
        return f"it states {value.short}, and its samples {printable(told)}"
    return wider_bounds(claim, {"probabilities": allowed_for(value.precision)}) or wrong_words(claim, value.sentence)
