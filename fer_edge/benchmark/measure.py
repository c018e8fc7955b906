"""Runs a benchmark: timed rounds in blocks of rows, then cold starts, then accuracy. What is measured is kept."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from fer_edge.backends.registry import backend_named
from fer_edge.benchmark.client import Stop, Stopped, WorkerClient, WorkerError
from fer_edge.benchmark.faces import JudgingFaces, timing_faces
from fer_edge.benchmark.request import BenchmarkRequest
from fer_edge.benchmark.results import COLD_START_PARTS, PHOTO_PARTS, RowResult
from fer_edge.benchmark.rows import EAGER, ONNXRUNTIME, Row, Subject
from fer_edge.benchmark.statistics import interleaved_order
from fer_edge.benchmark.timed_run import WorkerSpec
from fer_edge.errors import ProviderError
from fer_edge.evaluation.metrics import evaluate_probabilities

UNKNOWN_MEMORY_BYTES = 2400 * 2**20
"""What is taken to be free where the system does not say."""

MAX_IDLE_SHARE = 0.05
"""Fraction of the time between its timed runs that a worker may compute without being said to disturb the others."""

_PHOTOS = 8
_FACES_EXPECTED = 3589
"""In a split of FER-2013: for the time left, before the data are read."""


class Progress(Protocol):
    """Who hears of every step."""

    def note(self, text: str) -> None:
        """One line for a person."""

    def begin(self, expected_s: float) -> None:
        """The whole work is expected to take so long."""

    def step(self, what: str, expected_s: float) -> None:
        """A step begins that is expected to take so long."""


@dataclass(frozen=True)
class Planned:
    """A row and the file that it runs."""

    row: Row
    subject: Subject

    def spec(self, batch: int | None = None, threads: int | None = None) -> WorkerSpec:
        """What a worker is to load."""
        return WorkerSpec(
            self.row.runtime,
            backend_named(self.row.runtime).load.__module__,
            self.row.precision,
            self.row.provider,
            batch or self.row.batch,
            threads or self.row.threads,
            str(self.subject.path),
            self.subject.image_size,
        )


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
    ) -> None:
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

    def run(self, judging: Callable[[Subject], JudgingFaces]) -> bool:
        """Measure everything. False when it was stopped on the way. ``judging``: the faces that a file answers."""
        self._progress.begin(self._expected_s())
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
            self._judge(judging)
        except Stopped:
            return False
        return True

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
                self._progress.step(f"loading {one.row.title}", _open_s(one.row))
                client = self._open(one, one.spec())
                if client is not None:
                    clients.append((one, stack.enter_context(client)))
            for number, order in enumerate(interleaved_order(len(clients), self._request.rounds), start=1):
                for one, client in [clients[place] for place in order]:
                    what = f"round {number}/{self._request.rounds}  {one.row.title}"
                    self._progress.step(what, self._timed_run_s(one.row))
                    if one.row not in self.left_out:
                        self._time_row(one, client)

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
        if timed["idle_cpu_s"] > MAX_IDLE_SHARE * self._round_s():
            self.notes.append(f"{one.row.title}: computed for {timed['idle_cpu_s']:.2f} s while others were timed")

    def _ask_photos(self, one: Planned, client: WorkerClient) -> dict[str, list[float]]:
        return client.ask(
            "photos",
            faces=str(self._faces_file(one.subject.image_size, _PHOTOS)),
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
                self._progress.step(f"cold start of {one.row.title}", _open_s(one.row))
                client = self._open(one, one.spec(batch=min(self._request.batch_sizes)))
                if client is None:
                    continue
                with client:
                    parts = {part: 1000 * client.opened[f"{part}_s"] for part in COLD_START_PARTS}
                for result in self._results_of(one):
                    result.cold_starts_ms.append({part: round(value, 3) for part, value in parts.items()})

    # Accuracy and agreement

    def _judge(self, judging: Callable[[Subject], JudgingFaces]) -> None:
        answers: dict[tuple[str, str, str, str], np.ndarray] = {}
        planned = [one for one in self._one_an_engine() if one.row not in self.left_out]
        engines = references_first(planned)
        for one in engines:
            faces = judging(one.subject)
            self._progress.step(f"accuracy of {one.row.title}", self._judging_s(one.row))
            probabilities = self._answers(one, faces)
            if probabilities is None:
                continue
            answers[one.row.engine] = probabilities
            if faces.labels is not None:
                metrics = evaluate_probabilities(probabilities, faces.labels)
                for result in self._results_of(one):
                    result.accuracy, result.macro_f1 = metrics.accuracy, metrics.macro_f1
            reference = reference_of(one, engines)
            if reference is None or reference.row.engine not in answers:
                continue
            same = probabilities.argmax(axis=1) == answers[reference.row.engine].argmax(axis=1)
            for result in self._results_of(one):
                result.agreement = float(same.mean())

    def _answers(self, one: Planned, faces: JudgingFaces) -> np.ndarray | None:
        """Probabilities (N, C) of the judging faces, from a process of its own; also how its graph spends its time."""
        threads = max(self._request.threads)
        client = self._open(one, one.spec(batch=min(max(self._request.batch_sizes), len(faces.faces)), threads=threads))
        if client is None:
            return None
        given = self._folder / f"judged-{faces.faces.shape[-1]}-{len(one.subject.labels)}.npy"
        if not given.exists():
            np.save(given, faces.faces)
        out = self._folder / "answers.npy"
        with client:
            try:
                client.ask("answer", faces=str(given), out=str(out))
                share = client.ask("profile", threads=min(self._request.threads))["preprocessing_share"]
            except WorkerError as error:
                self.notes.append(f"{one.row.title}: accuracy could not be measured: {error}")
                return None
        for result in self._results_of(one):
            result.preprocessing_share = share if result.row.batch == 1 else None
        return np.asarray(np.load(out))

    # Workers

    def _open(self, one: Planned, spec: WorkerSpec) -> WorkerClient | None:
        """A worker that has loaded ``spec``; None where it could not, and the row is left out. Raises Stopped."""
        if self._stop():
            raise Stopped
        faces = self._faces_file(one.subject.image_size, spec.batch)
        try:
            return WorkerClient(spec, faces, self._folder / "compiled", self._stop)
        except (WorkerError, ProviderError) as error:
            self._leave_out(one, str(error))
            if isinstance(error, ProviderError) or not one.subject.is_baseline:
                self.failures.append(f"{one.row.title}: {error}")
            return None

    def _leave_out(self, one: Planned, reason: str) -> None:
        """No row, and so no number: what was timed of it before it failed is dropped too."""
        self.left_out[one.row] = reason
        self.results.pop(one.row, None)

    def _faces_file(self, size: int, count: int) -> Path:
        path = self._folder / f"timed-{size}-{count}.npy"
        if not path.exists():
            np.save(path, timing_faces(count, size))
        return path

    def _one_an_engine(self) -> list[Planned]:
        """The first row of each engine: the smallest batch and number of threads."""
        first: dict[tuple[str, str, str, str], Planned] = {}
        for one in sorted(self._planned, key=lambda one: (one.row.batch, one.row.threads)):
            first.setdefault(one.row.engine, one)
        return list(first.values())

    def _results_of(self, one: Planned) -> Iterable[RowResult]:
        return [result for row, result in self.results.items() if row.engine == one.row.engine]

    # Expected times

    def _timed_run_s(self, row: Row) -> float:
        return 1.3 * self._request.timed_run.budget_s + (self._request.photo_budget_s if row.batch == 1 else 0) + 0.05

    def _round_s(self) -> float:
        return sum(self._timed_run_s(one.row) for one in self._planned)

    def _judging_s(self, row: Row) -> float:
        faces = self._request.num_faces or _FACES_EXPECTED
        return _open_s(row) + faces * (0.001 if row.precision == "int8" else 0.005)

    def _expected_s(self) -> float:
        engines = [one.row for one in self._one_an_engine()]
        starts = sum(
            _open_s(row) * (1 if backend_named(row.runtime).compiles_once else self._request.cold_starts)
            for row in engines
        )
        return (
            sum(_open_s(one.row) for one in self._planned)
            + self._request.rounds * self._round_s()
            + starts
            + sum(self._judging_s(row) for row in engines)
        )


def reference_of(one: Planned, engines: list[Planned]) -> Planned | None:
    """What a row is to agree with: its checkpoint in eager PyTorch, else its fp32 file in onnxruntime, if there."""
    family = [other for other in engines if other.subject.family == one.subject.family]
    eager = [other for other in family if other.row.runtime == EAGER]
    fp32 = [other for other in family if other.row.runtime == ONNXRUNTIME and other.row.precision == "fp32"]
    return next(iter(eager or fp32), None)


def references_first(engines: list[Planned]) -> list[Planned]:
    """In the order given, but those that others are to agree with before all others."""
    # Not list.sort: a list looks empty to the key function while it is sorted in place, and so would every reference.
    return sorted(engines, key=lambda one: reference_of(one, engines) is not one)


def _bytes_of(planned: list[Planned]) -> int:
    return sum(backend_named(one.row.runtime).process_bytes for one in planned)


def _open_s(row: Row) -> float:
    return backend_named(row.runtime).start_seconds


def _empty_result(one: Planned) -> RowResult:
    return RowResult(one.row, one.subject.sha256, one.subject.file_bytes, one.subject.is_baseline)


def unique(planned: list[Planned]) -> list[Planned]:
    """Without rows that another file of the same name and form gives already."""
    return list({one.row: one for one in reversed(planned)}.values())[::-1]
