"""A claim: what somebody says of a model, how far another machine may be from it, and the samples behind it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import msgspec

from fer_edge.errors import EvidenceError
from fer_edge.text import printable

SCHEMA = "fer_edge evidence"
VERSION = 1
CLAIMS = "claims.json"

Outcome = Literal["passed", "failed", "not checked"]
T = TypeVar("T")


class Claim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of ``claims.json``."""

    id: str
    kind: str
    """Of ``fer_edge.evidence.kinds``: says how it is checked."""
    sentence: str
    """The claim for people; follows from ``value``."""
    value: dict[str, Any]
    """The figures; their names are the kind's."""
    allowed: dict[str, float]
    """How far another machine may be from them, by the names of the kind's bounds."""
    reason: str
    """Why so far."""
    measured: str
    """How it was measured, and on what machine."""
    samples: str | None = None
    """The file of the bundle that holds what ``value`` was worked out from."""


class _Claims(msgspec.Struct, forbid_unknown_fields=True):
    schema: str
    claims: list[Claim]


@dataclass(frozen=True)
class Result:
    """What this machine found of one claim. What could not be checked is never passed."""

    id: str
    outcome: Outcome
    stated: str
    """The claim in a few words."""
    found: str = ""
    """What was measured here, in a few words."""
    reason: str = ""
    """Why it failed or was not checked."""
    figures: dict[str, Any] = field(default_factory=dict)
    """What was measured here; plain types."""

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "id": self.id,
            "outcome": self.outcome,
            "stated": self.stated,
            "found": self.found,
            "reason": self.reason,
            "figures": self.figures,
        }


def wrong_words(claim: Claim, sentence: str) -> str:
    """What is wrong with the words of ``claim``, whose figures say ``sentence``; empty where they say the same."""
    return "" if claim.sentence == sentence else f"its sentence is not what its figures say: {sentence}"


def wider_bounds(claim: Claim, most: Mapping[str, float]) -> str:
    """Which bounds of ``claim`` are wider than this version has them, ``most``; empty where none is.

    Without a bound nothing would be refused, so a missing one is too wide, too; so is NaN.
    """
    wider = [name for name, limit in most.items() if not claim.allowed.get(name, math.inf) <= limit]
    told = ", ".join(f"{name} {most[name]:g}" for name in wider)
    return f"expected bounds of at most {told}, found wider ones" if wider else ""


class NotCheckable(Exception):
    """A claim that this machine cannot check; its text says why."""


def schema_text(what: str) -> str:
    """What a file of a bundle says first: what it is, and of which version."""
    return f"{SCHEMA} {what} {VERSION}"


def check_schema(found: object, what: str, where: str) -> None:
    """Refuse (EvidenceError) the first words of a file that is another, or of a newer version."""
    expected = schema_text(what)
    if found == expected:
        return
    words, _, number = str(found).rpartition(" ")
    if words == f"{SCHEMA} {what}" and number.isascii() and number.isdigit() and int(number[:9]) > VERSION:
        raise EvidenceError(
            f"{where}: expected version {VERSION}, found {number[:9]}: a newer fer_edge wrote it; install that one"
        )
    raise EvidenceError(f"{where}: expected '{expected}', found {printable(str(found))[:60]!r}; is it a bundle?")


def write_claims(claims: Sequence[Claim]) -> bytes:
    """The content of ``claims.json``."""
    plain = [{name: getattr(claim, name) for name in claim.__struct_fields__} for claim in claims]
    return json_bytes({"schema": schema_text("claims"), "claims": plain})


def read_claims(data: bytes, where: str) -> list[Claim]:
    """The claims of a bundle. Raises EvidenceError where they are malformed, newer, or two have one id."""
    check_schema(decoded(data, dict[str, Any], where).get("schema"), "claims", where)
    claims = decoded(data, _Claims, where).claims
    ids = [claim.id for claim in claims]
    if not claims or len(set(ids)) < len(ids):
        raise EvidenceError(f"{where}: expected claims, each with an id of its own, found {len(ids)} with others' ids")
    return claims


def decoded(data: bytes, kind: type[T], where: str) -> T:
    """JSON of one kind. Raises EvidenceError, in one line, for other text."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        told = printable(" ".join(str(error).split()))[:200]
        raise EvidenceError(f"{where}: expected what 'bundle' writes, found another file ({told})") from error


def converted(value: object, kind: type[T], where: str) -> T:
    """Plain types as ``kind``. Raises EvidenceError."""
    try:
        return msgspec.convert(value, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        told = printable(" ".join(str(error).split()))[:200]
        raise EvidenceError(f"{where}: expected the figures of its kind, found others ({told})") from error


def json_bytes(value: Any) -> bytes:
    """Indented JSON, the same for the same value; no NaN."""
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode("ascii")


def rows_bytes(heading: dict[str, Any], rows: Sequence[Any]) -> bytes:
    """JSON of ``heading`` with ``rows``, one a line, so that a difference between two files reads as rows."""
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
    head = json.dumps(heading, allow_nan=False)[:-1]
    return f'{head}{", " if heading else ""}"rows": [\n{lines}\n]}}\n'.encode("ascii")
