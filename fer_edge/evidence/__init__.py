"""Evidence that runs again: a model with its measured claims in one archive, and the check of each elsewhere.

Public names load when they are first used.
"""

from typing import TYPE_CHECKING

from fer_edge._lazy import lazy_names

if TYPE_CHECKING:
    from fer_edge.evidence.acceptance import Acceptance, AcceptRequest, accept_bundle
    from fer_edge.evidence.bundle import Bundle, BundleRequest, write_bundle
    from fer_edge.evidence.claims import Claim, Result

_MODULES = {
    "AcceptRequest": "acceptance",
    "Acceptance": "acceptance",
    "Bundle": "bundle",
    "BundleRequest": "bundle",
    "Claim": "claims",
    "Result": "claims",
    "accept_bundle": "acceptance",
    "write_bundle": "bundle",
}
__all__ = [
    "AcceptRequest",
    "Acceptance",
    "Bundle",
    "BundleRequest",
    "Claim",
    "Result",
    "accept_bundle",
    "write_bundle",
]

__getattr__ = lazy_names(__name__, _MODULES)
