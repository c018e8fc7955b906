"""The token that clients have to show: from a file or the environment, never from the command line."""

import os
from pathlib import Path

from fer_edge.errors import ServingError, UsageError
from fer_edge.serving.settings import MIN_TOKEN
from fer_edge.text import shown_name

VARIABLE = "FER_EDGE_TOKEN"
_MAX_BYTES = 4096


def read_token(file: Path | None) -> str | None:
    """What is in ``file``, or without one in the environment's FER_EDGE_TOKEN; None where there is neither.

    Space around it does not count. Raises ServingError for a file that cannot be read, UsageError for a token that is
    empty or short; neither says what was found.
    """
    if file is None:
        found = os.environ.get(VARIABLE)
        if found is None:
            return None
        return _checked(found, VARIABLE)
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ServingError(f"{shown_name(file)}: expected a token, found more than {_MAX_BYTES} bytes")
        return _checked(data.decode("ascii"), shown_name(file))
    except OSError as error:
        raise ServingError(f"{shown_name(file)}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown_name(file)}: expected a token in ASCII, found other bytes") from error


def _checked(text: str, where: str) -> str:
    token = text.strip()
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            f"{where}: expected a token of {MIN_TOKEN} or more ASCII characters without spaces, found another one; "
            "openssl rand -hex 32 makes one"
        )
    return token
