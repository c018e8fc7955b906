"""One process of the pool: a session of one thread, which scores chunks and writes their files."""

import contextlib
import os
import queue
import signal
import threading
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from fer_edge.errors import FerEdgeError
from fer_edge.processes import end_with
from fer_edge.scoring.items import Chunk
from fer_edge.scoring.report import PartFacts

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    import pyarrow as pa

    from fer_edge.scoring.scorer import ModelSettings


class Work(NamedTuple):
    """One chunk for a worker."""

    chunk: Chunk
    tells_place: bool = False
    """Whether to say which image comes next, because a process ended over this chunk before."""
    given_up: Mapping[int, str] = {}
    """Errors of images that ended a process each time, by their places."""


class Ready(NamedTuple):
    """The model is open."""


class At(NamedTuple):
    """The image at this place is opened next."""

    place: int


class Done(NamedTuple):
    """A chunk's file is written."""

    chunk: Chunk
    facts: PartFacts


class Failed(NamedTuple):
    """The worker cannot go on: an error that a user can mend, by its class and text, or a fault with its traceback."""

    kind: str
    text: str


def serve(connection: "Connection", parent: int, settings: "ModelSettings", schema: "pa.Schema", out: str) -> None:
    """Score what comes through ``connection`` until None comes; the entry point of a spawned process."""
    end_with(parent)
    for number in (signal.SIGINT, signal.SIGTERM):  # of the whole group at Ctrl-C: the parent says when to end
        with contextlib.suppress(ValueError, OSError):
            signal.signal(number, signal.SIG_IGN)
    try:
        _serve(connection, settings, schema, out)
    except (BrokenPipeError, ConnectionResetError):  # the parent is gone
        pass
    except MemoryError:
        os._exit(1)  # as the system's own end of a process that takes too much: another one goes on
    except FerEdgeError as error:
        connection.send(Failed(type(error).__name__, str(error)))
    except Exception:
        connection.send(Failed("", traceback.format_exc()))


def _serve(connection: "Connection", settings: "ModelSettings", schema: "pa.Schema", out: str) -> None:
    from fer_edge.scoring.columns import encoded
    from fer_edge.scoring.results import part_name, results_folder
    from fer_edge.scoring.scorer import Scorer

    waiting: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
    # A thread takes what comes, so that the parent never waits for a worker that is scoring.
    threading.Thread(target=_receive, args=(connection, waiting), daemon=True).start()
    scorer = Scorer(settings, schema)
    results = results_folder(out)
    connection.send(Ready())
    while (work := waiting.get()) is not None:
        before = (lambda place: connection.send(At(place))) if work.tells_place else None
        table = scorer.table(work.chunk.items, before=before, given_up=work.given_up)
        data, facts = encoded(table, schema, work.chunk.digest)
        results.write(part_name(work.chunk.number, work.chunk.digest), data)
        # Without the images: their bytes need not come back.
        connection.send(Done(work.chunk._replace(items=[]), facts))


def _receive(connection: "Connection", waiting: "queue.SimpleQueue[Work | None]") -> None:
    while True:
        try:
            work = connection.recv()
        except (EOFError, OSError):
            work = None
        waiting.put(work)
        if work is None:
            return
