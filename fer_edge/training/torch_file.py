"""Files that torch wrote, read as data: plain types and dense tensors, from bytes whose checksums hold.

torch.load(weights_only=True) runs no code. What it lets through beside that is refused here before it sees the file:
compressed entries, storages of another size than their bytes, and all that no checkpoint or state dict has (sets, byte
arrays, sparse, quantised and meta tensors).
"""

import io
import pickle
import pickletools
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import torch

from fer_edge.errors import CheckpointError
from fer_edge.runtime.file_kind import CHECKPOINT, mistaken

_OPCODES = frozenset(
    (
        *("PROTO", "STOP", "MARK", "GLOBAL", "REDUCE", "BUILD", "BINPERSID", "BINPUT", "LONG_BINPUT", "BINGET"),
        *("LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
        *("BINUNICODE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_TUPLE", "EMPTY_LIST", "APPEND", "APPENDS"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS"),
    )
)
"""Of pickle's protocol 2: what torch.save writes for plain types and tensors."""

_ITEM_BYTES = {
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
}
_REBUILDS = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")

_PICKLES_BEFORE_ZIP = 5
"""torch wrote them one after the other until 1.6: a magic number, the version, the system, the content, the storages'
names."""


def read_torch_file(path: Path, *, before_zip: bool = False) -> Any:
    """What torch.save wrote into ``path``, its tensors on the CPU. Nothing in the file is run.

    With ``before_zip`` also in the form that torch wrote before version 1.6, which has no checksums. Raises
    CheckpointError.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: expected a checkpoint, found no such file; see 'fer-edge train --help'")
    try:
        whole = _checked_stream(path) if before_zip and not zipfile.is_zipfile(path) else _checked_archive(path)
        return torch.load(whole, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file is read as anything: zipfile, pickle and torch raise many kinds
        told = mistaken(path, CHECKPOINT) or "found a damaged file or one that would run code; use another checkpoint"
        raise CheckpointError(f"{path}: expected a checkpoint, {told}") from error


def _checked_archive(path: Path) -> io.BytesIO:
    """The archive once more, in memory, from entries whose checksums hold. Raises BadZipFile and what zipfile raises.

    torch looks at no checksum, and its reader takes an entry's attributes otherwise than Python's: a damaged bit there
    leaves a tensor unread. It shall see what was checked, and nothing else.
    """
    whole = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(whole, "w") as checked:
        entries = archive.infolist()
        if len({entry.filename for entry in entries}) < len(entries):
            raise zipfile.BadZipFile("two entries of one name")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise zipfile.BadZipFile("entries that share bytes")
        for entry in entries:
            if entry.compress_type != zipfile.ZIP_STORED:  # torch writes no other
                raise zipfile.BadZipFile(entry.filename)
            checked.writestr(zipfile.ZipInfo(entry.filename), archive.read(entry))
        _check_entries({entry.filename.partition("/")[2]: entry.file_size for entry in entries}, checked)
    whole.seek(0)
    return whole


def _check_entries(sizes: Mapping[str, int], archive: zipfile.ZipFile) -> None:
    def check(name: str, nbytes: int) -> None:
        if sizes.get(f"data/{name}") != nbytes:
            raise pickle.UnpicklingError(f"storage {name} of another size than its {nbytes} bytes")

    for entry in archive.namelist():
        inner = entry.partition("/")[2]
        if inner == "data.pkl":
            _check_pickle(io.BytesIO(archive.read(entry)), check)
        elif inner == "byteorder" and archive.read(entry) != sys.byteorder.encode():
            raise pickle.UnpicklingError("another byte order")


def _checked_stream(path: Path) -> io.BytesIO:
    """The file in memory, if it is of the form of before torch 1.6. Raises UnpicklingError and what pickle raises."""
    whole = io.BytesIO(path.read_bytes())

    def check(name: str, nbytes: int) -> None:
        if nbytes > len(whole.getbuffer()):
            raise pickle.UnpicklingError(f"storage {name} of more bytes than the file")

    for _ in range(_PICKLES_BEFORE_ZIP):
        _check_pickle(whole, check)
    whole.seek(0)
    return whole


def _check_pickle(stream: IO[bytes], check_storage: Callable[[str, int], None]) -> None:
    """Read one pickle off ``stream``. Raises UnpicklingError, and what pickle raises, for more than plain tensors."""
    start = stream.tell()
    longest = stream.seek(0, io.SEEK_END)
    stream.seek(start)
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name not in _OPCODES:
            raise pickle.UnpicklingError(f"opcode {opcode.name}")
        if opcode.name.endswith("BINPUT") and int(argument or 0) > longest:  # pickle makes room for all places up to it
            raise pickle.UnpicklingError("a place far beyond all others")
    stream.seek(start)
    _Inert(stream, check_storage).load()


class _Inert(pickle.Unpickler):
    """Goes through a pickle as torch's unpickler will, but makes nothing of it."""

    def __init__(self, stream: IO[bytes], check_storage: Callable[[str, int], None]) -> None:
        super().__init__(stream)
        self._check_storage = check_storage

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _Names.empty
        if module == "torch._utils" and name in _REBUILDS:
            return _Tensor.of
        if module == "torch" and name in _ITEM_BYTES:
            return _StorageKind(_ITEM_BYTES[name])
        raise pickle.UnpicklingError(f"name {module}.{name}")

    def persistent_load(self, pid: Any) -> "_Tensor":
        _, kind, name, _, count = pid[:5]
        if not isinstance(kind, _StorageKind) or type(name) is not str or type(count) is not int or count < 0:
            raise pickle.UnpicklingError("a storage that is none")
        self._check_storage(name, count * kind.item_bytes)
        return _Tensor()


class _StorageKind:
    __slots__ = ("item_bytes",)

    def __init__(self, item_bytes: int) -> None:
        self.item_bytes = item_bytes


class _Tensor:
    __slots__ = ()

    @staticmethod
    def of(*_: object) -> "_Tensor":
        return _Tensor()


class _Names(dict[Any, Any]):
    """In place of an OrderedDict, whose attributes a state dict's pickle sets."""

    @staticmethod
    def empty(*_: object) -> "_Names":
        return _Names()
