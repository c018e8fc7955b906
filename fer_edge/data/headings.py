"""Headings of tables that spreadsheets saved in another way than as UTF-8 with commas."""

from collections.abc import Sequence

_UNREADABLE = ("\0", "\ufffd")
"""Of UTF-16 and of a country's own letters, read as UTF-8 with ``errors="replace"``."""
SAVE_AS_UTF8 = "; save it as UTF-8 with commas between columns"


def way_out(heading: Sequence[str]) -> str:
    """What to do about a ``heading``, read as UTF-8 with commas, that was saved otherwise; empty where it was not."""
    whole = "".join(heading)
    is_one_column = len(heading) == 1 and any(separator in whole for separator in ";\t")
    return SAVE_AS_UTF8 if is_one_column or any(sign in whole for sign in _UNREADABLE) else ""
