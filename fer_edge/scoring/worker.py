"""One process of the pool: a session of one thread, which turns pieces of chunks into tables."""

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
from fer_edge.scoring.items import Piece

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    import pyarrow as pa

    from fer_edge.scoring.scorer import ModelSettings


class Work(NamedTuple):
    """One piece for a worker."""

    piece: Piece
    tells_place: bool = False
    """Whether to say which image comes next, because a process ended over this piece before."""
    given_up: Mapping[int, str] = {}
    """Errors of images that ended a process each time, by their places."""


class Ready(NamedTuple):
    """The model is open."""


class At(NamedTuple):
    """The image at this place is opened next."""

    place: int


class Done(NamedTuple):
    """A piece is scored."""

    piece: Piece
    """Without its images: their bytes need not come back."""
    table: "pa.Table"
    """A row for each of them."""


class Failed(NamedTuple):
    """The worker cannot go on: an error that a user can mend, by its class and text, or a fault with its traceback."""

    kind: str
    text: str


def serve(connection: "Connection", parent: int, settings: "ModelSettings", schema: "pa.Schema") -> None:
    """Score what comes through ``connection`` until None comes; the entry point of a spawned process."""
    end_with(parent)
    for number in (signal.SIGINT, signal.SIGTERM):  # of the whole group at Ctrl-C: the parent says when to end
        with contextlib.suppress(ValueError, OSError):
            signal.signal(number, signal.SIG_IGN)
    try:
        _serve(connection, settings, schema)
    except (BrokenPipeError, ConnectionResetError):  # the parent is gone
        pass
    except MemoryError:
        os._exit(1)  # as the system's own end of a process that takes too much: another one goes on
    except FerEdgeError as error:
        connection.send(Failed(type(error).__name__, str(error)))
    except Exception:
        connection.send(Failed("", traceback.format_exc()))


def _serve(connection: "Connection", settings: "ModelSettings", schema: "pa.Schema") -> None:
    from fer_edge.scoring.scorer import Scorer

    waiting: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
    # A thread takes what comes, so that the parent never waits for a worker that is scoring.
    threading.Thread(target=_receive, args=(connection, waiting), daemon=True).start()
    scorer = Scorer(settings, schema)
    connection.send(Ready())
    while (work := waiting.get()) is not None:
        before = (lambda place: connection.send(At(place))) if work.tells_place else None
        table = scorer.table(work.piece.items, before=before, given_up=work.given_up)
        connection.send(Done(work.piece._replace(items=[]), table))


def _receive(connection: "Connection", waiting: "queue.SimpleQueue[Work | None]") -> None:
    while True:
        try:
            work = connection.recv()
        except (EOFError, OSError):
            work = None
        waiting.put(work)
        if work is None:
            return
