"""Scenarios on a clock that is handed in, and a backend whose service time is known."""

import numpy as np
import pytest
from test_timed_run import Clock

from fer_edge.benchmark.early_stopping import holds
from fer_edge.benchmark.scenarios import (
    Stream,
    arrivals,
    best,
    by_second,
    highest_rate,
    run_server,
    run_stream,
    server_figures,
    stream_figures,
    sustained_figures,
)

SERVICE_S = 0.010


class Toy:
    """Takes SERVICE_S for every query."""

    def __init__(self, service_s: float = SERVICE_S) -> None:
        self.clock, self.service_s = Clock(), service_s

    def answer(self, number: int) -> None:
        self.clock.now += self.service_s

    def sleep(self, seconds: float) -> None:
        self.clock.now += max(seconds, 1e-5)


def evenly(count: int, latency_ms: float) -> Stream:
    """Queries without a pause between them."""
    return Stream([latency_ms] * count, [latency_ms * (number + 1) / 1000 for number in range(count)])


def waits_by_hand(due: list[float]) -> list[float]:
    """Lindley's recursion for one server: latency in seconds."""
    free, found = 0.0, []
    for one in due:
        free = max(free, one) + SERVICE_S
        found.append(free - one)
    return found


def test_arrivals_of_a_seed_are_the_same_and_poisson():
    assert arrivals(50.0, 100, 7) == arrivals(50.0, 100, 7)
    assert arrivals(50.0, 100, 7) != arrivals(50.0, 100, 8)
    np.testing.assert_allclose(arrivals(25.0, 100, 7), 2 * np.array(arrivals(50.0, 100, 7)))
    gaps = np.diff(arrivals(50.0, 20_000, 0))
    assert gaps.mean() == pytest.approx(0.02, rel=0.03)
    assert gaps.std() == pytest.approx(0.02, rel=0.03)


def test_latency_in_the_server_scenario_counts_from_when_a_query_was_due():
    toy, due = Toy(), arrivals(70.0, 500, 1)
    found = run_server(toy.answer, due, toy.clock, toy.sleep)
    np.testing.assert_allclose(found, 1000 * np.array(waits_by_hand(due)), atol=0.03)


def test_the_bisection_finds_the_rate_that_queueing_theory_has():
    def latencies_at(rate: float) -> list[float]:
        toy = Toy()
        return run_server(toy.answer, arrivals(rate, 1000, 3), toy.clock, toy.sleep)

    found = best(highest_rate(latencies_at, 1 / SERVICE_S, 40.0))
    by_hand = max(
        rate
        for rate in np.arange(1.0, 100.0, 0.1)
        if holds(sum(one > 0.040 for one in waits_by_hand(arrivals(rate, 1000, 3))), 1000, 99)
    )
    assert 20 < by_hand < 90
    assert found == pytest.approx(by_hand, abs=0.4)


def test_a_rate_that_cannot_be_valid_any_more_is_not_tried_to_its_end():
    toy = Toy()
    found = server_figures(toy.answer, toy.clock, toy.sleep, most=100.0, bound_ms=40.0, queries=1000, seed=3)
    by_validity = {valid: [one for one in found["probes"] if one["is_valid"] is valid] for valid in (True, False)}
    assert {one["queries"] for one in by_validity[True]} == {1000}
    assert all(one["queries"] < 1000 and one["above"] == 3 for one in by_validity[False])  # 2 of 1,000 may be above
    whole = best(
        highest_rate(
            lambda rate: run_server(toy.answer, arrivals(rate, 1000, 3), toy.clock, toy.sleep),
            most=100.0,
            bound_ms=40.0,
        )
    )
    assert found["rate_per_s"] == whole  # the answer is the same


def test_a_bound_below_the_service_time_has_no_rate():
    assert best(highest_rate(lambda rate: [10.0] * 700, 100.0, 9.0)) is None


def test_single_stream_is_p90_by_early_stopping_and_too_few_queries_have_none():
    toy = Toy()
    stream = run_stream(toy.answer, toy.clock, min_count=64, min_s=0.0, max_s=60.0)
    assert stream_figures(stream, 90, 1) == {
        "p90_ms": pytest.approx(10.0),
        "p50_ms": pytest.approx(10.0),
        "queries": 64,
        "images_per_s": pytest.approx(100.0),
    }
    assert stream_figures(evenly(661, 1.0), 99, 8)["p99_ms"] is None


def test_sustained_sees_a_machine_that_slows_down():
    steady = Toy()
    even = sustained_figures(run_stream(steady.answer, steady.clock, min_count=1, min_s=30.0, max_s=30.0))
    assert even["drift"] == pytest.approx(1.0, abs=0.02)
    assert even["is_throttled"] is False
    hot = Toy()

    def answer(number: int) -> None:
        hot.clock.now += SERVICE_S if hot.clock.now < 15 else 2 * SERVICE_S

    slowed = sustained_figures(run_stream(answer, hot.clock, min_count=1, min_s=30.0, max_s=30.0))
    assert slowed["drift"] == pytest.approx(0.5, abs=0.02)
    assert slowed["is_throttled"] is True
    assert sustained_figures(evenly(300, 10.0))["drift"] is None


def test_rates_by_second_leave_the_broken_second_out():
    assert by_second(evenly(6, 400.0)) == [2, 2]


def test_what_hears_the_answers_takes_no_time_of_any_query():
    toy, heard = Toy(), []

    def slow(number: int, answered: object) -> None:
        toy.clock.now += 1.0
        heard.append((number, answered))

    def answer(number: int) -> str:
        toy.answer(number)
        return f"of {number}"

    stream = run_stream(answer, toy.clock, min_count=3, min_s=0, max_s=9, heard=slow)
    assert stream.latency_ms == pytest.approx([10.0] * 3)
    assert stream.ended_s == pytest.approx([0.01, 1.02, 2.03])
    assert heard == [(0, "of 0"), (1, "of 1"), (2, "of 2")]
