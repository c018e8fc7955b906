"""Who wrote a bundle: the manifest, which names the SHA-256 of everything else, signed by OpenSSF's model-signing.

With an elliptic key, without any network: https://github.com/sigstore/model-transparency. The same file can be checked
without this project: ``python -m model_signing verify key manifest.json --signature signature.json --public_key PUB``.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from fer_edge.errors import EvidenceError, MissingExtraError
from fer_edge.evidence.claims import Result
from fer_edge.evidence.contents import MANIFEST, SIGNATURE
from fer_edge.text import printable

PACKAGE, EXTRA = "model-signing", "sign"
ID = "signature"
_STATED = f"{MANIFEST} is signed"


def require() -> None:
    """Raises MissingExtraError where model-signing is not installed."""
    if find_spec("model_signing") is None:
        raise MissingExtraError(PACKAGE, EXTRA)


def check_key(key: Path) -> None:
    """Refuse (EvidenceError, MissingExtraError) a private key that cannot sign: before the work, not after."""
    require()
    from model_signing import signing

    _read(key, "private")
    with _one_line(key, "a private elliptic key (P-256, P-384 or P-521) in PEM without a password"):
        signing.Config().use_elliptic_key_signer(private_key=key)


def sign(folder: Path, key: Path) -> None:
    """Sign the manifest of the bundle in ``folder``. Raises as ``check_key`` does."""
    check_key(key)
    from model_signing import signing

    with _one_line(key, "a key that signs"):
        signing.Config().use_elliptic_key_signer(private_key=key).sign(folder / MANIFEST, folder / SIGNATURE)


def verify(folder: Path, key: Path | None) -> Result:
    """What the signature in ``folder`` is worth. Raises MissingExtraError and EvidenceError for a key that is none."""
    is_signed = (folder / SIGNATURE).is_file()
    if key is None:
        reason = "no key was given; name the signer's with --verify-key" if is_signed else "the bundle is not signed"
        return Result(ID, "not checked", _STATED if is_signed else "none", reason=reason)
    require()
    from model_signing import verifying

    _read(key, "public")
    with _one_line(key, "a public elliptic key (P-256, P-384 or P-521) in PEM"):
        config = verifying.Config().use_elliptic_key_verifier(public_key=key)
    if not is_signed:
        return Result(ID, "failed", "none", reason=f"expected a bundle signed by {printable(key.name)}, found none")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            config.verify(folder / MANIFEST, folder / SIGNATURE)
    except (
        Exception
    ) as error:  # ValueError, InvalidSignature, pydantic's, KeyError: whatever a changed file makes of it
        told = printable(" ".join(str(error).split()))[:160] or type(error).__name__
        reason = f"expected {SIGNATURE} to be {printable(key.name)}'s of {MANIFEST}, found another ({told})"
        return Result(ID, "failed", _STATED, reason=reason)
    return Result(ID, "passed", _STATED, f"by {printable(key.name)}")


def _read(key: Path, kind: str) -> None:
    try:
        key.read_bytes()
    except OSError as error:
        told = os.strerror(error.errno or 0)
        raise EvidenceError(f"{key}: expected a {kind} key in PEM, found no file to read ({told})") from error


@contextlib.contextmanager
def _one_line(key: Path, expected: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # cryptography raises ValueError, TypeError and UnsupportedAlgorithm
        told = printable(" ".join(str(error).split()))[:100]
        raise EvidenceError(f"{key}: expected {expected}, found another file ({told}); name another key") from error
