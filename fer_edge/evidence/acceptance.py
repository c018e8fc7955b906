"""Checks a bundle on this machine: each claim that can be measured again is, and nothing else is called passed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fer_edge.errors import EvidenceError, MissingExtraError, ModelError, ProviderError
from fer_edge.evidence import runtime
from fer_edge.evidence.archive import extract
from fer_edge.evidence.claims import CLAIMS, Claim, NotCheckable, Result, read_claims
from fer_edge.evidence.contents import Contents, Manifest, environment, read_contents
from fer_edge.evidence.kinds import KINDS, GivenFaces, Here, recheck_of, short
from fer_edge.evidence.signature import ID as SIGNATURE_ID
from fer_edge.evidence.signature import verify
from fer_edge.extras import install_command
from fer_edge.files import temporary_folder
from fer_edge.text import listed, printable

_FIRST = "integrity"
"""The kind that is checked before a file of the bundle is opened."""


@dataclass(frozen=True)
class AcceptRequest:
    """Which bundle to check, and with what."""

    bundle: Path
    faces: GivenFaces | None = None
    """Labelled faces on this machine, for the claim of an accuracy."""
    verify_key: Path | None = None
    """The public elliptic key, in PEM, of who must have signed the bundle."""
    trust: bool = False
    """Open a model whose loading runs code, or whose graph is none of an image classifier."""


@dataclass(frozen=True)
class Acceptance:
    """What this machine found of each claim; true where none failed."""

    bundle: Path
    manifest: Manifest
    results: tuple[Result, ...]

    def __bool__(self) -> bool:
        return not self.failures

    @property
    def failures(self) -> tuple[Result, ...]:
        """Claims that do not hold here."""
        return tuple(one for one in self.results if one.outcome == "failed")

    @property
    def not_checked(self) -> tuple[Result, ...]:
        """Claims of which this machine can say nothing."""
        return tuple(one for one in self.results if one.outcome == "not checked")

    def failure_text(self) -> str:
        """The failures on one line."""
        return "; ".join(f"{printable(one.id)}: {one.reason}" for one in self.failures)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "bundle": str(self.bundle),
            "passed": bool(self),
            "results": [one.to_dict() for one in self.results],
            "measured_on": self.manifest.environment,
            "checked_on": environment(),
        }


def accept_bundle(request: AcceptRequest, note: Callable[[str], None] = lambda _: None) -> Acceptance:
    """Unpack the bundle into a temporary folder and check its claims, its integrity first.

    No code of the bundle is run, and nothing is asked of a network. Where a file was changed, or the signature is not
    that of ``verify_key``, no other claim is checked. Raises EvidenceError for what is no bundle, is made to do harm,
    malformed or of a newer version, DataError for faces that cannot be read, and MissingExtraError for a key without
    the package that checks signatures.
    """
    with temporary_folder("accept-") as name:
        folder = Path(name)
        extract(request.bundle, folder)
        contents = read_contents(folder, printable(request.bundle), trust=request.trust)
        claims = _claims(contents, printable(request.bundle))
        here = Here(contents, request.faces, note)
        results = [verify(folder, request.verify_key)]
        for claim in claims:
            if failed := [one.id for one in results if one.outcome == "failed" and one.id in (SIGNATURE_ID, _FIRST)]:
                reason = f"{failed[0]} failed: these may not be the files that were measured"
                results.append(Result(claim.id, "not checked", short(claim), reason=reason))
                continue
            results.append(check(claim, here))
        is_whole = not any(one.outcome == "failed" and one.id in (SIGNATURE_ID, _FIRST) for one in results)
        if is_whole and not any(claim.kind == runtime.ID for claim in claims):
            results += runtime.left_out(contents)
        return Acceptance(request.bundle, contents.manifest, tuple(results))


def check(claim: Claim, here: Here) -> Result:
    """What this machine finds of one claim. Raises EvidenceError and DataError as ``accept_bundle`` does."""
    recheck = recheck_of(claim.kind, CLAIMS)
    result = Result(claim.id, "not checked", short(claim))
    try:
        return recheck(claim, here)
    except NotCheckable as why:
        return replace(result, reason=str(why))
    except (MissingExtraError, ProviderError) as error:  # what this machine lacks is no fault of the model
        return replace(result, reason=str(error))
    except ModuleNotFoundError as error:
        return replace(result, reason=f"{error.name} is not installed; run: {install_command('train')}")
    except ModelError as error:
        return replace(result, outcome="failed", reason=str(error).replace(f"{here.contents.folder}/", ""))


def _claims(contents: Contents, where: str) -> list[Claim]:
    """The claims, integrity first. Raises EvidenceError for kinds that are unknown, or where there is no integrity."""
    claims = read_claims(contents.read(CLAIMS), f"{where}: {CLAIMS}")
    if any((claim.id == _FIRST) != (claim.kind == _FIRST) or claim.id == SIGNATURE_ID for claim in claims):
        raise EvidenceError(f"{where}: {CLAIMS}: expected ids of their own kinds, found '{_FIRST}' or '{SIGNATURE_ID}'")
    for claim in claims:
        recheck_of(claim.kind, f"{where}: {CLAIMS}")
    if sum(claim.kind == _FIRST for claim in claims) != 1:
        found = listed([printable(claim.id) for claim in claims], 8)
        raise EvidenceError(f"{where}: {CLAIMS}: expected one claim of the kind {_FIRST}, found {found}")
    return sorted(claims, key=lambda claim: KINDS.index(claim.kind))
