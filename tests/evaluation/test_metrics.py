import json
import math

import numpy as np
import pytest

from fer_edge.evaluation.calibration import calibration_bins
from fer_edge.evaluation.metrics import evaluate_probabilities, softmax, worst_mistakes
from fer_edge.labels import FER2013, LabelSet


def distribution(predicted: int, confidence: float) -> list[float]:
    """Probabilities that put ``confidence`` on one class and share the rest."""
    row = [(1 - confidence) / 6] * 7
    row[predicted] = confidence
    return row


def test_figures_match_values_worked_out_by_hand():
    # true:      angry angry angry happy happy sad
    # predicted: angry angry happy happy angry happy
    labels = np.array([0, 0, 0, 3, 3, 5])
    probabilities = np.array([distribution(p, 0.7) for p in (0, 0, 3, 3, 0, 3)])

    metrics = evaluate_probabilities(probabilities, labels)

    assert metrics.num_faces == 6
    assert metrics.accuracy == pytest.approx(3 / 6)
    angry, happy, sad = (metrics.classes[FER2013.index(name)] for name in ("angry", "happy", "sad"))
    assert (angry.precision, angry.recall, angry.f1, angry.support) == pytest.approx((2 / 3, 2 / 3, 2 / 3, 3))
    assert (happy.precision, happy.recall, happy.f1, happy.support) == pytest.approx((1 / 3, 1 / 2, 2 / 5, 2))
    assert (sad.precision, sad.recall, sad.f1, sad.support) == (0, 0, 0, 1)
    assert metrics.macro_f1 == pytest.approx((2 / 3 + 2 / 5 + 0) / 3)
    assert metrics.log_loss == pytest.approx(-(3 * math.log(0.7) + 3 * math.log(0.05)) / 6)
    assert metrics.confusion[0].tolist() == [2, 0, 0, 1, 0, 0, 0]
    assert metrics.confusion[5].tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert metrics.confusion.sum() == 6
    assert metrics.calibration_error == pytest.approx(0.7 - 0.5)


def test_a_perfect_predictor_scores_one_everywhere():
    labels = np.arange(7).repeat(3)
    metrics = evaluate_probabilities(np.eye(7)[labels], labels)
    assert (metrics.accuracy, metrics.macro_f1, metrics.log_loss, metrics.calibration_error) == (1, 1, 0, 0)
    assert np.array_equal(metrics.confusion, 3 * np.eye(7))


def test_a_constant_predictor_gets_the_share_of_its_class_and_zero_where_it_never_predicts():
    labels = np.array([0, 1, 1, 1, 2, 3, 4, 5, 6, 6])
    metrics = evaluate_probabilities(np.tile(np.eye(7)[1], (10, 1)), labels)
    assert metrics.accuracy == pytest.approx(0.3)
    assert metrics.classes[1].precision == pytest.approx(0.3)
    assert metrics.classes[1].recall == 1
    assert all(one.precision == one.f1 == 0 for index, one in enumerate(metrics.classes) if index != 1)
    assert metrics.calibration_error == pytest.approx(0.7)
    # The true class got probability zero seven times out of ten: finite all the same.
    assert metrics.log_loss == pytest.approx(0.7 * -math.log(1e-15))


def test_a_random_predictor_is_right_one_time_in_seven():
    rng = np.random.default_rng(0)
    metrics = evaluate_probabilities(rng.dirichlet(np.ones(7), size=20_000), rng.integers(0, 7, 20_000))
    assert metrics.accuracy == pytest.approx(1 / 7, abs=0.01)
    assert metrics.macro_f1 == pytest.approx(1 / 7, abs=0.01)


def test_an_expression_without_faces_or_predictions_neither_counts_nor_becomes_nan():
    labels = np.array([3, 3, 5, 5])
    metrics = evaluate_probabilities(np.eye(7)[labels], labels)
    assert metrics.macro_f1 == 1
    assert metrics.classes[1].support == 0
    assert metrics.classes[1].cells() == ["–", "–", "–", "0"]
    told = json.loads(json.dumps(metrics.to_dict(FER2013), allow_nan=False))
    assert told["expressions"]["disgust"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert told["macro_f1_classes"] == ["happy", "sad"]
    assert metrics.macro_in_words == "mean of the 2 of 7 classes that have faces"


def test_the_macro_average_is_over_classes_with_faces_also_where_others_are_predicted():
    metrics = evaluate_probabilities(np.eye(7)[[3, 3, 5, 1]], np.array([3, 3, 5, 5]))
    assert metrics.macro_f1 == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.classes[1].f1 is None


def test_a_calibrated_predictor_has_a_small_calibration_error_and_an_overconfident_one_its_excess():
    rng = np.random.default_rng(1)
    confidence = rng.uniform(1 / 7, 1, 100_000)
    correct = rng.uniform(size=100_000) < confidence
    assert calibration_bins(confidence, correct).expected_error < 0.01
    assert calibration_bins(np.full(1000, 0.9), np.arange(1000) < 600).expected_error == pytest.approx(0.3)


def test_calibration_bins_are_open_below_and_closed_above():
    bins = calibration_bins(np.array([0.0, 0.5, 0.500001, 1.0]), np.array([False, True, True, True]), num_bins=2)
    assert bins.counts.tolist() == [2, 2]
    assert bins.accuracy.tolist() == [0.5, 1.0]


def test_calibration_error_weighs_bins_by_their_count_and_never_cancels_over_against_under():
    # Three at 0.9 all right (error 0.1), one at 0.5 wrong (error 0.5).
    bins = calibration_bins(np.array([0.9, 0.9, 0.9, 0.5]), np.array([True, True, True, False]))
    assert bins.expected_error == pytest.approx((3 * 0.1 + 1 * 0.5) / 4)


def test_the_dict_is_json_and_names_expressions():
    labels = np.array([0, 1, 2])
    metrics = evaluate_probabilities(np.eye(7)[[0, 1, 1]], labels)
    read_back = json.loads(json.dumps(metrics.to_dict(FER2013), allow_nan=False))
    assert list(read_back["expressions"]) == list(FER2013.names)
    assert read_back["confusion"][2] == [0, 1, 0, 0, 0, 0, 0]
    assert read_back["accuracy"] == pytest.approx(2 / 3)


def test_softmax_survives_large_logits_and_keeps_ratios():
    probabilities = softmax(np.array([[1000.0, 1000.0, -1000.0], [0.0, math.log(2), math.log(5)]], dtype=np.float32))
    assert probabilities[0].tolist() == pytest.approx([0.5, 0.5, 0])
    assert probabilities[1].tolist() == pytest.approx([1 / 8, 2 / 8, 5 / 8])


def test_worst_mistakes_come_most_confident_first_and_leave_right_ones_out():
    probabilities = np.array([distribution(0, 0.5), distribution(1, 0.99), distribution(2, 0.9), distribution(3, 0.95)])
    labels = np.array([6, 1, 6, 6])
    assert worst_mistakes(probabilities, labels, limit=10).tolist() == [3, 2, 0]
    assert worst_mistakes(probabilities, labels, limit=1).tolist() == [3]


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (np.zeros((0, 7)), np.zeros(0, int), "at least one face"),
        (np.full((2, 6), 1 / 6), np.zeros(2, int), r"shape \(N, 7\), found \(2, 6\)"),
        (np.full((2, 7), 1 / 7), np.zeros(3, int), r"one label for each of 2 predictions, found \(3,\)"),
        (np.full((2, 7), 1 / 7), np.array([0, 7]), "labels from 0 to 6"),
        (np.full((2, 7), 1 / 7), np.array([0.0, 1.0]), "integer labels"),
        (np.array([[5.0, -3, 0, 0, 0, 0, -1]]), np.array([0]), "logits need softmax"),
        (np.array([[np.nan] * 7]), np.array([0]), "rows of probabilities"),
    ],
)
def test_input_that_does_not_fit_is_refused(probabilities, labels, message):
    with pytest.raises(ValueError, match=message):
        evaluate_probabilities(probabilities, labels, 7)


@pytest.mark.parametrize("num_classes", [2, 5, 8, 20])
def test_any_number_of_classes_is_measured(num_classes):
    labels = np.arange(num_classes).repeat(4)
    wrong = labels.copy()
    wrong[::4] = (wrong[::4] + 1) % num_classes  # one of each class's four is taken for the next class
    metrics = evaluate_probabilities(np.eye(num_classes)[wrong], labels)
    assert metrics.accuracy == metrics.macro_f1 == pytest.approx(3 / 4)
    assert metrics.confusion.shape == (num_classes, num_classes)
    assert metrics.confusion.diagonal().tolist() == [3] * num_classes
    names = LabelSet(tuple(f"<class> {number}" for number in range(num_classes)))
    assert list(metrics.to_dict(names)["expressions"]) == list(names.names)
    with pytest.raises(ValueError, match="zip"):
        metrics.to_dict(LabelSet((*names.names, "one more")))


def test_one_column_is_no_set_of_probabilities():
    with pytest.raises(ValueError, match=r"shape \(N, C\), found \(2, 1\)"):
        evaluate_probabilities(np.ones((2, 1)), np.zeros(2, int))
