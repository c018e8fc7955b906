"""The same work on a Ray cluster, by Ray Data: tables of images, an actor pool that holds the sessions, Parquet files.

Ray writes a file for each chunk into the folder ``_ray`` of the results, from which the driver takes it to its place
once it is whole: Ray's own files are not written atomically. What a killed driver left there is taken over.
Chunks go to the cluster in waves, so that the driver holds so many names and no more.
"""

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fer_edge.errors import FerEdgeError, MissingExtraError
from fer_edge.processes import stdout_to_stderr
from fer_edge.scoring.items import Chunk, Item
from fer_edge.scoring.remote import file_system, is_address
from fer_edge.scoring.report import PartFacts
from fer_edge.scoring.results import part_name
from fer_edge.scoring.scorer import ModelSettings, Scorer
from fer_edge.text import printable, shown_name

if TYPE_CHECKING:
    import pyarrow as pa

    from fer_edge.scoring.request import ScoreRequest
    from fer_edge.scoring.results import Results

STAGE = "_ray"
"""Readers of Parquet folders leave out names that begin with an underscore."""

_PART = "part"
_CHUNKS_PER_WORKER = 8
"""In a wave: some seconds of work for each, against the seconds that its actors take to start."""
_WAVE_IMAGES = 2**20
"""At the most, some 300 MB of names in the driver."""
_WAVE_BYTES = 2**29
"""Of images that a table holds."""
_OBJECT_STORE_BYTES = 2**29
"""Of a cluster that is started here."""
_TOKEN = (
    "; if it asks for a token (Ray 2.60 does where ~/.ray/auth_token is there), set RAY_AUTH_MODE=token and have the "
    "same token in ~/.ray/auth_token or RAY_AUTH_TOKEN"
)
"""To a given address Ray sends the token that it has only where it is told to, and says no more than that it failed."""

_CONNECT_S = 10
_MAX_TRIES = 8
"""Of a chunk, by Ray itself, which would try one that ends its process without end."""


class RayError(FerEdgeError):
    """The Ray cluster is not there, or gave up."""


class RayEngine:
    """Actors of a Ray cluster; see ``fer_edge.scoring.run.Engine``."""

    def __init__(self, request: "ScoreRequest", model: ModelSettings, schema: "pa.Schema", results: "Results") -> None:
        self._request, self._model, self._schema, self._results = request, model, schema, results
        self._stage = _Stage(results.where)
        self.workers = request.workers
        self.restarts = 0  # Ray keeps that to itself

    def run(self, wanted: Iterator[Chunk]) -> Iterator[tuple[Chunk, PartFacts]]:
        """As ``Engine``: chunks that an earlier driver left in the stage are not scored again."""
        left = self._stage.digests()
        with _cluster(self._request) as cpus:
            self.workers = self._request.workers or max(1, cpus)
            wave: list[Chunk] = []
            num_bytes = num_images = 0
            for chunk in wanted:
                if chunk.digest in left and (facts := self._taken_over(chunk)) is not None:
                    yield chunk, facts
                    continue
                wave.append(chunk)
                num_images += len(chunk.items)
                num_bytes += sum(len(item.source) for item in chunk.items if isinstance(item.source, bytes))
                is_full = num_images >= _WAVE_IMAGES or num_bytes >= _WAVE_BYTES
                if is_full or len(wave) >= _CHUNKS_PER_WORKER * self.workers:
                    yield from self._score(wave)
                    wave, num_bytes, num_images = [], 0, 0
            if wave:
                yield from self._score(wave)
        self._stage.remove()

    def _score(self, wave: list[Chunk]) -> Iterator[tuple[Chunk, PartFacts]]:
        import ray
        from ray.data import ActorPoolStrategy

        read = ray.data.from_arrow([_as_table(chunk) for chunk in wave])
        scored = read.map_batches(
            _Actor,
            fn_constructor_args=(self._model, self._schema, self._stage),
            batch_size=None,  # a chunk is a block
            batch_format="pyarrow",
            compute=ActorPoolStrategy(size=min(self.workers, len(wave))),
            num_cpus=1,
        )
        # Writing takes no core of its own: where all are the actors', it would wait for ever.
        with _ray_errors():
            scored.write_parquet(
                self._stage.path,
                filesystem=self._stage.for_arrow(),
                partition_cols=[_PART],
                ray_remote_args={"num_cpus": 0},
            )
        for chunk in wave:
            facts = self._taken_over(chunk)
            if facts is None:
                raise RayError(
                    f"{self._stage.where}: expected the rows of chunk {chunk.number}, found none; is the folder one "
                    "that every node of the cluster writes to? see --out"
                )
            yield chunk, facts
        self._stage.remove()

    def _taken_over(self, chunk: Chunk) -> PartFacts | None:
        """Bring the rows of a chunk to their place; None where they are not there, or not all."""
        from fer_edge.scoring.columns import encoded

        table = self._stage.table(chunk.digest, self._schema)
        if table is None or table.num_rows != len(chunk.items):
            return None
        data, facts = encoded(table, self._schema, chunk.digest)
        self._results.write(part_name(chunk.number, chunk.digest), data)
        return facts


class _Stage:
    """The folder that Ray writes to."""

    def __init__(self, out: str) -> None:
        import fsspec

        self.where = f"{out.rstrip('/')}/{STAGE}"
        if is_address(self.where):
            self._system, self.path = file_system(self.where)
        else:
            self._system, self.path = fsspec.filesystem("file"), self.where

    def for_arrow(self) -> Any:
        """Its file system, as pyarrow takes it: with the credentials that fsspec found."""
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        return PyFileSystem(FSSpecHandler(self._system))

    def note_try(self, digest: str) -> int:
        """Note that a chunk is begun; gives how often it was, this time too."""
        folder = f"{self.path}/tries/{digest}"
        with suppress(FileExistsError):
            self._system.makedirs(folder, exist_ok=True)
        self._system.pipe_file(f"{folder}/{uuid4().hex}", b"")
        return len(self._system.ls(folder, detail=False))

    def digests(self) -> set[str]:
        """Of chunks of which there is something."""
        with suppress(FileNotFoundError):
            found = self._system.ls(self.path, detail=False)
            return {str(name).rstrip("/").rpartition(f"{_PART}=")[2] for name in found}
        return set()

    def table(self, digest: str, schema: "pa.Schema") -> "pa.Table | None":
        """The rows of a chunk, from the first file of its that is whole."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            names = sorted(self._system.ls(f"{self.path}/{_PART}={digest}", detail=False))
        except FileNotFoundError:
            return None
        for name in names:
            with suppress(pa.ArrowException, OSError), self._system.open(name, mode="rb") as stream:
                found = pq.ParquetFile(stream).read()
                return found.rename_columns(schema.names).cast(schema)
        return None

    def remove(self) -> None:
        """Remove all of it: what was whole is in its place."""
        with suppress(FileNotFoundError):
            self._system.rm(self.path, recursive=True)


class _Actor:
    """Holds a session; called with tables of images."""

    def __init__(self, model: ModelSettings, schema: "pa.Schema", stage: _Stage) -> None:
        self._scorer = Scorer(model, schema)
        self._stage = stage

    def __call__(self, table: "pa.Table") -> "pa.Table":
        import pyarrow as pa

        tables = []
        for digest, rows in groupby(table.to_pylist(), key=lambda row: row[_PART]):
            items = [_as_item(row) for row in rows]
            if self._stage.note_try(digest) > _MAX_TRIES:
                raise RayError(
                    f"expected an actor that scores the images from {shown_name(items[0].name)} to "
                    f"{shown_name(items[-1].name)}, found that its process ended each of {_MAX_TRIES} times; "
                    "the engine local finds the image"
                )
            scored = self._scorer.table(items)
            # By number: a class may be called as the column of the chunk is.
            plain = scored.rename_columns([f"c{at}" for at in range(scored.num_columns)]).replace_schema_metadata(None)
            tables.append(plain.append_column(_PART, pa.array([digest] * len(plain), pa.string())))
        return pa.concat_tables(tables)


def _as_table(chunk: Chunk) -> "pa.Table":
    """The images of a chunk: names and paths as bytes, for they need not be Unicode."""
    import pyarrow as pa

    places = [_bytes(item.source) if isinstance(item.source, str) else None for item in chunk.items]
    contents = [item.source if isinstance(item.source, bytes) else None for item in chunk.items]
    return pa.table(
        {
            "name": pa.array([_bytes(item.name) for item in chunk.items], pa.binary()),
            "place": pa.array(places, pa.binary()),
            "content": pa.array(contents, pa.large_binary()),
            _PART: pa.array([chunk.digest] * len(chunk.items), pa.string()),
        }
    )


def _as_item(row: dict[str, Any]) -> Item:
    place = row["place"]
    return Item(_text(row["name"]), row["content"] if place is None else _text(place), "")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


@contextmanager
def _cluster(request: "ScoreRequest") -> Iterator[int]:
    """Connected to the cluster that is asked for, or to one that is started for the block; gives its CPUs."""
    # Before ray is imported. A cluster that is started here sends nothing to anybody.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray.data import DataContext

    if ray.is_initialized():  # by the program that called
        _quieten(DataContext.get_current())
        yield int(ray.cluster_resources().get("CPU", 1))
        return
    from fer_edge.runtime.cores import available_cores

    address = request.address or os.environ.get("RAY_ADDRESS") or "local"
    own: dict[str, Any] = {}
    if address == "local":
        own = {
            "num_cpus": request.workers or available_cores(),
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
            "_node_ip_address": "127.0.0.1",
        }
    _expect_listener(address)
    listening = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **own)
    except ImportError as error:  # ray:// needs a package more
        raise MissingExtraError(error.name or "ray[client]", "ray") from error
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        reason = printable(" ".join(str(error).split()))[:300]
        told = "" if address == "local" or "RAY_AUTH_MODE" in os.environ else _TOKEN
        raise RayError(f"--address {printable(address)}: expected a Ray cluster, found none: {reason}{told}") from error
    with suppress(ValueError, TypeError):  # not in the main thread, or it was not Python's
        signal.signal(signal.SIGTERM, listening)  # ray takes it for its own
    with stdout_to_stderr():  # where a worker dies Ray says so on stdout, where --json is
        try:
            _quieten(DataContext.get_current())
            yield int(ray.cluster_resources().get("CPU", 1))
        finally:
            ray.shutdown()


def _expect_listener(address: str) -> None:
    """Refuse (RayError) ``host:port`` where nobody listens: Ray itself tries for minutes."""
    host, colon, port = address.rpartition(":")
    if "/" in address or not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise RayError(f"--address {printable(address)}: expected a Ray cluster, found none: {error}") from error


def _quieten(context: Any) -> None:
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.log_internal_stack_trace_to_stdout = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)


@contextmanager
def _ray_errors() -> Iterator[None]:
    """One line of what Ray raises, of errors of this package too, which come from actors inside others."""
    import ray

    try:
        yield
    except (ray.exceptions.RayError, OSError, RuntimeError) as error:
        cause: BaseException | None = error
        while cause is not None:
            inner = getattr(cause, "cause", None)
            found = next((one for one in (cause, inner) if isinstance(one, FerEdgeError)), None)
            if found is not None:
                raise found from error
            cause = inner if isinstance(inner, BaseException) else cause.__cause__
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = printable(lines[-1] if lines else type(error).__name__)[:300]
        raise RayError(f"Ray gave up: {reason}; what is written stays, and the same command goes on") from error
