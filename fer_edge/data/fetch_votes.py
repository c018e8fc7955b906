"""Gets FER+'s votes from Microsoft's repository, whole and unchanged or not at all."""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from fer_edge.errors import DataError
from fer_edge.files import make_folder, write_bytes

URL = "https://raw.githubusercontent.com/microsoft/FERPlus/master/fer2013new.csv"
SHA256 = "9206e20d62f56475939f516847d61753e4860caeac9718b560129541b776fc2c"
"""Of the file that the joins in this package were tested with (1.6 MB, MIT licence)."""

TIMEOUT_S = 30.0
MAX_BYTES = 16 * 2**20
"""Ten times the file: what is longer is another one, and is not read to its end."""


def fetch_votes(out: Path, *, url: str = URL, sha256: str = SHA256) -> Path:
    """Download ``fer2013new.csv`` to the file ``out``, replacing it; returns ``out``.

    Raises DataError where the download fails or gives other bytes than those of ``sha256``, and StorageError where
    ``out`` cannot be written. Then ``out`` is as it was.
    """
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            content = answer.read(MAX_BYTES + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:  # URLError is an OSError
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        text = " ".join(str(reason).split())[:200] or type(error).__name__
        raise DataError(
            f"expected FER+'s votes from {url}, the download failed ({text}); try again, or download that by hand and "
            "name the file with --votes"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(
            f"{url}: expected fer2013new.csv with SHA-256 {sha256[:16]}..., found {len(content):,} bytes with "
            f"{found[:16]}...; nothing was written: the download was damaged, or the file has changed there"
        )
    make_folder(out.parent)
    write_bytes(out, content)
    return out
