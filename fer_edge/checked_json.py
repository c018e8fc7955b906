"""JSON from elsewhere as checked types: msgspec checks what the types declare, and errors say it in their words."""

import json
import math
import re
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from fer_edge.errors import ModelError
from fer_edge.text import printable

_MAX_DEPTH = 32
"""Of objects within objects; metadata needs four."""
_MAX_SHOWN = 100
"""Characters of a wrong value in its error."""


def parse_object(text: str | bytes, where: str) -> Mapping[str, Any]:
    """The object in ``text``. By the standard library, which also reads text that is no Unicode and shows it escaped.

    Numbers that JSON or a float cannot hold (NaN, 1e999) are refused, and nesting that nothing could print.
    """
    try:
        raw = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite_float)
        if not isinstance(raw, dict):
            raise ModelError(f"{where}: expected metadata in JSON, found a {type(raw).__name__}; export again")
        _check_depth(raw)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where}: expected metadata in JSON, found something else ({error}); export again") from error
    return raw


def _refuse_constant(constant: str) -> float:
    raise ValueError(f"the number {constant}")


def _finite_float(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise ValueError(f"the number {digits[:20]}")
    return value


def _check_depth(raw: dict[str, Any]) -> None:
    layer: list[Any] = [raw]
    for _ in range(_MAX_DEPTH):
        layer = [
            inner
            for value in layer
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not layer:
            return
    raise ValueError("objects nested too deeply")


def texts_in(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every string in ``value``, names of fields too, with the dotted name of the field that it is in."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from texts_in(inner, f"{key}[{index}]")
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield key, str(name)
            yield from texts_in(inner, f"{key}.{name}" if key else str(name))


def wrong_field(where: str, key: str, expected: str, found: Any) -> ModelError:
    """The error of a field of the metadata in ``where``; a value that is long is cut."""
    key, shown = printable(key), printable(found if isinstance(found, str) else repr(found))
    shown = shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}..."
    return ModelError(f"{where}: metadata field '{key}': expected {expected}, found {shown}; export again")


def converted(raw: Mapping[str, Any], kind: type, where: str) -> Any:
    """``raw`` as a ``kind``. Raises ModelError in the words of the field's type, with the value that was found."""
    for key, number in _beyond_floats(raw):  # msgspec 0.19 reads them as -1 and raises whenever something is done next
        raise wrong_field(where, key, "a finite number", number)
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        message = str(error)
    steps = re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", message.rpartition(" - at `$")[2].rstrip("`"))
    path = [name or index for name, index in steps]
    if missing := re.match(r"Object missing required field `(\w+)`", message):
        raise wrong_field(where, _dotted([*path, missing[1]]), "a value", "none")
    depth, expected = _expected_at(kind, path)
    found: Any = raw
    for step in path[:depth]:
        if step == "...":  # msgspec does not name keys that are data
            break
        found = found[int(step)] if isinstance(found, list | tuple) else found[step]
    raise wrong_field(where, _dotted(path[:depth]), expected or message, found)


def _beyond_floats(value: Any, key: str = "") -> Iterator[tuple[str, int]]:
    """Integers that no float holds, with the dotted names of their fields."""
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        yield key, value
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _beyond_floats(inner, f"{key}[{index}]")
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _beyond_floats(inner, f"{key}.{name}" if key else str(name))


def _dotted(path: list[str]) -> str:
    text = ""
    for step in path:
        if step == "...":
            break
        text += f"[{step}]" if step.isdecimal() else f".{step}" if text else step
    return text


def _expected_at(kind: Any, path: list[str]) -> tuple[int, str]:
    """How many steps of ``path`` lead to the innermost type that says in words what it expects, and those words."""
    found = (0, "an object")
    for depth in range(len(path) + 1):
        words, kind = _described(kind)
        if words and (depth or not path):
            found = (depth, words)
        if depth == len(path):
            break
        step, arguments = path[depth], get_args(kind)
        if step == "...":
            kind = arguments[1] if len(arguments) > 1 else Any
        elif step.isdecimal():
            kind = arguments[0] if arguments else Any
        else:
            kind = get_type_hints(kind, include_extras=True).get(step, Any)
    return found


def _described(kind: Any) -> tuple[str, Any]:
    """The words of a type, and the type itself without them and without None."""
    if get_origin(kind) in (Union, types.UnionType):
        inner = [one for one in get_args(kind) if one is not type(None)]
        if len(inner) == 1:
            return _described(inner[0])
    if get_origin(kind) is Annotated:
        bare, *notes = get_args(kind)
        words = next((note.description for note in notes if isinstance(note, Meta) and note.description), "")
        return words, bare
    return ("an object" if hasattr(kind, "__dataclass_fields__") else ""), kind
