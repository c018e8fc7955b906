"""A pool of worker processes that loses nothing when one of them is killed: its pieces go to the next one.

An image that ends the process which opens it, each time, gets a row with an error like any other bad image: after a
piece's second end its worker says which image comes next, and one over which it ended twice more is given up.
"""

import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from fer_edge import errors
from fer_edge.errors import FerEdgeError
from fer_edge.scoring.items import Piece
from fer_edge.scoring.worker import At, Done, Failed, Ready, Work, serve
from fer_edge.text import shown_name

if TYPE_CHECKING:
    import pyarrow as pa

    from fer_edge.scoring.scorer import ModelSettings

_QUEUED = 2
"""Pieces that a worker has at a time: the one it scores and the next."""
_PLAIN_TRIES = 2
"""Ends of a process over a piece before its images are looked at one by one."""
_MAX_TRIES = 12
_ENDS_BEFORE_FIRST = 3
"""Processes a place in the pool may lose in a row without one finished piece anywhere."""
_CLOSE_S = 10


class WorkersEnded(FerEdgeError):
    """Worker processes end one after the other: the machine kills them, or they cannot start."""


@dataclass
class _Tries:
    """What became of a piece whose process ended."""

    ends: int = 0
    places: Counter[int] = field(default_factory=Counter)
    given_up: dict[int, str] = field(default_factory=dict)


@dataclass(eq=False)
class _Worker:
    process: Any
    connection: Any  # of another type under Windows
    pieces: deque[Piece] = field(default_factory=deque)
    is_ready: bool = False
    place: int | None = None
    """Of the image that it opened last, where it says so."""


class Pool:
    """``workers`` spawned processes with a session each; use it in a ``with`` block, at whose end they are gone."""

    def __init__(self, workers: int, settings: "ModelSettings", schema: "pa.Schema") -> None:
        self._start = (settings, schema)
        self._size = workers
        self._workers: list[_Worker] = []
        self._waiting: deque[Piece] = deque()
        self._tries: dict[tuple[str, int], _Tries] = {}
        self._ends_in_a_row = 0
        self.restarts = 0

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for worker in self._workers:
            if kind is None:
                try:
                    worker.connection.send(None)
                except OSError:
                    continue
            else:
                worker.process.kill()
        for worker in self._workers:
            worker.process.join(_CLOSE_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()

    def submit(self, piece: Piece) -> Iterator[Done]:
        """Hand a piece over; gives those that were finished while it waited for a free place. Raises what stops a
        worker: ModelError, WorkersEnded."""
        self._waiting.append(piece)
        yield from self._hand_out()

    def drain(self) -> Iterator[Done]:
        """The rest, in the order in which they are finished. Raises as ``submit``."""
        yield from self._hand_out()
        while any(worker.pieces for worker in self._workers) or self._waiting:
            yield from self._listen()
            yield from self._hand_out()

    def _hand_out(self) -> Iterator[Done]:
        while self._waiting:
            free = min(self._workers, key=lambda one: len(one.pieces), default=None)
            if (free is None or free.pieces) and len(self._workers) < self._size:
                free = self._new_worker()
            if free is None or len(free.pieces) >= _QUEUED:
                yield from self._listen()
                continue
            piece = self._waiting.popleft()
            tries = self._tries.get(_key(piece), _Tries())
            free.pieces.append(piece)
            try:
                free.connection.send(Work(piece, tries.ends >= _PLAIN_TRIES, tries.given_up))
            except OSError:  # it has ended, which listening to it finds out
                yield from self._listen()

    def _new_worker(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=serve, args=(theirs, os.getpid(), *self._start), name="fer-edge-score", daemon=True
        )
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _listen(self) -> Iterator[Done]:
        """Wait until a worker says something or ends."""
        by_handle: dict[Any, _Worker] = {}
        for worker in self._workers:
            by_handle[worker.connection] = by_handle[worker.process.sentinel] = worker
        for worker in {id(one): one for one in (by_handle[handle] for handle in wait(list(by_handle)))}.values():
            has_ended = not worker.process.is_alive()  # asked first: what it said before it ended is still read
            try:
                while worker.connection.poll():
                    yield from self._hear(worker, worker.connection.recv())
            except (EOFError, OSError):
                worker.process.join()
                has_ended = True
            if has_ended:
                self._replace(worker)

    def _hear(self, worker: _Worker, said: object) -> Iterator[Done]:
        if isinstance(said, Ready):
            worker.is_ready = True
        elif isinstance(said, At):
            worker.place = said.place
        elif isinstance(said, Done):
            worker.pieces.popleft()
            worker.place = None
            self._tries.pop(_key(said.piece), None)
            self._ends_in_a_row = 0
            yield said
        elif isinstance(said, Failed):
            raise _as_error(said)

    def _replace(self, worker: _Worker) -> None:
        """Give the pieces of a worker that has ended to others; the first is the one that it was scoring."""
        self._workers.remove(worker)
        worker.connection.close()
        self.restarts += 1
        self._ends_in_a_row += 1
        how = _how_it_ended(worker.process.exitcode)
        if worker.pieces and worker.is_ready:  # one that could not start has touched no image
            self._note_end(worker.pieces[0], worker.place, how)
        # What an image brings about ends by itself (_MAX_TRIES); ends without any work in between do not.
        if self._ends_in_a_row > max(_MAX_TRIES, _ENDS_BEFORE_FIRST * self._size):
            raise WorkersEnded(
                f"expected worker processes that keep running, found {self._ends_in_a_row} that ended one after the "
                f"other ({how}); is there enough memory? try fewer with --workers; what is written stays"
            )
        self._waiting.extendleft(reversed(worker.pieces))

    def _note_end(self, piece: Piece, place: int | None, how: str) -> None:
        tries = self._tries.setdefault(_key(piece), _Tries())
        tries.ends += 1
        if place is not None:
            tries.places[place] += 1
            if tries.places[place] >= _PLAIN_TRIES:
                name = shown_name(piece.items[place].name)
                tries.given_up[place] = f"{name}: the process that opened it ended each time ({how})"
                tries.ends = _PLAIN_TRIES  # the others get their own tries
                self._ends_in_a_row = 0
        if tries.ends > _MAX_TRIES:
            first, last = shown_name(piece.items[0].name), shown_name(piece.items[-1].name)
            raise WorkersEnded(
                f"expected a worker that scores the images from {first} to {last}, found that it ended each of "
                f"{tries.ends} times ({how}); what is written stays"
            )


def _key(piece: Piece) -> tuple[str, int]:
    return piece.digest, piece.start


def _how_it_ended(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"


def _as_error(failed: Failed) -> Exception:
    if not failed.kind:
        return RuntimeError(f"a worker of 'score' failed:\n{failed.text}")
    kind = getattr(errors, failed.kind, FerEdgeError)
    error: FerEdgeError = kind.__new__(kind)  # some take other arguments than their text
    error.args = (failed.text,)
    return error
