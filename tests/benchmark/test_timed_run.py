import pytest

from fer_edge.benchmark.timed_run import RunLength, Timing, run_once, timed_run


class Clock:
    """Seconds that only pass when somebody says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeBackend:
    """Takes 1, 2, 4 and 8 ms for its steps; the first runs of a round take ``cold`` seconds more."""

    copies_apart = False

    def __init__(self, clock: Clock, cold: tuple[float, ...] = ()) -> None:
        self.clock, self.cold, self.runs = clock, list(cold), 0

    def prepare(self, pixels):
        self.clock.now += 0.001
        return pixels + 1

    def upload(self, feed):
        self.clock.now += 0.002
        return feed + 1

    def execute(self, feed):
        self.runs += 1
        self.clock.now += 0.004 + (self.cold.pop(0) if self.cold else 0.0)
        return feed + 1

    def download(self, answer):
        self.clock.now += 0.008
        return answer + 1


def test_every_step_is_timed_by_itself_and_the_answer_went_through_all_of_them():
    clock = Clock()
    timing, answer = run_once(FakeBackend(clock), 0, clock)
    assert (timing.prepare, timing.upload, timing.run, timing.download) == pytest.approx((1, 2, 4, 8))
    assert answer == 4


def test_copies_are_in_the_latency_of_a_cpu_and_beside_that_of_a_gpu():
    timing = Timing(prepare=1, upload=2, run=4, download=8)
    assert timing.copies == 10
    assert timing.latency(copies_apart=False) == 15
    assert timing.latency(copies_apart=True) == 5


def test_warm_up_runs_are_not_among_the_timings():
    clock = Clock()
    backend = FakeBackend(clock, cold=(0.02, 0.02, 0.02))
    timings = timed_run(backend, [0], RunLength(warm_up_runs=3, budget_s=0.1), clock)
    assert [one.run for one in timings] == pytest.approx([4.0] * len(timings))
    assert backend.runs == 3 + len(timings)


def test_a_timed_run_ends_with_the_run_that_passes_the_budget():
    clock = Clock()
    length = RunLength(budget_s=0.1, min_runs=1)
    assert len(timed_run(FakeBackend(clock), [0], length, clock)) == 7  # 7 x 15 ms > 100 ms


@pytest.mark.parametrize(("budget_s", "runs"), [(0.0, 5), (10.0, 9)])
def test_a_timed_run_has_at_least_and_at_most_so_many_runs(budget_s, runs):
    clock = Clock()
    length = RunLength(budget_s=budget_s, min_runs=5, max_runs=9)
    assert len(timed_run(FakeBackend(clock), [0], length, clock)) == runs


def test_one_untimed_run_is_enough_for_a_slow_model():
    clock = Clock()
    backend = FakeBackend(clock, cold=(1.0,))
    timings = timed_run(backend, [0], RunLength(warm_up_runs=3, warm_up_s=0.3, min_runs=1, budget_s=0.0), clock)
    assert (backend.runs, len(timings)) == (2, 1)


def test_inputs_take_turns_and_every_timed_answer_is_heard_off_the_clock():
    clock, heard = Clock(), []

    def hear(number: int, outputs: int) -> None:
        clock.now += 1.0
        heard.append((number, outputs))

    length = RunLength(warm_up_runs=1, budget_s=100.0, min_runs=5, max_runs=5)
    timings = timed_run(FakeBackend(clock), [10, 20], length, clock, hear)
    assert heard == [(0, 14), (1, 24), (0, 14), (1, 24), (0, 14)]
    assert [one.latency(copies_apart=False) for one in timings] == pytest.approx([15.0] * 5)
