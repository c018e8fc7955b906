import numpy as np
import pytest
from test_timed_run import Clock, FakeBackend

from fer_edge.benchmark.audit import MAX_GAIN, Sample, failures, largest_difference, repeat_gain
from fer_edge.benchmark.timed_run import run_once


def gain_of(backend: FakeBackend, budget_s: float) -> dict[str, float]:
    return repeat_gain(
        lambda number: run_once(backend, number % 64, backend.clock)[0].latency(False), budget_s, backend.clock
    )


class Remembering(FakeBackend):
    """Answers an input that it has seen before in a tenth of the time."""

    def __init__(self, clock: Clock, *, remembers: int) -> None:
        super().__init__(clock)
        self.remembers, self.seen = remembers, []

    def execute(self, feed):
        self.clock.now += 0.01 if feed in self.seen else 0.1
        self.seen = [*self.seen, feed][-self.remembers :] if self.remembers else []
        return feed


@pytest.mark.parametrize(("remembers", "is_caught"), [(0, False), (1, True), (6, True)])
def test_a_backend_that_remembers_answers_is_caught(remembers, is_caught):
    clock = Clock()
    found = gain_of(Remembering(clock, remembers=remembers), 1.0)
    assert (found["repeat_gain_low"] > MAX_GAIN) == is_caught
    assert bool(failures("row", found)) == is_caught


def test_noise_is_no_failure():
    clock, generator = Clock(), np.random.default_rng(0)

    class Noisy(FakeBackend):
        def execute(self, feed):
            self.clock.now += generator.choice([0.01, 0.02])
            return feed

    failed = sum(bool(failures("row", gain_of(Noisy(clock), 0.5))) for _ in range(40))
    assert failed <= 2


def test_an_input_that_is_easier_than_others_is_no_memory():
    clock = Clock()

    class Easy(FakeBackend):
        def execute(self, feed):
            self.clock.now += 0.01 if feed == 0 else 0.1
            return feed

    assert failures("row", gain_of(Easy(clock), 1.0)) == []


def test_a_sample_of_many_answers_is_small_and_of_all_of_them_alike():
    sample = Sample(batch=1, seed=3)
    answer = np.zeros((1, 2), np.float32)
    for number in range(10_000):
        answer[0, 0] = number  # as a runtime that uses its memory again
        sample.hear(number, answer)
    numbers = np.array([number for number, _ in sample.kept])
    assert len(set(numbers)) == 256
    assert [float(kept[0, 0]) for _, kept in sample.kept] == numbers.tolist()
    assert abs(numbers.mean() - 5000) < 4 * 10_000 / np.sqrt(12 * 256)
    assert len({number for number, _ in sample.kept if number < 5000}) > 80


def test_answers_of_timed_runs_must_be_those_of_the_accuracy_run():
    answers = np.array([[[0.7, 0.3]], [[0.2, 0.8]]])
    kept = [(0, answers[0]), (1, answers[1])]
    assert largest_difference(kept, lambda number: answers[number]) == 0.0
    stale = [(0, answers[0]), (1, answers[0])]  # the answer of another input
    found = largest_difference(stale, lambda number: answers[number])
    assert found == pytest.approx(0.5)
    assert failures("row", {"largest_difference": found})[0].startswith("row: answers of timed runs differ from those")
    assert largest_difference([(0, np.array([[np.nan, 1.0]]))], lambda number: answers[number]) == 1.0
    assert largest_difference([(0, np.zeros((0, 0)))], lambda number: answers[number]) == 1.0  # no face was found then


def test_rows_of_earlier_versions_have_no_audit_and_no_failure():
    assert failures("row", {}) == []
