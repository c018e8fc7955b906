"""What a run reads: a folder of images, or Parquet files with a column of paths or of the images' bytes."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fer_edge.errors import ImageError, UsageError
from fer_edge.scoring.items import Item
from fer_edge.scoring.local_images import PassedOver, local_images
from fer_edge.scoring.remote import (
    as_local,
    file_system,
    is_address,
    path_within,
    remote_error,
    remote_images,
    whole_address,
)
from fer_edge.text import shown_name

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET_SUFFIXES = (".parquet", ".pq")
_FOLDER, _PARQUET = "folder", "parquet"

CONTENT_COLUMNS = ("bytes", "image")
"""Columns that are taken for the images themselves where no column is named, as Ray and Hugging Face call them."""
PATH_COLUMN = "path"

_BATCH_ROWS = 256
"""Rows of a table that are held at a time, beside what its reader keeps of a row group."""


@dataclass
class Source:
    """The input of one run. Make one with ``open_source``."""

    where: str
    """An absolute path or an address."""
    kind: str
    column: str | None
    unreadable: PassedOver = field(default_factory=PassedOver)

    def items(self, out: str | None) -> Iterator[Item]:
        """Every image, in an order that is the same in every run; what is in the folder ``out`` is none."""
        if self.kind == _FOLDER:
            walk = remote_images if is_address(self.where) else local_images
            return walk(self.where, out, self.unreadable)
        return (item for file in self._files(out) for item in _rows(file, self.column))

    def _files(self, out: str | None) -> Iterator[str]:
        if not is_address(self.where):
            yield from _local_files(self.where, out, self.unreadable)
            return
        system, path = file_system(self.where)
        try:
            names = sorted(system.find(path)) if system.isdir(path) else [path]
        except Exception as error:
            raise remote_error(self.where, error) from error
        own = path_within(self.where, out)
        for name in names:
            is_own = own is not None and name.startswith(f"{own}/")
            if name == path or (_is_parquet(name) and not is_own):
                yield whole_address(self.where, path, name)


def open_source(where: str, column: str | None) -> Source:
    """The input that ``where`` names. Raises ImageError where there is none, UsageError for something else."""
    if is_address(where):
        system, path = file_system(where)
        try:
            exists, is_folder = system.exists(path), system.isdir(path)
        except Exception as error:
            raise remote_error(where, error) from error
        where = where.rstrip("/")
    else:
        where = os.path.abspath(as_local(where))  # noqa: PTH100  # Path's own raises for names that are too long
        exists, is_folder = os.path.exists(where), os.path.isdir(where)  # noqa: PTH110, PTH112
    if not exists:
        raise ImageError(f"{shown_name(where)}: expected a folder of images or a Parquet file, found none")
    if _is_parquet(where) or (is_folder and column is not None):
        return Source(where, _PARQUET, column)
    if is_folder:
        return Source(where, _FOLDER, None)
    if column is not None or _begins_as_parquet(where):
        return Source(where, _PARQUET, column)
    raise UsageError(
        f"{shown_name(where)}: expected a folder of images or a Parquet file, found another file; for a few images: "
        "fer-edge predict"
    )


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(PARQUET_SUFFIXES)


def _begins_as_parquet(where: str) -> bool:
    if is_address(where):
        return False
    try:
        with open(where, "rb") as stream:  # noqa: PTH123
            return stream.read(4) == b"PAR1"
    except OSError:
        return False


def _local_files(where: str, out: str | None, unreadable: PassedOver) -> Iterator[str]:
    if not os.path.isdir(where):  # noqa: PTH112
        yield where
        return
    own = None if out is None else os.path.realpath(out)
    for folder, below, files in os.walk(where, onerror=lambda one: unreadable.add(str(one.filename), one.strerror)):
        below[:] = sorted(
            name
            for name in below
            if not name.startswith((".", "_")) and os.path.realpath(os.path.join(folder, name)) != own  # noqa: PTH118
        )
        for name in sorted(files):
            if _is_parquet(name) and not name.startswith((".", "_")):
                yield os.path.join(folder, name)  # noqa: PTH118


def _rows(file: str, column: str | None) -> Iterator[Item]:
    """The images of one Parquet file. Raises ImageError for one that cannot be read, UsageError for its columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    shown = shown_name(file)
    try:
        if is_address(file):
            system, path = file_system(file)
            stream: Any = system.open(path, mode="rb")
        else:
            stream = open(file, "rb")  # noqa: PTH123, SIM115  # closed below
        with stream, pq.ParquetFile(stream) as table:
            chosen = _chosen_column(table.schema_arrow, column, shown)
            is_content = not _is_text(table.schema_arrow.field(chosen).type)
            named = is_content and PATH_COLUMN in table.schema_arrow.names and chosen != PATH_COLUMN
            named = named and _is_text(table.schema_arrow.field(PATH_COLUMN).type)
            columns = [chosen, *([PATH_COLUMN] if named else [])]
            number = 0
            for batch in table.iter_batches(_BATCH_ROWS, columns=columns):
                cells = batch.column(chosen).to_pylist()
                names = batch.column(PATH_COLUMN).to_pylist() if named else [None] * len(cells)
                for cell, name in zip(cells, names, strict=True):
                    yield _item(cell, name, is_content=is_content, place=f"{file}#{number}")
                    number += 1
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ImageError(f"{shown}: expected a Parquet file that can be read, found: {reason}") from error


def _item(cell: Any, name: str | None, *, is_content: bool, place: str) -> Item:
    if not is_content:
        if cell is None:
            return Item(place, None, "none")
        return Item(cell, _located(cell), "")
    if isinstance(cell, dict):  # Hugging Face's images: their bytes, or where they are
        found = cell.get("bytes")
        cell = _located(cell["path"]) if found is None and cell.get("path") else found
    stamp = "none" if cell is None else hashlib.blake2b(os.fsencode(cell), digest_size=8).hexdigest()
    return Item(name or place, cell, stamp)


def _located(path: str) -> str:
    """An address, or an absolute path: workers may have another working directory."""
    return path if is_address(path) else os.path.abspath(as_local(path))  # noqa: PTH100


def _chosen_column(schema: "pa.Schema", column: str | None, shown: str) -> str:
    names = ", ".join(schema.names[:20])
    wanted = (*CONTENT_COLUMNS, PATH_COLUMN) if column is None else (column,)
    found = next((name for name in wanted if name in schema.names), None)
    if found is None:
        which = f"the column {column!r}" if column is not None else f"a column {', '.join(wanted)}, or --column"
        raise UsageError(f"{shown}: expected {which}, found {names or 'none'}")
    kind = schema.field(found).type
    if not (_is_text(kind) or _is_bytes(kind) or _is_struct(kind)):
        raise UsageError(
            f"{shown}: expected paths (string) or images (binary) in the column {found!r}, found {kind}; name another "
            f"with --column, of {names}"
        )
    return found


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_bytes(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_struct(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_struct(kind)) and "bytes" in [kind.field(i).name for i in range(kind.num_fields)]
