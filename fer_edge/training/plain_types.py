"""What a checkpoint or a run's settings hold beside tensors, checked once where it is read: types by msgspec."""

import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import msgspec
import torch
from torch import Tensor

from fer_edge.errors import CheckpointError

T = TypeVar("T")

_VARIANCES = ("running_var", "exp_avg_sq")
"""Ends of the names of tensors whose square roots are taken: batch norm's, and Adam's."""


def typed(values: Any, kind: type[T], *, required: Collection[str] = ()) -> T:
    """The dict ``values`` as a ``kind``, a dataclass that declares types and bounds.

    Raises CheckpointError, without a path, for a key that is unknown or among ``required`` and missing, and for a value
    of another type; and what the dataclass raises.
    """
    if not isinstance(values, dict):
        raise CheckpointError(f"expected names and values, found {shown(values)}")
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    for name in values:
        if not isinstance(name, str) or name not in known:
            raise CheckpointError(f"expected what this version of fer_edge writes, found {shown(name)} too")
    for name in required:
        if name not in values:
            raise CheckpointError(f"expected '{name}', found none")
    try:
        return msgspec.convert(values, kind)
    except (msgspec.ValidationError, RecursionError, UnicodeError) as error:
        raise CheckpointError(_in_words(str(error))) from error


def _in_words(message: str) -> str:
    expected, _, place = message.partition(" - at `$")
    place = re.sub(r"\[\.\.\.\]|`$|^\.", "", place)
    expected = expected[:1].lower() + expected[1:].replace(", got ", ", found ").replace("`", "")
    return f"{place}: {expected}" if place else expected


def shown(value: Any) -> str:
    """A value from a file in a word or a few signs: it may be deep, huge, or hold itself."""
    if isinstance(value, str):
        return repr(value[:40])
    if isinstance(value, bool | float) or value is None or (isinstance(value, int) and abs(value) < 10**18):
        return repr(value)
    return f"a value of type {type(value).__name__}"


def check_tensors(given: Any, wanted: Mapping[str, Tensor], *, loose: Collection[str] = ()) -> None:
    """Raises CheckpointError, without a path, unless ``given`` holds a tensor for each of ``wanted``, and only those.

    Each is dense, of the wanted shape, finite (a variance not below 0), and of floats where floats are wanted, of
    integers elsewhere. Names that end as one of ``loose`` may be missing. ``given`` is on the CPU, as files are read.
    """
    if not isinstance(given, Mapping):
        raise CheckpointError(f"expected names and tensors, found {shown(given)}")
    names = {name for name in wanted if name in given or not name.endswith(tuple(loose))}
    wrong = sorted(map(shown, given.keys() ^ names))
    if wrong:
        raise CheckpointError(f"{len(wrong)} tensors are missing or extra (first: {wrong[0]})")
    for name in names:
        reason = _wrong_with(given[name], wanted[name])
        if reason is None and name.endswith(_VARIANCES) and (given[name] < 0).any():
            reason = "variances, found negative ones"
        if reason is not None:
            raise CheckpointError(f"{name}: expected {reason}")


def _wrong_with(value: Any, wanted: Tensor) -> str | None:
    if not isinstance(value, Tensor):
        return f"a tensor, found {shown(value)}"
    if value.shape != wanted.shape:
        return f"the shape {tuple(wanted.shape)}, found {tuple(value.shape)}"
    is_dense = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
    if not is_dense or value.untyped_storage().nbytes() < value.numel() * value.element_size():
        return "a dense tensor, found another kind"
    if value.is_floating_point() != wanted.is_floating_point() or value.is_complex():
        return f"{str(wanted.dtype).removeprefix('torch.')}, found {str(value.dtype).removeprefix('torch.')}"
    if not torch.isfinite(value).all():
        return "finite numbers, found others"
    return None
