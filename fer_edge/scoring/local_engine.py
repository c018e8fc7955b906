"""The engine of one machine: a pool of processes scores pieces of chunks, and this process writes a chunk's file once
all of its pieces are there."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fer_edge.scoring.items import Chunk, pieces
from fer_edge.scoring.pool import Pool
from fer_edge.scoring.results import part_name

if TYPE_CHECKING:
    import pyarrow as pa

    from fer_edge.scoring.report import PartFacts
    from fer_edge.scoring.results import Results
    from fer_edge.scoring.scorer import ModelSettings
    from fer_edge.scoring.worker import Done


@dataclass
class _Open:
    """A chunk of which pieces are still to come."""

    chunk: Chunk
    """Without its images."""
    missing: int
    """Pieces that are still to come."""
    tables: "dict[int, pa.Table]" = field(default_factory=dict)
    """By the place of their first image."""


class LocalEngine:
    """Processes of this machine; see ``fer_edge.scoring.run.Engine``."""

    def __init__(self, workers: int, model: "ModelSettings", schema: "pa.Schema", results: "Results") -> None:
        from fer_edge.runtime.cores import available_cores

        self.workers = workers or available_cores()
        self.restarts = 0
        self._model, self._schema, self._results = model, schema, results
        self._open: dict[str, _Open] = {}

    def run(self, wanted: Iterator[Chunk]) -> "Iterator[tuple[Chunk, PartFacts]]":
        """As ``Engine``. Raises StorageError, and as ``Pool.submit``."""
        with Pool(self.workers, self._model, self._schema) as pool:
            for done in self._scored(wanted, pool):
                self.restarts = pool.restarts
                held = self._open[done.piece.digest]
                held.tables[done.piece.start] = done.table
                held.missing -= 1
                if not held.missing:
                    yield held.chunk, self._write(self._open.pop(held.chunk.digest))

    def _scored(self, wanted: Iterator[Chunk], pool: Pool) -> "Iterator[Done]":
        for chunk in wanted:
            cut = pieces(chunk, self._model.piece_rows)
            self._open[chunk.digest] = _Open(chunk._replace(items=[]), len(cut))
            for piece in cut:
                yield from pool.submit(piece)
        yield from pool.drain()

    def _write(self, whole: _Open) -> "PartFacts":
        import pyarrow as pa

        from fer_edge.scoring.columns import encoded

        number, digest, _ = whole.chunk
        table = pa.concat_tables([whole.tables[start] for start in sorted(whole.tables)]).combine_chunks()
        data, facts = encoded(table, self._schema, digest)
        self._results.write(part_name(number, digest), data)
        return facts
