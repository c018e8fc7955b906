"""Old names of ``fer_edge.runtime.checksum``; they go in the next release."""

import warnings
from typing import Any

from fer_edge.runtime import checksum

_RENAMED = {
    "seal": "add_checksum",
    "verify_seal": "verify_checksum",
    "verify_zip_seal": "verify_zip_checksum",
    "ZIP_CARD_ENTRY": "ZIP_METADATA_ENTRY",
}


def __getattr__(name: str) -> Any:
    new = _RENAMED.get(name, name)
    if not hasattr(checksum, new):
        raise AttributeError(f"module 'fer_edge.runtime.seal' has no attribute {name!r}")
    warnings.warn(f"fer_edge.runtime.seal.{name} is now checksum.{new}", DeprecationWarning, stacklevel=2)
    return getattr(checksum, new)
