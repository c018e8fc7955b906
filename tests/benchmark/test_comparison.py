import math

import numpy as np
import pytest
from made_results import made_benchmark, made_result, made_row

from fer_edge.benchmark.answers import AnsweredFaces, signs_of
from fer_edge.benchmark.comparison import compare_benchmarks
from fer_edge.benchmark.faces import JudgingFaces
from fer_edge.benchmark.report import accuracy_table, comparison_markdown, comparison_table
from fer_edge.benchmark.results import Benchmark
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


TRUTH = np.array([0] * 40 + [1] * 40 + [2] * 20)
LABELS = ["happy", "sad", "angry"]


def faces_of(truth=TRUTH, labels=LABELS, seed: int = 0) -> AnsweredFaces:
    pixels = np.random.default_rng(seed).integers(0, 256, (len(truth), 4, 4), dtype=np.uint8)
    names = tuple(f"{place}.png" for place in range(len(truth)))
    found = AnsweredFaces.of(JudgingFaces(pixels, np.array(truth), f"{len(truth)} faces", names), labels)
    assert found is not None
    return found


def answered(answers, faces: AnsweredFaces | None = None, labels=LABELS, *rows):
    """A benchmark whose rows all give ``answers``."""
    faces = faces or faces_of()
    more = {"labels": list(labels), "faces": faces.fingerprint, "answers": signs_of(answers)}
    made = [made_result(row, 1.0, accuracy=0.5, **more) for row in rows or (made_row(),)]
    return made_benchmark(*made, faces=[faces])


def worse_at(count: int, wrong: int = 2) -> np.ndarray:
    """Answers that are right but for the first ``count`` sad faces."""
    answers = TRUTH.copy()
    answers[40 : 40 + count] = wrong
    return answers


def test_a_planted_loss_of_accuracy_is_found_by_class_and_by_face():
    (found,) = compare_benchmarks(answered(worse_at(10)), answered(TRUTH), 10).accuracy
    assert found.is_regression
    assert found.answers.drop_points == pytest.approx(10)
    assert {one.name: one.points for one in found.answers.classes} == {
        "happy": 0,
        "sad": pytest.approx(-25),
        "angry": 0,
    }
    assert found.answers.overall.p_value == pytest.approx(2 * 0.5**10)
    assert [(face.source, face.old, face.new) for face in found.answers.faces] == [
        (f"{place}.png", "sad", "angry") for place in range(40, 50)
    ]
    text = comparison_markdown(compare_benchmarks(answered(worse_at(10)), answered(TRUTH), 10))
    assert "### m onnxruntime fp32, batch 1: 10 answers changed" in text
    assert "| 40.png | sad | sad | angry |" in text


@pytest.mark.parametrize(("lost", "bound", "is_found"), [(1, 1, False), (2, 1, True), (2, 2, False), (0, 0, False)])
def test_accuracy_may_drop_by_the_bound_and_no_more(lost, bound, is_found):
    found = compare_benchmarks(answered(worse_at(lost)), answered(TRUTH), 10, bound)
    assert bool(found.accuracy_regressions) is is_found
    assert not compare_benchmarks(answered(TRUTH), answered(worse_at(lost)), 10, bound).accuracy_regressions


def test_what_was_read_back_from_json_compares_alike(tmp_path):
    path = tmp_path / "old.json"
    path.write_text(answered(TRUTH).to_json())
    assert TRUTH.tolist() == [int(sign) for sign in Benchmark.read(path).rows[0].answers]
    (found,) = compare_benchmarks(answered(worse_at(3)), Benchmark.read(path), 10).accuracy
    assert (found.answers.overall.only_old_right, found.answers.faces[0].source) == (3, "40.png")


def test_rows_that_answer_alike_are_one_line_and_others_are_not():
    rows = [made_row(batch=batch, threads=threads) for batch in (1, 8) for threads in (1, 2)]
    old = answered(TRUTH, None, LABELS, *rows)
    new = answered(TRUTH, None, LABELS, *rows)
    header, cells = accuracy_table(compare_benchmarks(new, old, 10))
    assert [dict(zip(header, row, strict=True))["batch"] for row in cells] == ["1,8"]
    new.rows[2].answers = new.rows[3].answers = signs_of(worse_at(5))
    found = compare_benchmarks(new, old, 10).accuracy
    assert [(one.rows[0].batch, one.result) for one in found] == [(1, "unchanged"), (8, "REGRESSION")]


def test_classes_in_another_order_are_the_same_classes():
    order = [2, 0, 1]
    labels = [LABELS[place] for place in order]
    truth = np.array([order.index(one) for one in TRUTH])
    faces = faces_of(truth, labels)
    assert faces.fingerprint == faces_of().fingerprint
    (found,) = compare_benchmarks(answered(truth, faces, labels), answered(TRUTH), 10).accuracy
    assert found.result == "unchanged"


def test_other_faces_are_not_compared_and_latency_is():
    for other in (faces_of(seed=1), faces_of(TRUTH[::-1].copy())):
        found = compare_benchmarks(answered(TRUTH), answered(worse_at(10), other), 10)
        assert (found.accuracy, len(found.changes)) == ((), 1)
        assert found.notes == (
            "accuracy is not compared: 100 faces then, 100 faces now, and not the same ones; measure with the same "
            "--data, --split and --faces",
        )


def test_a_benchmark_of_before_has_no_answers_and_says_so():
    old = made_benchmark(made_result(made_row(), 1.0, accuracy=0.5))
    found = compare_benchmarks(answered(TRUTH), old, 10)
    assert found.not_compared.startswith("the other benchmark, of an earlier version, holds no answer by face")
    without_faces = made_benchmark(made_result(made_row(), 1.0))
    assert "had no labelled faces" in compare_benchmarks(answered(TRUTH), without_faces, 10).not_compared
    assert "no labelled faces now" in compare_benchmarks(without_faces, answered(TRUTH), 10).not_compared
    assert compare_benchmarks(without_faces, without_faces, 10).not_compared == ""


def test_answers_that_fit_no_class_or_no_faces_are_no_benchmark(tmp_path):
    path = tmp_path / "old.json"
    for good, bad in ((signs_of(TRUTH), "3" * 100), (f'"answers": "{signs_of(TRUTH)}"', '"answers": "01"')):
        path.write_text(answered(TRUTH).to_json().replace(good, bad))
        with pytest.raises(ModelError, match=r"expected the JSON of 'fer-edge benchmark', found something else \(answ"):
            Benchmark.read(path)


def test_no_common_row_is_an_error():
    with pytest.raises(ModelError, match="--compare: expected rows that both benchmarks have"):
        compare_benchmarks(
            made_benchmark(made_result(made_row(), 1.0)), made_benchmark(made_result(made_row(batch=8), 1.0)), 10
        )
