"""Thresholds for a chosen risk: the exact bounds, and the guarantee over repeated draws."""

import math

import numpy as np
import pytest

from fer_edge.evaluation.binomial import binomial_cdf, lower_bound, upper_bound
from fer_edge.evaluation.selective import choose_threshold, risk_coverage, threshold_grid

DRAWS = 400
ERROR_RATE = 0.05


def test_binomial_cdf_is_the_sum_of_its_terms() -> None:
    for trials, probability in ((1, 0.3), (17, 0.01), (60, 0.5), (200, 0.93)):
        terms = [
            math.comb(trials, count) * probability**count * (1 - probability) ** (trials - count)
            for count in range(trials + 1)
        ]
        for successes in {0, 1, trials // 2, trials - 1, trials}:
            expected = sum(terms[: successes + 1])
            assert binomial_cdf(successes, trials, probability) == pytest.approx(expected, rel=1e-9)


def test_binomial_cdf_at_its_ends_and_of_many_trials() -> None:
    assert binomial_cdf(-1, 5, 0.2) == 0
    assert binomial_cdf(2, 5, 0.0) == 1
    assert binomial_cdf(4, 5, 1.0) == 0
    assert binomial_cdf(5, 5, 1.0) == 1
    assert binomial_cdf(50_000, 100_000, 0.5) == pytest.approx(0.5, abs=0.002)


def test_bounds_are_those_of_clopper_and_pearson() -> None:
    # Without a success the upper bound has a closed form: (1 - p) ** trials = error rate.
    assert upper_bound(0, 59, 0.05) == pytest.approx(1 - 0.05 ** (1 / 59), abs=1e-12)
    assert lower_bound(59, 59, 0.05) == pytest.approx(0.05 ** (1 / 59), abs=1e-12)
    # 10 of 100, two-sided 95 %: 0.0490 to 0.1762, as in published tables.
    assert upper_bound(10, 100, 0.025) == pytest.approx(0.1762, abs=5e-5)
    assert lower_bound(10, 100, 0.025) == pytest.approx(0.0490, abs=5e-5)
    assert (upper_bound(0, 0, 0.05), lower_bound(0, 0, 0.05)) == (1.0, 0.0)


def test_risk_coverage_answers_equal_confidences_together() -> None:
    curve = risk_coverage(np.array([0.9, 0.5, 0.9, 0.7]), np.array([True, False, False, True]))
    assert curve.coverage.tolist() == [0.5, 0.75, 1.0]
    assert curve.risk.tolist() == pytest.approx([0.5, 1 / 3, 0.5])
    assert curve.thresholds.tolist() == [0.9, 0.7, 0.5]
    assert curve.area == pytest.approx(0.5 * 0.5 + 0.25 / 3 + 0.25 * 0.5)
    assert curve.risk_at(0.6) == pytest.approx(1 / 3)


def _draw(generator: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Confidences and whether the answers are right: a confidence c is right with probability 0.5 + c / 2."""
    confidence = generator.random(size)
    return confidence, generator.random(size) < 0.5 + confidence / 2


def _true_risk(threshold: float) -> float:
    return 0.25 * (1 - threshold)  # the mean of (1 - c) / 2 over c in (threshold, 1)


@pytest.mark.parametrize("max_risk", [0.05, 0.1, 0.2])
def test_the_chosen_risk_is_kept_in_all_but_the_stated_share_of_draws(max_risk: float) -> None:
    generator = np.random.default_rng(24)
    broken = found = 0
    thresholds = []
    for _ in range(DRAWS):
        grid = threshold_grid(_draw(generator, 300)[0])
        chosen = choose_threshold(*_draw(generator, 1000), grid, max_risk, ERROR_RATE)
        if chosen is not None:
            found += 1
            thresholds.append(chosen.threshold)
            broken += _true_risk(chosen.threshold) > max_risk
    assert lower_bound(broken, DRAWS, 0.001) <= ERROR_RATE  # within the binomial bound of so many draws
    if max_risk >= 0.1:  # and of use: nearly always found, near the best threshold; 1,000 faces are few for 0.05 here
        assert found > 0.75 * DRAWS
        assert np.median(thresholds) - (1 - 4 * max_risk) < 0.2


def test_a_threshold_without_a_bound_would_break_the_risk_in_half_of_the_draws() -> None:
    """What the guarantee is for: the largest coverage whose measured risk is small enough fails far more often."""
    generator = np.random.default_rng(24)
    broken = 0
    for _ in range(DRAWS):
        curve = risk_coverage(*_draw(generator, 1000))
        broken += _true_risk(curve.thresholds[curve.risk <= 0.1].min()) > 0.1
    assert broken > 0.4 * DRAWS


def test_no_threshold_for_a_model_that_guesses_or_for_too_few_faces() -> None:
    generator = np.random.default_rng(5)
    confidence = generator.random(2000)
    grid = threshold_grid(generator.random(500))
    assert choose_threshold(confidence, generator.random(2000) < 0.5, grid, 0.1, ERROR_RATE) is None
    assert choose_threshold(confidence[:100], np.ones(100, bool), grid, 0.1, ERROR_RATE) is None


def test_a_model_that_is_always_right_answers_everything() -> None:
    generator = np.random.default_rng(6)
    grid = threshold_grid(generator.random(500))
    chosen = choose_threshold(generator.random(2000), np.ones(2000, bool), grid, 0.1, ERROR_RATE)
    assert chosen is not None
    assert (chosen.threshold, chosen.answered, chosen.wrong) == (0.0, 2000, 0)
