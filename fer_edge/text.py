"""Text that came from elsewhere (file names, metadata, class names), made fit to be shown."""

import os
import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_BACKSLASHES = re.compile(r"\\+")
_ESCAPE = re.compile(r"x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8}" + ("" if os.name == "nt" else "|[tnr]"))
"""What follows a backslash in an escape; no file of Windows has a tab or line break in its name, but C:\\new is one."""
_SURROGATE_ESCAPE = re.compile(r"ud[89a-f][0-9a-f]{2}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BYTES = re.compile("[\udc80-\udcff]+")
"""How Python spells the bytes of a name that its locale does not read."""
_RUN = re.compile(r"\S+")
_SCHEME_END, _USER_END = re.compile(r":/{1,2}"), re.compile("[/@:]")
_NO_LETTERS = string.digits + "+.-"
_OF_SCHEMES = string.ascii_letters + _NO_LETTERS
_NAME = re.compile(r"(?<=[?&])(\w+)=")
_VALUE = re.compile(r"\*\*\*(?=[:;,.)]*(?:[&\s#]|$))|[^&\s#]+")
"""One that is left out already ends where it did, and not with the colon of the message that names it."""
_BEGINS_FORMULAS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are those before in full width."""
_SECRETS = ("pass", "pwd", "token", "secret", "key", "auth", "sig")


def without_password(text: str) -> str:
    """``text`` with ``***`` for who logs in by an address in it (user:password@) and for passwords among its values; in
    linear time, for texts come from strangers."""
    if ":/" not in text:
        return text
    return _without_secrets(_RUN.sub(lambda run: _without_login(run[0]), text))


def _without_login(run: str) -> str:
    """``run``, without white space, and without who logs in: up to the last @, for there are passwords with a slash or
    an @. One slash behind the scheme is enough, for a Path drops the other."""
    last = run.rfind("@")
    parts, place = [], 0
    while (scheme := _SCHEME_END.search(run, place, last + 1)) is not None:
        before, end = run[place : scheme.start()], scheme.end()
        name = before[len(before.rstrip(_OF_SCHEMES)) :]
        parts.append(run[place:end])
        place = end
        user = _USER_END.search(run, end)
        if user is None or not name[:-1].strip(_NO_LETTERS):
            continue
        if user[0] == ":":
            place = last + 1
        elif user[0] == "@":
            place = user.end()
        if place > end:
            parts.append("***@")
    return "".join([*parts, run[place:]])


def _without_secrets(text: str) -> str:
    parts, place = [], 0
    while (name := _NAME.search(text, place)) is not None:
        parts.append(text[place : name.end()])
        place = name.end()
        is_secret = any(word in name[1].lower() for word in _SECRETS)
        if is_secret and (value := _VALUE.match(text, place)) is not None:
            parts.append("***")
            place = value.end()
    return "".join([*parts, text[place:]])


def printable(text: object, *, keep: str = "") -> str:
    """``str(text)`` as one printable line: line breaks, terminal codes and bytes that are no UTF-8 are escaped.

    Shown raw, they could clear the screen, rename the window or add lines that look like our own. Characters in
    ``keep`` stay. Passwords in addresses are left out.
    """
    whole = without_password(str(text))
    if whole.isprintable():
        return whole
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode("ascii") for char in whole
    )


def table_cell(text: object) -> str:
    """``text`` as Markdown shows it in a cell of a table, on one line."""
    return printable(text).replace("|", "\\|").replace("<", "&lt;")


def listed(names: Sequence[str], most: int) -> str:
    """``a, b and 7 more``: the first ``most`` of ``names``, and how many are left."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def as_utf8(name: str) -> str:
    """A file's name as a UTF-8 locale reads it: in the locale POSIX its letters beyond ASCII are lone surrogates."""
    return name if name.isascii() else _BYTES.sub(_as_letters, name)


def shown_name(name: object) -> str:
    """The name of a file as ``printable`` shows it, but so that no two names are shown alike.

    A backslash before what would read as an escape is doubled; every other name is shown as it is.
    """
    whole = as_utf8(str(name))
    return printable(_backslashes_doubled(whole, _ESCAPE, lambda character: not character.isprintable()))


def no_formula(name: str) -> str:
    """``name`` of a file, for a table that a spreadsheet may open: one that it would take for a formula begins with
    ``./``, which leads to the same file. See https://owasp.org/www-community/attacks/CSV_Injection.
    """
    return f"./{name}" if name.startswith(_BEGINS_FORMULAS) else name


def without_surrogates(value: Any) -> Any:
    """``value``, plain types as for JSON, with its texts as valid Unicode, so that every reader of JSON takes them.

    A byte 0xNN of a file's name that is no UTF-8 becomes the six characters ``\\udcNN``; a backslash before what reads
    like that is doubled, so that no two names become one. Passwords in addresses are left out.
    """
    if isinstance(value, str):
        value = without_password(value)
        if value.isascii() and "\\ud" not in value:
            return value
        doubled = _backslashes_doubled(
            as_utf8(value), _SURROGATE_ESCAPE, lambda character: bool(_SURROGATE.match(character))
        )
        return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", doubled)
    if isinstance(value, Mapping):
        return {without_surrogates(key): without_surrogates(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_surrogates(one) for one in value]
    return value


def _as_letters(run: re.Match[str]) -> str:
    return run[0].encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _backslashes_doubled(text: str, escape: re.Pattern[str], is_escaped: Callable[[str], bool]) -> str:
    """``text`` with the backslashes doubled that stand before an ``escape`` or before a character that becomes one."""

    def double(match: re.Match[str]) -> str:
        end = match.end()
        is_like_one = escape.match(text, end) or is_escaped(text[end : end + 1] or "/")
        return match[0] * 2 if is_like_one else match[0]

    return _BACKSLASHES.sub(double, text)
