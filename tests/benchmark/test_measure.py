"""A measurement whose workers are made up: what they answer depends on the batch size."""

from pathlib import Path

import numpy as np
import pytest
from made_results import made_benchmark

from fer_edge.benchmark import measure
from fer_edge.benchmark.client import WorkerError
from fer_edge.benchmark.faces import JudgingFaces
from fer_edge.benchmark.plan import Planned
from fer_edge.benchmark.request import BenchmarkRequest
from fer_edge.benchmark.rows import Subject, Wanted, rows_of
from fer_edge.errors import StorageError

FACES = JudgingFaces(np.zeros((600, 8, 8), np.uint8), np.arange(600) % 2, "600 faces")
FP32 = Subject("net", Path("net.onnx"), "onnx", "fp32", "tiny", "family", 8, 0, False, "0" * 64, 10, False)


class Quiet:
    def note(self, text: str) -> None: ...
    def begin(self, expected_s: float) -> None: ...
    def step(self, what: str, expected_s: float) -> None: ...


class MadeUpWorker:
    """Names the right class at every batch size but 1, where it always names the first."""

    refuses: str | None = None
    difference = 0.0

    def __init__(self, spec, faces, cache, stop):
        self.batch = spec.batch
        self.opened = {"start_s": 1, "import_s": 1, "load_s": 1, "first_answer_s": 1, "cuda_node_share": None}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def ask(self, do, **arguments):
        if do == self.refuses:
            raise WorkerError("no")
        if do == "timed_run":
            return {"latency_ms": [1.0], "copies_ms": [], "peak_memory_bytes": 1, "idle_cpu_s": 0.0}
        if do == "photos":
            return {"decode_ms": [1.0], "prepare_ms": [1.0], "run_ms": [1.0]}
        if do == "audit":
            return {"largest_difference": self.difference, "repeat_gain": 1.0, "repeat_gain_low": 0.9}
        if do == "profile":
            return {"preprocessing_share": 0.1}
        assert do == "answer"
        assert arguments["count"] % self.batch == 0
        labels = FACES.labels[arguments["start"] :][: arguments["count"]]
        named = labels * (self.batch > 1)
        return {"probabilities": np.eye(2)[named].tolist()}


def measured(tmp_path: Path, monkeypatch, worker: type, **request) -> measure.Measurement:
    monkeypatch.setattr(measure, "WorkerClient", worker)
    asked = BenchmarkRequest(**{"batch_sizes": (1, 8), "threads": (1, 2), "rounds": 1, "cold_starts": 1, **request})
    wanted = Wanted(("onnxruntime",), "cpu", asked.batch_sizes, asked.threads)
    planned = [Planned(row, FP32) for row in rows_of(FP32, wanted)]
    done = measure.Measurement(planned, asked, tmp_path, Quiet(), lambda: False, None, lambda subject: FACES)
    assert done.run()
    return done


def test_a_model_that_is_wrong_at_batch_1_is_shown_as_wrong_at_batch_1_and_right_at_others(tmp_path, monkeypatch):
    results = measured(tmp_path, monkeypatch, MadeUpWorker).results
    found = {(row.batch, row.threads): (one.accuracy, one.agreement) for row, one in results.items()}
    # Its reference is itself at the largest batch size, so that it does not agree with itself at batch 1.
    assert found == {(1, 1): (0.5, 0.5), (1, 2): (0.5, 0.5), (8, 1): (1.0, 1.0), (8, 2): (1.0, 1.0)}
    assert {one.preprocessing_share for row, one in results.items() if row.batch == 1} == {0.1}
    assert {one.file for one in results.values()} == {"net.onnx"}


@pytest.mark.parametrize(("refuses", "lost"), [("answer", "accuracy"), ("profile", "its time in preprocessing")])
def test_what_cannot_be_answered_is_said_and_the_timings_are_kept(tmp_path, monkeypatch, refuses, lost):
    worker = type("Refusing", (MadeUpWorker,), {"refuses": refuses})
    done = measured(tmp_path, monkeypatch, worker, batch_sizes=(1,), threads=(1,))
    (result,) = done.results.values()
    assert result.is_timed
    assert (result.accuracy is None) == (refuses == "answer")
    assert done.notes == [f"net onnxruntime fp32, batch 1, 1 thread: {lost} could not be measured: no"]


def test_a_disk_that_fills_on_the_way_costs_the_rows_that_it_stops_and_no_other(tmp_path, monkeypatch):
    class Full(MadeUpWorker):
        def __init__(self, spec, faces, cache, stop):
            if spec.batch == 8:
                raise StorageError("/tmp: cannot be written: the disk is full; free some space")
            super().__init__(spec, faces, cache, stop)

    done = measured(tmp_path, monkeypatch, Full, threads=(1,))
    assert [row.batch for row in done.results] == [1]
    assert done.failures == [
        "net onnxruntime fp32, batch 8, 1 thread: /tmp: cannot be written: the disk is full; free some space"
    ]


@pytest.mark.parametrize("difference", [0.0, 0.3])
def test_every_row_is_audited(tmp_path, monkeypatch, difference):
    worker = type("Audited", (MadeUpWorker,), {"difference": difference})
    results = measured(tmp_path, monkeypatch, worker).results
    assert [one.audit["largest_difference"] for one in results.values()] == [difference] * 4
    assert len(made_benchmark(*results.values()).audit_failures) == (4 if difference else 0)
