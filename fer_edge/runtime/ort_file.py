"""Reads what must be known about a file in onnxruntime's own format before onnxruntime sees it, as ``onnx_file`` does.

An .ort file is one flatbuffer. Field numbers are those of onnxruntime/core/flatbuffers/schema/ort.fbs; the library that
follows the offsets, flatbuffers, is one that onnxruntime itself needs.
"""

import struct
from collections.abc import Iterator

from flatbuffers import encode
from flatbuffers.number_types import Int32Flags, Int64Flags, UOffsetTFlags
from flatbuffers.table import Table

from fer_edge.errors import ModelError
from fer_edge.runtime.onnx_file import MAX_FIELDS, MAX_NODES, OnnxFile, TooLargeError, too_large

_MAX_NESTED_GRAPHS = 16
_SHARED_TEXT_BYTES = 2**20
"""Of strings that several tables share, as operators of one name do, beyond what the file itself holds."""
_INLINE = -1  # Tensor.external_data_offset of values that lie in the file


def read_ort(data: bytes, name: str, *, bounded: bool = True) -> OnnxFile:
    """Walk the flatbuffer ``data``. Raises ModelError as ``read_onnx`` does; the format has no functions."""
    try:
        found = _Walk(bounded, len(data)).session(Table(data, encode.Get(UOffsetTFlags.packer_type, data, 0)))
    except TooLargeError as error:
        raise too_large(name, error) from error
    except (ValueError, struct.error, IndexError, TypeError) as error:  # offsets beyond the end
        raise ModelError(f"{name}: expected an ort model, found other bytes ({error})") from error
    if not found.operators:
        raise ModelError(f"{name}: expected an ort model, found other bytes (no operators)")
    return found


class _Walk:
    """Through one file's tables, by the number of each field in the schema."""

    def __init__(self, bounded: bool, num_bytes: int) -> None:
        self._bounded = bounded
        self._text_left = num_bytes + _SHARED_TEXT_BYTES
        self._tables_left = MAX_FIELDS
        self._nodes_left = MAX_NODES
        self._found = OnnxFile()

    def session(self, table: Table) -> OnnxFile:
        model = self._table(table, 1)
        if model is None:
            raise ValueError("no model")
        self._found.ir_version = _integer(model, 0, Int64Flags, 0)
        for opset in self._tables(model, 1):
            if self._text(opset, 0) in ("", "ai.onnx"):
                self._found.opset = _integer(opset, 1, Int64Flags, 0)
        for entry in self._tables(model, 9):
            self._found.metadata.append((self._text(entry, 0), self._text(entry, 1)))
        graph = self._table(model, 7)
        if graph is not None:
            self._graph(graph, depth=0)
        return self._found

    def _graph(self, graph: Table, depth: int) -> None:
        if depth > _MAX_NESTED_GRAPHS:
            raise ValueError("graphs nested too deeply")
        for tensor in self._tables(graph, 0):
            self._tensor(tensor)
        for _ in self._tables(graph, 1):  # descriptions of values: counted
            pass
        for node in self._tables(graph, 2):
            self._node(node, depth)
        for sparse in self._tables(graph, 7):
            for part in (0, 1):
                tensor = self._table(sparse, part)
                if tensor is not None:
                    self._tensor(tensor)

    def _node(self, node: Table, depth: int) -> None:
        self._nodes_left -= 1
        if self._bounded and self._nodes_left < 0:
            raise TooLargeError(f"a network of at most {MAX_NODES:,} nodes, found more")
        self._found.count(self._text(node, 2), self._text(node, 5))
        for attribute in self._tables(node, 10):
            for tensor in (self._table(attribute, 6), *self._tables(attribute, 11)):
                if tensor is not None:
                    self._tensor(tensor)
            for graph in (self._table(attribute, 7), *self._tables(attribute, 12)):
                if graph is not None:
                    self._graph(graph, depth + 1)

    def _tensor(self, tensor: Table) -> None:
        if _integer(tensor, 6, Int64Flags, _INLINE) != _INLINE:
            self._found.external_tensors.append(self._text(tensor, 0))

    def _table(self, table: Table, field: int) -> Table | None:
        """The table that a field holds, if it has a value."""
        offset = _offset(table, field)
        if not offset:
            return None
        self._count()
        return _checked(Table(table.Bytes, table.Indirect(offset + table.Pos)))

    def _tables(self, table: Table, field: int) -> Iterator[Table]:
        """Those of a vector, one by one."""
        offset = _offset(table, field)
        if not offset:
            return
        start = table.Vector(offset)
        for index in range(table.VectorLen(offset)):
            self._count()
            yield _checked(Table(table.Bytes, table.Indirect(start + index * UOffsetTFlags.bytewidth)))

    def _text(self, table: Table, field: int) -> str:
        """A string field; absent means empty. UnicodeDecodeError is a ValueError.

        Any number of tables may point to one long string: reading it for each would take time that grows with the
        square of the file.
        """
        offset = _offset(table, field)
        if not offset:
            return ""
        text = table.String(offset + table.Pos)
        self._text_left -= len(text)
        if self._text_left < 0:
            raise ValueError("strings of more bytes than the file")
        return str(text, "utf-8")

    def _count(self) -> None:
        self._tables_left -= 1
        if self._bounded and self._tables_left < 0:
            raise TooLargeError(f"a graph of at most {MAX_FIELDS:,} tables, found more")


def _checked(table: Table) -> Table:
    if not 0 <= table.Pos < len(table.Bytes):
        raise ValueError("a table beyond the end")
    return table


def _offset(table: Table, field: int) -> int:
    """Of a field's value from the table's start; 0 where it has none. A table's own table of offsets starts at 4."""
    return int(table.Offset(4 + 2 * field))


def _integer(table: Table, field: int, flags: type[Int32Flags] | type[Int64Flags], default: int) -> int:
    offset = _offset(table, field)
    return int(table.Get(flags, offset + table.Pos)) if offset else default
