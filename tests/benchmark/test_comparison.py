import math

import pytest
from made_results import made_benchmark, made_result, made_row

from fer_edge.benchmark.comparison import compare_benchmarks
from fer_edge.benchmark.report import comparison_table
from fer_edge.errors import ModelError, UsageError


def change(new_ms: float, old_ms: float, *, spread: float = 0.01, bound: float = 10):
    new = made_benchmark(made_result(made_row(), new_ms, spread=spread))
    old = made_benchmark(made_result(made_row(), old_ms, spread=spread))
    return compare_benchmarks(new, old, bound)


@pytest.mark.parametrize(
    ("new_ms", "result"), [(1.2, "REGRESSION"), (1.05, "slower"), (1.0, "within noise"), (0.8, "faster")]
)
def test_results_by_ratio(new_ms, result):
    found = change(new_ms, 1.0)
    assert found.changes[0].result == result
    as_dict = found.changes[0].to_dict()
    assert as_dict["result"] == as_dict["verdict"] == result  # the second is its key of before
    assert found.changes[0].ratio == pytest.approx(new_ms)
    assert bool(found.regressions) is (result == "REGRESSION")


def test_a_slowdown_within_the_noise_is_no_regression():
    found = change(1.2, 1.0, spread=0.5)
    assert found.changes[0].interval.low < 1 < found.changes[0].interval.high
    assert not found.regressions


def test_the_bound_is_in_percent():
    assert not change(1.2, 1.0, bound=25).regressions
    assert change(1.3, 1.0, bound=25).regressions


def test_the_worst_regression_comes_first():
    old = made_benchmark(made_result(made_row(), 1.0), made_result(made_row("pt2"), 1.0))
    new = made_benchmark(made_result(made_row(), 1.5), made_result(made_row("pt2"), 3.0))
    assert [one.row.runtime for one in compare_benchmarks(new, old, 10).regressions] == ["pt2", "onnxruntime"]


def test_another_machine_and_rows_that_are_gone_are_said():
    old = made_benchmark(made_result(made_row(), 1.0), made_result(made_row("pt2"), 1.0), environment={"cpu": "Other"})
    notes = compare_benchmarks(made_benchmark(made_result(made_row(), 1.0)), old, 10).notes
    assert notes == (
        "cpu: Other then, Test CPU now: the ratios compare machines too",
        "1 of 2 rows of the other benchmark were not measured now",
    )


@pytest.mark.parametrize("bound", [math.nan, math.inf, -1.0])
def test_a_bound_that_is_no_number_is_refused(bound):
    with pytest.raises(UsageError, match="--max-regression: expected a number from 0 on, found"):
        change(1.2, 1.0, bound=bound)


def test_two_files_of_one_network_are_compared_each_with_itself_and_named():
    old = made_benchmark(*(made_result(made_row(model=name), 1.0) for name in ("one", "two")))
    new = made_benchmark(made_result(made_row(model="one"), 2.0), made_result(made_row(model="two"), 1.0))
    header, cells = comparison_table(compare_benchmarks(new, old, 10))
    found = [dict(zip(header, row, strict=True)) for row in cells]
    assert [(row["model"], row["result"]) for row in found] == [("one", "REGRESSION"), ("two", "within noise")]


def test_no_common_row_is_an_error():
    with pytest.raises(ModelError, match="--compare: expected rows that both benchmarks have"):
        compare_benchmarks(
            made_benchmark(made_result(made_row(), 1.0)), made_benchmark(made_result(made_row(batch=8), 1.0)), 10
        )
