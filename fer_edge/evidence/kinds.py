"""Every kind of claim, one module each, which can both make a claim and check it elsewhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from fer_edge.data.class_map import ClassMap
from fer_edge.errors import EvidenceError
from fer_edge.evidence.claims import CLAIMS, Claim, Result, converted
from fer_edge.evidence.contents import Contents
from fer_edge.text import printable

KINDS = ("integrity", "golden", "accuracy", "latency", "parity", "devices", "runtime")
"""In the order in which they are told."""


@dataclass(frozen=True)
class GivenFaces:
    """Labelled faces on this machine, as ``evaluate_model`` takes them."""

    source: str
    labels: str | None = None
    votes: Path | None = None
    class_map: ClassMap | None = None
    skip_bad: bool = False

    def options(self) -> Mapping[str, Any]:
        """For ``evaluate_model``."""
        return {
            "source": self.source,
            "labels": self.labels,
            "votes": self.votes,
            "class_map": self.class_map,
            "skip_bad": self.skip_bad,
        }


@dataclass(frozen=True)
class Here:
    """What a check may use beside the bundle."""

    contents: Contents
    faces: GivenFaces | None = None
    note: Callable[[str], None] = lambda _: None


Recheck = Callable[[Claim, Here], Result]
"""Raises EvidenceError for malformed figures, NotCheckable where this machine cannot check, and ModelError,
ProviderError, MissingExtraError as opening a model does."""


def short(claim: Claim) -> str:
    """A claim in a few words, by its figures. Raises EvidenceError where they are malformed."""
    value = converted(claim.value, import_module(f"fer_edge.evidence.{claim.kind}").Value, f"{CLAIMS}: {claim.id}")
    return str(value.short)


def recheck_of(kind: str, where: str) -> Recheck:
    """The check of a kind of claims. Raises EvidenceError for a kind that this version does not know."""
    if kind not in KINDS:
        raise EvidenceError(
            f"{where}: expected claims of the kinds {', '.join(KINDS)}, found {printable(kind)[:40]!r}; "
            "a newer fer_edge may know it"
        )
    found: Recheck = import_module(f"fer_edge.evidence.{kind}").recheck
    return found
