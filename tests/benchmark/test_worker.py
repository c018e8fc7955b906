"""Real worker processes on the committed tiny model."""

import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from fer_edge.benchmark import client as client_module
from fer_edge.benchmark.client import THREAD_VARIABLES, Stopped, WorkerClient, WorkerError, worker_environment
from fer_edge.benchmark.timed_run import WorkerSpec
from fer_edge.benchmark.worker import wait_until_quiet
from fer_edge.errors import ProviderError, StorageError
from fer_edge.runtime.classifier import Classifier
from fer_edge.runtime.providers import missing_for_cuda

FIXTURES = Path(__file__).parent.parent / "fixtures"
SHORT_RUN = {"warm_up_runs": 1, "warm_up_s": 0.1, "budget_s": 0.0, "min_runs": 4, "max_runs": 4}


def spec(path: Path = FIXTURES / "tiny.onnx", *, runtime: str = "onnxruntime", provider: str = "cpu", threads: int = 1):
    return WorkerSpec(runtime, f"fer_edge.backends.{runtime}", "fp32", provider, 2, threads, str(path), 48)


@pytest.fixture
def faces(tmp_path) -> Path:
    path = tmp_path / "faces.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8))
    return path


def test_a_worker_says_how_it_started_times_its_turns_and_answers_as_the_classifier(faces, tmp_path):
    with WorkerClient(spec(), faces, tmp_path) as worker:
        assert all(worker.opened[f"{part}_s"] > 0 for part in ("start", "import", "load", "first_answer"))
        timed = worker.ask("timed_run", length=SHORT_RUN)
        assert len(timed["latency_ms"]) == 4
        assert min(timed["latency_ms"]) > 0
        assert timed["copies_ms"] == []
        assert 5e6 < timed["peak_memory_bytes"] < 2e9
        audit = worker.ask("audit", budget_s=0.0)
        assert audit["largest_difference"] == 0.0
        assert 0 < audit["answers"] <= 4
        assert 0.1 < audit["repeat_gain"] < 10
        photos = worker.ask("photos", faces=str(faces), repeats=1, warm_up=1, budget_s=1.0)
        assert len(photos["decode_ms"]) == len(photos["run_ms"]) == 4
        assert worker.ask("profile", threads=1) == {"preprocessing_share": None}  # its nodes have no names of their own
        found = [worker.ask("answer", faces=str(faces), start=start, count=4)["probabilities"] for start in (0, 4)]
    expected = Classifier.load(FIXTURES / "tiny.onnx", threads=1).probabilities(np.load(faces)[..., np.newaxis])
    assert [len(part) for part in found] == [4, 1]
    np.testing.assert_allclose([*found[0], *found[1]], expected, atol=1e-6)


def test_a_worker_idles_between_its_turns(faces, tmp_path):
    """Threads that spin would take time from the row that is being timed."""
    with WorkerClient(spec(threads=2), faces, tmp_path) as worker:
        worker.ask("timed_run", length=SHORT_RUN)
        time.sleep(0.5)
        assert worker.ask("timed_run", length=SHORT_RUN)["idle_cpu_s"] < 0.1


def test_a_worker_waits_until_its_threads_are_quiet_and_not_for_ever():
    now, busy_until = [0.0], 0.05

    def sleep(seconds: float) -> None:
        now[0] += seconds

    assert wait_until_quiet(lambda: min(now[0], busy_until), lambda: now[0], sleep)
    assert 0.05 <= now[0] < 0.1
    assert not wait_until_quiet(lambda: now[0], lambda: now[0], sleep)


def test_what_a_worker_cannot_load_is_said_in_its_own_words(faces, tmp_path):
    with pytest.raises(WorkerError, match=r"none.onnx: no such model"):
        WorkerClient(spec(tmp_path / "none.onnx"), faces, tmp_path)


@pytest.mark.skipif(not list(missing_for_cuda()), reason="CUDA is here")
def test_cuda_that_is_not_there_is_a_provider_error(faces, tmp_path):
    with pytest.raises(ProviderError, match="expected the provider cuda, found missing"):
        WorkerClient(spec(provider="cuda"), faces, tmp_path)


def test_a_worker_that_dies_is_said_to_have_died(faces, tmp_path):
    with WorkerClient(spec(), faces, tmp_path) as worker:
        worker._process.kill()
        with pytest.raises(WorkerError, match="its process was killed by signal 9"):
            worker.ask("timed_run", length=SHORT_RUN)


def test_a_worker_that_hangs_is_ended(faces, tmp_path, monkeypatch):
    with WorkerClient(spec(), faces, tmp_path) as worker:
        monkeypatch.setattr(client_module, "ANSWER_TIMEOUT_S", 0.2)
        with pytest.raises(WorkerError, match="expected an answer within 0 s, found none"):
            worker.ask("timed_run", length={**SHORT_RUN, "min_runs": 10**9, "max_runs": 10**9})


def test_no_place_for_temporary_files_is_one_line(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(StorageError, match=r"gone: cannot be written: No such file or directory$"):
        WorkerClient(spec(), faces, tmp_path)


def test_asking_to_stop_ends_a_worker_at_work(faces, tmp_path):
    stop: list[bool] = []
    with WorkerClient(spec(), faces, tmp_path, lambda: bool(stop)) as worker:
        stop.append(True)
        started = time.monotonic()
        with pytest.raises(Stopped):
            worker.ask("timed_run", length={**SHORT_RUN, "min_runs": 10**9, "max_runs": 10**9})
    assert time.monotonic() - started < 3


def test_every_pool_gets_the_same_budget_and_a_cpu_row_sees_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    found = worker_environment(3, "cpu", tmp_path)
    assert {found[name] for name in THREAD_VARIABLES} == {"3"}
    assert found["CUDA_VISIBLE_DEVICES"] == "-1"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "CUDA_VISIBLE_DEVICES" not in worker_environment(3, "cuda", tmp_path)
