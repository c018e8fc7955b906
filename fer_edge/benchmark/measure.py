"""Runs a benchmark: timed rounds in blocks of rows, their accuracy, then cold starts. What is measured is kept."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Protocol

import numpy as np

from fer_edge.backends.registry import backend_named
from fer_edge.benchmark import duration
from fer_edge.benchmark.answers import AnsweredFaces, signs_of
from fer_edge.benchmark.client import Stop, Stopped, WorkerClient, WorkerError
from fer_edge.benchmark.faces import JudgingFaces, timing_faces
from fer_edge.benchmark.plan import Planned, reference_of
from fer_edge.benchmark.request import BenchmarkRequest
from fer_edge.benchmark.results import COLD_START_PARTS, PHOTO_PARTS, RowResult
from fer_edge.benchmark.rows import Row, Subject
from fer_edge.benchmark.statistics import interleaved_order
from fer_edge.errors import ProviderError, StorageError
from fer_edge.evaluation.metrics import evaluate_probabilities
from fer_edge.files import write_bytes
from fer_edge.text import printable

UNKNOWN_MEMORY_BYTES = 2400 * 2**20
"""What is taken to be free where the system does not say."""

MAX_IDLE_SHARE = 0.05
"""Fraction of the time between its timed runs that a worker may compute without being said to disturb the others."""

POOL = 64
"""Different faces that rows are timed on."""
_PHOTOS = 8
_FACES_AN_ANSWER = 512
"""So many faces are answered at a time: a worker that is asked for all could be taken for one that hangs."""


class Progress(Protocol):
    """Who hears of every step."""

    def note(self, text: str) -> None:
        """One line for a person."""

    def begin(self, expected_s: float) -> None:
        """The whole work is expected to take so long."""

    def step(self, what: str, expected_s: float) -> None:
        """A step begins that is expected to take so long."""


class Measurement:
    """One run over the planned rows. ``results`` and ``left_out`` grow while it goes on."""

    def __init__(
        self,
        planned: list[Planned],
        request: BenchmarkRequest,
        folder: Path,
        progress: Progress,
        stop: Stop,
        memory_bytes: int | None,
        judging: Callable[[Subject], JudgingFaces],
    ) -> None:
        """``judging``: the faces that a file answers. Raises DataError where there are none of its labels, and
        StorageError where ``folder`` has no room for what the workers read: before anything is measured."""
        self._planned = planned
        self._request = request
        self._folder = folder
        self._progress = progress
        self._stop = stop
        self._memory_bytes = memory_bytes
        self.results = {one.row: _empty_result(one) for one in planned}
        self.left_out: dict[Row, str] = {}
        self.failures: list[str] = []
        self.notes: list[str] = []
        self._judging = {one.subject: judging(one.subject) for one in planned}
        self._answered = {one: AnsweredFaces.of(faces, one.labels) for one, faces in self._judging.items()}
        self._named: dict[tuple[tuple[str, ...], int], np.ndarray] = {}
        """Which class each engine at each batch size names, int (N,)."""
        self._round_s = duration.round_s([one.row for one in planned], request)
        self._write_faces()

    def run(self) -> bool:
        """Measure everything. False when it was stopped on the way."""
        num_faces = max(len(faces.faces) for faces in self._judging.values())
        engines = [one.row for one in self._one_an_engine()]
        rows = [one.row for one in self._planned]
        self._progress.begin(duration.whole_s(rows, engines, num_faces, self._request))
        try:
            blocks = self._blocks()
            if len(blocks) > 1:
                self.notes.append(
                    f"rows were timed in {len(blocks)} blocks, because not all processes fit into memory at once; rows "
                    "of one batch size and number of threads share a block where they can"
                )
            for block in blocks:
                self._time(block)
            self._start_cold()
        except Stopped:
            return False
        finally:
            self._compare()
        return True

    @property
    def faces(self) -> list[AnsweredFaces]:
        """The labelled faces that rows answered, each set once."""
        found = {one.fingerprint: one for one in self._answered.values() if one is not None}
        return [one for one in found.values() if any(row.faces == one.fingerprint for row in self.results.values())]

    # Timed rounds

    def _blocks(self) -> list[list[Planned]]:
        """Rows whose processes are alive together: as many as half of the free memory holds, by batch and threads."""
        room = (self._memory_bytes or UNKNOWN_MEMORY_BYTES) // 2
        groups: dict[tuple[int, int], list[Planned]] = {}
        for one in self._planned:
            groups.setdefault((one.row.batch, one.row.threads), []).append(one)
        blocks: list[list[Planned]] = [[]]
        for _, group in sorted(groups.items()):
            if _bytes_of(blocks[-1]) + _bytes_of(group) > room:
                blocks.append([])
            for one in group:  # a group that is too large for one block takes several
                if blocks[-1] and _bytes_of([*blocks[-1], one]) > room:
                    blocks.append([])
                blocks[-1].append(one)
        return [block for block in blocks if block]

    def _time(self, block: list[Planned]) -> None:
        with ExitStack() as stack:
            clients: list[tuple[Planned, WorkerClient]] = []
            for one in block:
                self._progress.step(f"loading {one.row.title}", duration.open_s(one.row))
                client = self._open(one)
                if client is not None:
                    clients.append((one, stack.enter_context(client)))
            for number, order in enumerate(interleaved_order(len(clients), self._request.rounds), start=1):
                for one, client in [clients[place] for place in order]:
                    what = f"round {number}/{self._request.rounds}  {one.row.title}"
                    self._progress.step(what, duration.timed_run_s(one.row, self._request))
                    if one.row not in self.left_out:
                        self._time_row(one, client)
            for one, client in clients:
                if one.row not in self.left_out and one.row.threads == max(self._request.threads):
                    self._judge(one, client)
                    if one.row.batch == 1:
                        self._profile(one, client)
                if one.row not in self.left_out:
                    self._audit(one, client)

    def _time_row(self, one: Planned, client: WorkerClient) -> None:
        result = self.results[one.row]
        try:
            timed = client.ask("timed_run", length=asdict(self._request.timed_run))
            if one.row.batch == 1:
                photos = self._ask_photos(one, client)
                for part in PHOTO_PARTS:
                    result.photos_ms.setdefault(part, []).extend(photos[f"{part}_ms"])
        except WorkerError as error:
            self._leave_out(one, str(error))
            return
        result.latency_ms.append(timed["latency_ms"])
        if timed["copies_ms"]:
            result.copies_ms.append(timed["copies_ms"])
        result.peak_memory_bytes = max(result.peak_memory_bytes or 0, timed["peak_memory_bytes"] or 0) or None
        result.cuda_node_share = client.opened["cuda_node_share"]
        if timed["idle_cpu_s"] > MAX_IDLE_SHARE * self._round_s:
            self.notes.append(f"{one.row.title}: computed for {timed['idle_cpu_s']:.2f} s while others were timed")

    def _ask_photos(self, one: Planned, client: WorkerClient) -> dict[str, list[float]]:
        return client.ask(
            "photos",
            faces=str(self._timed_file(one.subject.image_size, _PHOTOS)),
            repeats=4,
            warm_up=1,
            budget_s=self._request.photo_budget_s,
        )

    # Cold starts

    def _start_cold(self) -> None:
        """Fresh processes of each engine, alternately; its rows at all batch sizes and threads share the figures."""
        engines = [one for one in self._one_an_engine() if one.row not in self.left_out]
        for number, order in enumerate(interleaved_order(len(engines), self._request.cold_starts)):
            for one in [engines[place] for place in order]:
                if backend_named(one.row.runtime).compiles_once and number:
                    continue  # only its first start is cold: the compiler keeps what it made, on disk
                self._progress.step(f"cold start of {one.row.title}", duration.open_s(one.row))
                client = self._open(one)
                if client is None:
                    continue
                with client:
                    parts = {part: 1000 * client.opened[f"{part}_s"] for part in COLD_START_PARTS}
                for result in self._results_of(one.row.engine):
                    result.cold_starts_ms.append({part: round(value, 3) for part, value in parts.items()})

    # Accuracy and agreement

    def _judge(self, one: Planned, client: WorkerClient) -> None:
        """Let the worker answer the judging faces at its own batch size: a model may be wrong at one and not at others.

        Rows of the engine at this batch size share the figures, whatever their number of threads.
        """
        faces = self._judging[one.subject]
        self._progress.step(f"accuracy of {one.row.title}", duration.judging_s(one.row, len(faces.faces)))
        try:
            probabilities = self._answers(one, faces, client)
        except WorkerError as error:
            self.notes.append(f"{one.row.title}: accuracy could not be measured: {error}")
            return
        self._named[one.row.engine, one.row.batch] = probabilities.argmax(axis=1)
        if faces.labels is not None:
            metrics = evaluate_probabilities(probabilities, faces.labels)
            answered = self._answered[one.subject]
            for result in self._results_of(one.row.engine, one.row.batch):
                result.accuracy, result.macro_f1 = metrics.accuracy, metrics.macro_f1
                if answered is not None:
                    result.faces, result.answers = answered.fingerprint, signs_of(probabilities.argmax(axis=1))

    def _audit(self, one: Planned, client: WorkerClient) -> None:
        """Whether its timed runs answered as it answers now, and whether repeating an input is faster."""
        self._progress.step(f"audit of {one.row.title}", self._request.audit_budget_s)
        try:
            self.results[one.row].audit = client.ask("audit", budget_s=self._request.audit_budget_s)
        except WorkerError as error:
            self.notes.append(f"{one.row.title}: could not be audited: {error}")

    def _answers(self, one: Planned, faces: JudgingFaces, client: WorkerClient) -> np.ndarray:
        """Probabilities (N, C) of the judging faces. Raises WorkerError and Stopped."""
        file, batch = str(self._judged_file(one.subject)), one.row.batch
        count = batch * -(-_FACES_AN_ANSWER // batch)  # whole batches, so that only the last one is padded
        answers: list[list[float]] = []
        for start in range(0, len(faces.faces), count):
            answers += client.ask("answer", faces=file, start=start, count=count)["probabilities"]
        return np.asarray(answers)

    def _profile(self, one: Planned, client: WorkerClient) -> None:
        """How much of its time the graph spends on preparing one face, for the rows of batch 1."""
        try:
            share = client.ask("profile", threads=min(self._request.threads))["preprocessing_share"]
        except WorkerError as error:
            self.notes.append(f"{one.row.title}: its time in preprocessing could not be measured: {error}")
            return
        for result in self._results_of(one.row.engine, one.row.batch):
            result.preprocessing_share = share

    def _compare(self) -> None:
        """How often each row names a face as its reference does at the largest batch size that it answered at."""
        engines = [one for one in self._one_an_engine() if any(engine == one.row.engine for engine, _ in self._named)]
        for one in engines:
            reference = reference_of(one, engines)
            if reference is None:
                continue
            largest = max(batch for engine, batch in self._named if engine == reference.row.engine)
            expected = self._named[reference.row.engine, largest]
            for (engine, batch), found in self._named.items():
                if engine == one.row.engine:
                    for result in self._results_of(engine, batch):
                        result.agreement = float((found == expected).mean())

    # Workers

    def _open(self, one: Planned) -> WorkerClient | None:
        """A worker that has loaded the row; None where it could not, and the row is left out. Raises Stopped."""
        if self._stop():
            raise Stopped
        faces = self._timed_file(one.subject.image_size, POOL)
        try:
            return WorkerClient(one.spec(), faces, self._folder / "compiled", self._stop)
        except (WorkerError, ProviderError, StorageError) as error:
            self._leave_out(one, str(error))
            if isinstance(error, ProviderError) or not one.subject.is_baseline:
                self.failures.append(f"{one.row.title}: {error}")
            return None

    def _leave_out(self, one: Planned, reason: str) -> None:
        """No row, and so no number: what was timed of it before it failed is dropped too."""
        self.left_out[one.row] = reason
        self.results.pop(one.row, None)

    def _write_faces(self) -> None:
        """Everything that workers read. Raises StorageError."""
        judged = {self._judged_file(one): faces.faces for one, faces in self._judging.items()}
        sizes = {(one.subject.image_size, count) for one in self._planned for count in (POOL, _PHOTOS)}
        timed = {self._timed_file(size, count): timing_faces(count, size) for size, count in sizes}
        for path, faces in {**judged, **timed}.items():
            array = BytesIO()
            np.save(array, faces)  # to a full disk it would say how many bytes are missing, not why
            write_bytes(path, array.getvalue())

    def _timed_file(self, size: int, count: int) -> Path:
        return self._folder / f"timed-{size}-{count}.npy"

    def _judged_file(self, subject: Subject) -> Path:
        """One for all who answer the same faces."""
        distinct = list({id(faces): None for faces in self._judging.values()})
        return self._folder / f"judged-{distinct.index(id(self._judging[subject]))}.npy"

    def _one_an_engine(self) -> list[Planned]:
        """The first row of each engine: the smallest batch and number of threads."""
        first: dict[tuple[str, ...], Planned] = {}
        for one in sorted(self._planned, key=lambda one: (one.row.batch, one.row.threads)):
            first.setdefault(one.row.engine, one)
        return list(first.values())

    def _results_of(self, engine: tuple[str, ...], batch: int | None = None) -> Iterable[RowResult]:
        """Of the engine, at one batch size or at all."""
        rows = {row: result for row, result in self.results.items() if row.engine == engine}
        return [result for row, result in rows.items() if batch in (None, row.batch)]


def _bytes_of(planned: list[Planned]) -> int:
    return sum(backend_named(one.row.runtime).process_bytes for one in planned)


def _empty_result(one: Planned) -> RowResult:
    subject = one.subject
    return RowResult(
        one.row,
        subject.sha256,
        subject.file_bytes,
        subject.is_baseline,
        printable(subject.path.name),
        list(subject.labels),
    )
