"""What PyTorch's two archives share: a checksum that the metadata entry states of all other entries."""

import io
from collections.abc import Callable

from fer_edge.metadata import ModelMetadata
from fer_edge.runtime.checksum import content_hash_of_zip, verify_zip_checksum

EXAMPLE_SHAPE = (2, 61, 53, 3)
"""Traced with: no two dimensions alike and none of them 1, so that none is mistaken for another or for a constant."""


def archive_bytes(save: Callable[[io.BytesIO, str], None], metadata: ModelMetadata) -> bytes:
    """Save once to learn the checksum, which leaves the metadata out, and once more with the metadata that state it."""
    first = io.BytesIO()
    save(first, metadata.to_json())
    second = io.BytesIO()
    save(second, metadata.with_checksum(content_hash_of_zip(first.getvalue(), metadata.name)).to_json())
    verify_zip_checksum(second.getvalue(), metadata.name)  # raises ModelError should torch ever write two differently
    return second.getvalue()
