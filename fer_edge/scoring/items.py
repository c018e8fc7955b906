"""The images of a run as a stream, cut into chunks that are the same in every run over the same images.

A chunk ends after an image whose name's checksum says so, not after so many images: one more or less in the middle of
the input changes the chunk that it is in, and no other. Each becomes one file, which carries the chunk's digest.
"""

import hashlib
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Item(NamedTuple):
    """One image of the input."""

    name: str
    """What its row is called: an absolute path, an address, or ``FILE.parquet#ROW``."""
    source: str | bytes | None
    """Where it is, or its bytes; None for an empty cell of a table."""
    stamp: str
    """Changes with its content: size and time of a file."""


class Chunk(NamedTuple):
    """Images that are scored together and become one file."""

    number: int
    """Its place in the input, from 0."""
    digest: str
    """16 hexadecimal digits, of its images' names and stamps in their order."""
    items: list[Item]


class Piece(NamedTuple):
    """Images of a chunk that one process scores at a time: few, so that all processes have work until the end."""

    digest: str
    """The chunk's."""
    start: int
    """Place of the first in the chunk."""
    items: list[Item]


def pieces(chunk: Chunk, rows: int) -> list[Piece]:
    """A chunk in pieces of ``rows`` images, the last of what is left."""
    starts = range(0, len(chunk.items), rows)
    return [Piece(chunk.digest, start, chunk.items[start : start + rows]) for start in starts]


def chunks(items: Iterable[Item], rows: int) -> Iterator[Chunk]:
    """``items`` in chunks of about ``rows``: between half as many and half as many more.

    A table may name the same images again: of chunks with the same images each has a digest of its own.
    """
    least, most = max(1, rows // 2), max(1, rows + rows // 2)
    held: list[Item] = []
    number = 0
    times: Counter[str] = Counter()

    def chunk() -> Chunk:
        digest = digest_of(held)
        times[digest] += 1
        return Chunk(number, digest if times[digest] == 1 else digest_of(held, times[digest]), held)

    for item in items:
        held.append(item)
        ends = len(held) >= least and zlib.crc32(_bytes(item.name)) % least == 0
        if ends or len(held) >= most:
            yield chunk()
            held, number = [], number + 1
    if held:
        yield chunk()


def digest_of(items: Iterable[Item], time: int = 1) -> str:
    """16 hexadecimal digits (BLAKE2b) that change with a name, a stamp, the order, and with the ``time`` that the same
    images come."""
    digest = hashlib.blake2b(digest_size=8, salt=time.to_bytes(8, "little"))
    for item in items:
        for text in (item.name, item.stamp):
            data = _bytes(text)
            digest.update(len(data).to_bytes(4, "little") + data)
    return digest.hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
