"""Fields of a card in JSON: reads each by name, checks it, and says which was expected to be what."""

import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from fer_edge.errors import ModelError

_MAX_DEPTH = 32
"""Of objects within objects; a card needs four."""
_MAX_VERSION_LENGTH = 20
MAX_SEED = 2**32 - 1

_Value = TypeVar("_Value")


def parse(text: str | bytes, where: str) -> Mapping[str, Any]:
    """The object in ``text``; ``where`` names the file in errors. Raises ModelError.

    Numbers that JSON or a float cannot hold (NaN, 1e999) are refused, and nesting that nothing could print.
    """
    try:
        raw = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite_float)
        if not isinstance(raw, dict):
            raise ModelError(f"{where}: expected a card in JSON, found a {type(raw).__name__}; export again")
        _check_depth(raw)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where}: expected a card in JSON, found something else ({error}); export again") from error
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


class Expected(Exception):
    """What a check wanted instead: no error of its own, Fields.read tells it with the field's name."""


class Fields:
    """Reads fields of parsed JSON by name, and says on failure which one, what was expected, and what was found."""

    def __init__(self, raw: Mapping[str, Any], where: str, prefix: str = "") -> None:
        self._raw, self._where, self._prefix = raw, where, prefix

    def wrong(self, key: str, expected: str, found: Any) -> ModelError:
        """The error for the field ``key``."""
        shown = found if isinstance(found, str) else repr(found)
        shown = shown if len(shown) <= 100 else f"{shown[:100]}..."
        field_name = f"{self._prefix}{key}"
        return ModelError(f"{self._where}: card field '{field_name}': expected {expected}, found {shown}; export again")

    def read(self, key: str, check: Callable[[Any], _Value]) -> _Value:
        """The field ``key`` as ``check`` gives it. Raises ModelError."""
        if key not in self._raw:
            raise self.wrong(key, "a value", "none")
        try:
            return check(self._raw[key])
        except Expected as expected:
            raise self.wrong(key, str(expected), self._raw[key]) from None

    def read_or(self, key: str, check: Callable[[Any], _Value], default: _Value) -> _Value:
        """As ``read``, and ``default`` where the field is missing: one that older cards lack."""
        return self.read(key, check) if key in self._raw else default

    def within(self, key: str) -> "Fields":
        """The fields of the object ``key``. Raises ModelError."""
        return Fields(self.read(key, mapping), self._where, f"{self._prefix}{key}.")

    def each(self, key: str) -> list["Fields"]:
        """The fields of each object in the list ``key``, which is not empty. Raises ModelError."""
        values = self.read(key, list_of_values)
        if not values or not all(isinstance(value, dict) for value in values):
            raise self.wrong(key, "a list of objects", values)
        return [Fields(value, self._where, f"{self._prefix}{key}[{at}].") for at, value in enumerate(values)]


def any_text(value: Any) -> str:
    """Text, which may be empty."""
    if not isinstance(value, str):
        raise Expected("text")
    return value


def text(value: Any) -> str:
    """Text that is not empty."""
    if not isinstance(value, str) or not value:
        raise Expected("text")
    return value


def one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    """A check that the value is one of ``choices``."""

    def check(value: Any) -> str:
        if value not in choices:
            raise Expected(f"one of {', '.join(choices)}")
        return str(value)

    return check


def optional(check: Callable[[Any], _Value]) -> Callable[[Any], _Value | None]:
    """The same check, which also takes null."""
    return lambda value: None if value is None else check(value)


def integer(value: Any) -> int:
    """An integer; true and false are none."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise Expected("an integer")
    return value


def positive_integer(value: Any) -> int:
    """An integer above 0."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Expected("an integer above 0")
    return value


def seed(value: Any) -> int:
    """An integer that every random generator takes as its seed."""
    if not 0 <= integer(value) <= MAX_SEED:
        raise Expected(f"an integer from 0 to {MAX_SEED}")
    return int(value)


def number(value: Any) -> float:
    """A finite number, as a float."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Expected("a finite number")
    try:
        number = float(value)
    except OverflowError:  # an integer that no float can hold
        raise Expected("a finite number") from None
    if not math.isfinite(number):
        raise Expected("a finite number")
    return number


def positive_number(value: Any) -> float:
    """A number above 0, as a float."""
    if number(value) <= 0:
        raise Expected("a number above 0")
    return float(value)


def list_of_values(value: Any) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise Expected("a list")
    return value


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts, as a tuple."""
    return tuple(text(item) for item in list_of_values(value))


def mapping(value: Any) -> Mapping[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise Expected("an object")
    return value


def mapping_of_mappings(value: Any) -> Mapping[str, Mapping[str, Any]]:
    """An object of objects."""
    return {key: mapping(item) for key, item in mapping(value).items()}


def mapping_of_texts(value: Any) -> Mapping[str, str]:
    """An object of texts."""
    return {key: text(item) for key, item in mapping(value).items()}


def date(value: Any) -> str:
    """An ISO 8601 date, or date and time."""
    try:
        datetime.fromisoformat(text(value))
    except ValueError:
        raise Expected("an ISO 8601 date") from None
    return str(value)


def version(value: Any) -> str:
    """Numbers with dots between them, not many."""
    is_short = isinstance(value, str) and len(value) <= _MAX_VERSION_LENGTH
    if not is_short or not all(part.isdecimal() for part in value.split(".")):
        raise Expected("a version such as 1.18")
    return value


def sha256(value: Any) -> str:
    """64 lower-case hex digits."""
    if not isinstance(value, str) or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise Expected("64 lower-case hex digits")
    return value
