"""Temperature and prediction sets on synthetic faces whose true probabilities are known."""

import numpy as np
import pytest

from fer_edge.evaluation.binomial import lower_bound, upper_bound
from fer_edge.evaluation.conformal import conformal_threshold, evaluate_sets, fewest_faces
from fer_edge.evaluation.temperature import fit_temperature, log_loss
from fer_edge.runtime.certainty import aps_scores, lac_scores, prediction_sets, with_temperature

COVERAGE = 0.9


def _faces(generator: np.random.Generator, size: int, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, 7) of a model whose logits are ``temperature`` times too large, and labels drawn from what the
    probabilities should be."""
    logits = generator.normal(0, 2, (size, 7))
    true = with_temperature(np.exp(logits), 1.0)
    labels = (true.cumsum(axis=1) > generator.random((size, 1))).argmax(axis=1)
    return with_temperature(np.exp(logits), 1 / temperature), labels


def test_temperature_one_changes_nothing_and_none_changes_the_order() -> None:
    rows, _ = _faces(np.random.default_rng(1), 200)
    assert with_temperature(rows, 1.0) == pytest.approx(rows, abs=1e-12)
    assert (with_temperature(rows, 3.0).argsort(axis=1) == rows.argsort(axis=1)).all()
    assert with_temperature(np.array([[1.0, 0.0]], np.float32), 2.0).sum() == pytest.approx(1.0)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_a_synthetic_model_is_recovered(temperature: float) -> None:
    rows, labels = _faces(np.random.default_rng(2), 20_000, temperature)
    found = fit_temperature(rows, labels)
    assert found == pytest.approx(temperature, rel=0.03)
    assert log_loss(rows, labels, found) <= log_loss(rows, labels, temperature)


def test_scores_are_those_of_the_papers() -> None:
    rows = np.array([[0.2, 0.5, 0.3]])
    assert lac_scores(rows) == pytest.approx(np.array([[0.8, 0.5, 0.7]]))
    assert aps_scores(rows) == pytest.approx(np.array([[1.0, 0.5, 0.8]]))
    assert prediction_sets(rows, "aps", 0.8).tolist() == [[False, True, True]]
    assert prediction_sets(rows, "lac", 0.1).tolist() == [[False, True, False]]  # never empty: the best guess


@pytest.mark.parametrize("method", ["lac", "aps"])
@pytest.mark.parametrize("model_temperature", [1.0, 3.0])
def test_coverage_is_what_was_asked_for_within_its_binomial_bound(method: str, model_temperature: float) -> None:
    """Over draws of threshold and one new face each, which is what is guaranteed, for a bad model too."""
    generator = np.random.default_rng(3)
    draws, covered = 1000, 0
    for _ in range(draws):
        rows, labels = _faces(generator, 200, model_temperature)
        threshold = conformal_threshold(rows[1:], labels[1:], method, COVERAGE)
        covered += int(prediction_sets(rows[:1], method, threshold)[0, labels[0]])
    assert upper_bound(covered, draws, 0.001) >= COVERAGE
    if method == "lac":  # which covers no more than it must, but for 1 / (N + 1)
        assert lower_bound(covered, draws, 0.001) <= COVERAGE + 0.01


def test_lac_sets_are_smaller_than_aps_sets_and_coverage_by_class_adds_up() -> None:
    generator = np.random.default_rng(4)
    rows, labels = _faces(generator, 4000)
    new_rows, new_labels = _faces(generator, 4000)
    measured = {
        method: evaluate_sets(new_rows, new_labels, method, conformal_threshold(rows, labels, method, COVERAGE))
        for method in ("lac", "aps")
    }
    assert measured["lac"].mean_size < measured["aps"].mean_size
    for one in measured.values():
        assert sum(one.class_covered) == one.covered
        assert sum(one.class_faces) == sum(one.sizes) == one.faces == 4000
        assert one.coverage > 0.88


def test_too_few_faces_for_a_coverage_are_refused() -> None:
    rows, labels = _faces(np.random.default_rng(5), 19)
    assert (fewest_faces(0.9), fewest_faces(0.95)) == (9, 19)
    conformal_threshold(rows, labels, "lac", 0.95)
    with pytest.raises(ValueError, match=r"expected at least 19 faces for coverage 0\.95, found 18"):
        conformal_threshold(rows[1:], labels[1:], "lac", 0.95)
