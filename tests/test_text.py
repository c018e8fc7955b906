import itertools
import json
import os
import re
import time

import pytest

from fer_edge.text import listed, printable, shown_name, without_password, without_surrogates

PIECES = ("a", "\\", "\x1b", "\n", "n", "x1b", "\udcff", "udcff", "\u202e", "\u00e9")
NAMES = ["".join(pieces) for count in (1, 2, 3, 4) for pieces in itertools.product(PIECES, repeat=count)]


def test_shown_names_are_one_printable_line_and_never_two_alike() -> None:
    shown = [shown_name(name) for name in NAMES]
    assert all(one.isprintable() for one in shown)
    assert len(set(shown)) == len(set(NAMES))


def test_names_beyond_the_most_are_counted() -> None:
    assert listed(("a", "b", "c"), 3) == "a, b, c"
    assert listed(["a", "b", "c", "d"], 2) == "a, b and 2 more"


def test_a_name_without_anything_to_escape_is_shown_as_it_is() -> None:
    for name in ("faces/a b.png", "caf\u00e9/\u7b11.jpg", "back\\slash.png", "C:\\faces\\a.png"):
        assert shown_name(name) == name


def test_json_has_valid_unicode_and_never_two_names_alike() -> None:
    made = [without_surrogates({name: [name, 1, None]}) for name in NAMES]
    texts = [json.dumps(one, ensure_ascii=False).encode() for one in made]  # a lone surrogate could not be encoded
    assert len(set(texts)) == len(set(NAMES))
    kept = {"a\x1b\n\u202e": (1, "C:\\users\\x"), "pair": "\U0001f600"}
    assert without_surrogates(kept) == {"a\x1b\n\u202e": [1, "C:\\users\\x"], "pair": "\U0001f600"}


@pytest.mark.parametrize(
    "name", [b"bad\xff.png", rb"bad\udcff.png", rb"bad\\udcff\\.png", b"\\\xff\\\\\xfe.png", b"\xff"]
)
def test_the_documented_way_back_gives_the_bytes_of_the_name(name: bytes) -> None:
    told = without_surrogates(os.fsdecode(name))

    def back(match: re.Match[str]) -> str:  # as docs/deployment/python.md says it
        backslashes, digits = match.groups()
        half = "\\" * (len(backslashes) // 2)
        return half + (chr(int(digits, 16)) if len(backslashes) % 2 else f"u{digits}")

    assert os.fsencode(re.sub(r"(\\+)u(d[89a-f][0-9a-f]{2})", back, told)) == name


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://admin:hush@10.0.0.2:554/live", "rtsp://***@10.0.0.2:554/live"),
        ("rtsp:/admin:hush@10.0.0.2/live", "rtsp:/***@10.0.0.2/live"),  # as a Path spells it
        ("rtsp://admin:hu@sh@host/live", "rtsp://***@host/live"),
        ("rtsp://admin:hu/sh@host/live", "rtsp://***@host/live"),
        ("RTSPS://hush@host", "RTSPS://***@host"),
        ("http://host/v.cgi?user=me&pwd=hush&size=2", "http://host/v.cgi?user=me&pwd=***&size=2"),
        ("see https://host/@name and C:/me@work/a.png", "see https://host/@name and C:/me@work/a.png"),
        ("photos/a@b.png", "photos/a@b.png"),
    ],
)
def test_passwords_in_addresses_are_not_shown(address: str, shown: str) -> None:
    assert without_password(address) == printable(address) == shown_name(address) == shown
    assert without_surrogates([address]) == [shown]
    assert printable(f"{shown}: {shown}; wrong") == f"{shown}: {shown}; wrong"


@pytest.mark.parametrize(
    "part",
    ["a", "ab:/", "ab://", ":/:", "ab://@", "?pass", "?a=:", "&key=", "\\x4", "/a", "fer-edge ", "a::", "@", "?"],
)
def test_no_text_of_a_stranger_takes_time_that_grows_faster_than_it_does(part: str) -> None:
    """A class name or a comment may have a megabyte: what was quadratic took minutes, deaf to Ctrl-C."""
    times_s = []
    for count in (10_000, 40_000):
        text = f"ab:/?{part * count} :/"
        start = time.perf_counter()
        printable(text), shown_name(text), without_surrogates(text)
        times_s.append(time.perf_counter() - start)
    assert times_s[1] < max(10 * times_s[0], 0.5), times_s
