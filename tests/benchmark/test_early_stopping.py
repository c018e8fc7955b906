"""MLPerf's early stopping against the figures that its own load generator prints."""

import math

import numpy as np
import pytest

from fer_edge.benchmark.early_stopping import holds, min_queries, most_above, percentile_estimate


@pytest.mark.parametrize(("percentile", "queries"), [(90, 64), (99, 662)])
def test_the_fewest_queries_are_those_of_the_load_generator(percentile, queries):
    """ "Processed at least 64 queries", "... 662 queries" in mlperf_log_summary.txt."""
    assert min_queries(percentile) == queries


@pytest.mark.parametrize(("queries", "discarded"), [(7469, 685), (2048, 172)])
def test_as_many_of_the_slowest_are_discarded_as_the_load_generator_discards(queries, discarded):
    """ "Would discard 685 highest latency queries" in published results of single stream."""
    assert most_above(queries, 90) - 1 == discarded
    latencies = list(range(queries))
    assert percentile_estimate(latencies[::-1], 90) == queries - 1 - discarded


def test_the_rule_is_the_tail_of_a_binomial():
    by_hand = sum(math.comb(64, seen) * 0.1**seen * 0.9 ** (64 - seen) for seen in (0, 1))
    assert by_hand <= 0.01
    assert holds(1, 64, 90)
    assert not holds(1, 63, 90)
    assert holds(0, 459, 99)
    assert not holds(0, 458, 99)


def test_too_few_queries_have_no_percentile():
    assert percentile_estimate([1.0] * 661, 99) is None
    assert percentile_estimate([*[1.0] * 661, 2.0], 99) == 2.0


def test_the_estimate_is_below_the_true_percentile_in_at_most_one_run_of_a_hundred():
    generator = np.random.default_rng(0)
    runs = generator.random((3000, 700))  # uniform: the true p99 is 0.99
    low = sum(percentile_estimate(run.tolist(), 99) < 0.99 for run in runs)
    assert 0 < low <= 48  # 30 expected at most; more than 48 has a chance of 0.1%
