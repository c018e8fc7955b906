from itertools import pairwise

import numpy as np
import pytest

from fer_edge.benchmark.statistics import (
    Interval,
    bootstrap_medians,
    interleaved_order,
    median_interval,
    percentiles,
    ratio_interval,
)


def normal_rounds(seed: int, *, rounds: int = 5, runs: int = 60, drift: float = 0.0) -> list[list[float]]:
    generator = np.random.default_rng(seed)
    return [(10 + drift * number + generator.normal(size=runs)).tolist() for number in range(rounds)]


def test_percentiles_interpolate_over_all_rounds_together():
    rounds = [list(range(1, 401)), list(range(401, 802))]
    assert percentiles(rounds) == {50: 401.0, 90: 721.0, 95: 761.0, 99: 793.0}


@pytest.mark.parametrize(
    ("runs", "supported"),
    [(1, {50}), (63, {50}), (64, {50, 90}), (130, {50, 90, 95}), (300, {50, 90, 95}), (662, {50, 90, 95, 99})],
)
def test_a_percentile_of_the_tail_needs_as_many_runs_as_mlperf_asks_for(runs, supported):
    assert set(percentiles([[7.0] * runs])) == supported


def test_the_interval_covers_the_true_median_about_as_often_as_it_says():
    covered = [(interval := median_interval(normal_rounds(seed))).low <= 10 <= interval.high for seed in range(100)]
    assert sum(covered) >= 90


def test_the_interval_is_the_same_each_time():
    assert median_interval(normal_rounds(1)) == median_interval(normal_rounds(1))


def test_drift_between_rounds_widens_the_interval():
    quiet, drifting = median_interval(normal_rounds(1)), median_interval(normal_rounds(1, drift=3.0))
    assert drifting.high - drifting.low > 5 * (quiet.high - quiet.low)


def test_rounds_of_different_lengths_and_empty_ones_are_drawn_from():
    medians = bootstrap_medians([[1.0], [], [2.0, 2.0, 2.0]], resamples=500)
    assert set(np.unique(medians)) == {1.0, 1.5, 2.0}


def test_one_round_draws_its_timings_alone():
    interval = median_interval([[1.0, 2.0, 3.0, 4.0, 5.0]])
    assert 1.0 <= interval.low < 3.0 < interval.high <= 5.0


def test_the_ratio_of_a_row_to_itself_includes_no_change():
    same = ratio_interval(normal_rounds(1), normal_rounds(2))
    assert same.low < 1 < same.high


def test_the_ratio_of_a_doubled_row_is_two():
    doubled = [[2 * value for value in one] for one in normal_rounds(1)]
    interval = ratio_interval(doubled, normal_rounds(1))
    assert interval.low > 1.8
    assert interval.high < 2.2


@pytest.mark.parametrize(
    ("other", "overlaps"), [((2.0, 4.0), True), ((0.0, 1.0), True), ((1.5, 1.6), True), ((2.1, 3.0), False)]
)
def test_intervals_that_share_a_value_overlap(other, overlaps):
    assert Interval(1.0, 2.0).overlaps(Interval(*other)) is overlaps
    assert Interval(*other).overlaps(Interval(1.0, 2.0)) is overlaps


@pytest.mark.parametrize("num_rows", [1, 2, 3, 6, 7, 12])
def test_every_row_has_every_place_once(num_rows):
    rounds = interleaved_order(num_rows, num_rows)
    assert all(sorted(one) == list(range(num_rows)) for one in rounds)
    assert all(sorted(places) == list(range(num_rows)) for places in zip(*rounds, strict=True))


@pytest.mark.parametrize("num_rows", [2, 6, 12])
def test_an_even_number_of_rows_follow_each_other_once(num_rows):
    rounds = interleaved_order(num_rows, num_rows)
    followers = [pair for one in rounds for pair in pairwise(one)]
    assert len(set(followers)) == len(followers) == num_rows * (num_rows - 1)


def test_more_rounds_than_rows_begin_again():
    rounds = interleaved_order(2, 5)
    assert rounds[0] == rounds[2] == rounds[4]
    assert interleaved_order(0, 3) == [[], [], []]
