"""The claim that a model's own runtime was not run, where another backend stands for it: nobody can pass it here."""

import msgspec

from fer_edge.errors import ModelError
from fer_edge.evidence.claims import CLAIMS, Claim, NotCheckable, Result, converted, wrong_words
from fer_edge.evidence.contents import MANIFEST, Contents
from fer_edge.evidence.kinds import Here
from fer_edge.runtime.machine import describe_machine

ID = "runtime"


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Its figures."""

    runtime: str
    """That the model is meant for."""
    backend: str
    """That evaluated the model's graph instead."""

    @property
    def sentence(self) -> str:
        """The claim for people."""
        return f"{self.short}: every figure is that of the model's graph as {self.backend} evaluates it."

    @property
    def short(self) -> str:
        """The claim in a few words."""
        return f"{self.runtime} itself was not run"


def measure(contents: Contents) -> Claim | None:
    """The claim; None for a model that its own runtime ran."""
    value = _value(contents)
    if value is None:
        return None
    return Claim(
        id=ID,
        kind=ID,
        sentence=value.sentence,
        value=msgspec.to_builtins(value),
        allowed={},
        reason=f"{value.runtime} is not here",
        measured=f"not at all; {describe_machine()}",
        samples=MANIFEST,
    )


def recheck(claim: Claim, here: Here) -> Result:
    """Compare the claim with the model's format. Raises NotCheckable where the two agree."""
    value = converted(claim.value, Value, f"{CLAIMS}: {claim.id}")
    expected = _value(here.contents)
    if problem := wrong_words(claim, value.sentence):
        return Result(claim.id, "failed", value.short, reason=problem)
    if value != expected:
        found = expected.short if expected else "that the model's own runtime runs it"
        return Result(claim.id, "failed", value.short, reason=f"it states {value.short}, and its format {found}")
    raise NotCheckable(_why(value))


def left_out(contents: Contents) -> list[Result]:
    """What is told where a bundle's claims do not say that the model's own runtime was not run, and it was not."""
    try:
        value = _value(contents)
    except ModelError:  # a file that nothing opens: other claims fail for it
        return []
    return [] if value is None else [Result(ID, "not checked", "none", reason=_why(value))]


def _why(value: Value) -> str:
    return f"{value.runtime} is not here; what passed is the model's graph as {value.backend} evaluates it"


def _value(contents: Contents) -> Value | None:
    entry = contents.backend_of(contents.manifest.model)
    return Value(entry.stands_for, entry.name) if entry.stands_for else None
