"""Intervals and tests against published or hand-worked values, and against what they promise."""

import math

import numpy as np
import pytest

from fer_edge.evaluation.intervals import difference_interval, gap_p_value, holm, mcnemar, wilson_interval


def test_wilsons_interval_is_that_of_the_papers():
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(20, 20) == pytest.approx((1 - 0.1611, 1.0), abs=5e-5)


def test_newcombes_interval_of_a_difference_is_that_of_the_paper():
    # Newcombe 1998, "Interval estimation for the difference between independent proportions", table II, method 10.
    assert difference_interval((56, 70), (48, 80)) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert difference_interval((9, 10), (3, 10)) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert difference_interval((10, 10), (0, 20)) == pytest.approx((0.6791, 1.0), abs=5e-5)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (5, 5), (1, 9), (0, 12), (30, 71)])
def test_mcnemar_is_the_two_sided_binomial_test(first, second):
    number, fewer = first + second, min(first, second)
    tail = sum(math.comb(number, count) for count in range(fewer + 1)) / 2**number
    assert mcnemar(first, second) == pytest.approx(min(1.0, 2 * tail))
    assert mcnemar(first, second) == mcnemar(second, first)


def test_mcnemar_of_many_thousand_faces_neither_overflows_nor_vanishes():
    assert mcnemar(5000, 5000) == 1.0
    assert 0 <= mcnemar(4000, 6000) < 1e-80
    assert mcnemar(4950, 5050) == pytest.approx(0.32, abs=0.01)  # one standard deviation, with continuity


def test_holm_raises_in_the_order_of_the_values():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_planted_gap_is_found_and_none_is_invented():
    generator = np.random.default_rng(1)
    groups = np.repeat([0, 1, 2], 200)
    planted = generator.random(600) < np.where(groups == 2, 0.6, 0.8)
    assert gap_p_value(planted, groups) < 0.01
    # Without a gap the value is uniform: below 0.1 in a tenth of the cases.
    draws = [gap_p_value(generator.random(600) < 0.8, groups, draws=200, seed=seed) for seed in range(200)]
    assert 0.04 < np.mean(np.array(draws) < 0.1) < 0.17
    assert min(draws) > 0
