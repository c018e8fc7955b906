"""The seven expressions, their order, and the other names that people give them."""

from collections.abc import Mapping
from types import MappingProxyType

EXPRESSIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
"""Class order of every output of this project: the alphabetical order of the FER-2013 folders."""

NUM_EXPRESSIONS = len(EXPRESSIONS)

CSV_EXPRESSIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""What the numbers 0-6 mean in the ``emotion`` column of ``fer2013.csv``: another order than EXPRESSIONS."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        **{name: name for name in EXPRESSIONS},
        "anger": "angry",
        "disgusted": "disgust",
        "fearful": "fear",
        "happiness": "happy",
        "sadness": "sad",
        "surprised": "surprise",
    }
)


def expression_named(name: str) -> str | None:
    """The expression that a folder or column calls ``name`` (any capitals, spaces around it), or None."""
    return ALIASES.get(name.strip().casefold())


def label_of(expression: str) -> int:
    """Index of an expression in EXPRESSIONS. Raises ValueError for a name that is none of the seven."""
    return EXPRESSIONS.index(expression)


def label_of_csv_code(code: int) -> int:
    """Index in EXPRESSIONS of class ``code`` of ``fer2013.csv``, mapped by name. Raises IndexError outside 0-6."""
    if not 0 <= code < len(CSV_EXPRESSIONS):
        raise IndexError(code)
    return label_of(CSV_EXPRESSIONS[code])
