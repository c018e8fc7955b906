"""Figures on votes, against values worked out by hand and against counting annotators one by one."""

import json
import math

import numpy as np
import pytest

from fer_edge.errors import DataError
from fer_edge.evaluation.votes import Agreement, can_evaluate_votes, emotions_of, evaluate_votes
from fer_edge.labels import FER2013, FERPLUS, LabelSet

NEUTRAL, HAPPINESS, SADNESS, ANGER, CONTEMPT, NOT_A_FACE = 0, 1, 3, 4, 7, 9


def votes(**counts: int) -> list[int]:
    names = (*FERPLUS.names, "unknown", "NF")
    return [counts.get(name, 0) for name in names]


def by_counting(answers: np.ndarray, all_votes: np.ndarray, *, one_of_them: bool) -> Agreement:
    """The definition: each annotator of each face in turn is left aside, and answers where ``one_of_them``."""
    random, rest, at_least = [], [], []
    for answer, row in zip(answers, all_votes, strict=True):
        annotators = np.repeat(np.arange(10), row.astype(int))
        faces = []
        for place in range(len(annotators)):
            others = np.bincount(np.delete(annotators, place), minlength=10)
            given = annotators[place] if one_of_them else answer
            most = np.flatnonzero(others == others.max())
            faces.append((others[given] / others.sum(), (given in most) / len(most), others[given]))
        random.append(np.mean([face[0] for face in faces]))
        rest.append(np.mean([face[1] for face in faces]))
        at_least.append([np.mean([face[2] >= k for face in faces]) for k in range(1, int(all_votes.sum(1).max()))])
    return Agreement(np.mean(random), np.mean(rest), tuple(np.mean(at_least, axis=0)))


def test_agreement_is_that_of_counting_annotators_one_by_one():
    generator = np.random.default_rng(0)
    table = np.stack([generator.multinomial(10, generator.dirichlet(np.full(10, 0.4))) for _ in range(40)])
    table[3] = votes(happiness=3)  # another number of annotators
    probabilities = generator.dirichlet(np.ones(8), 40)
    found = evaluate_votes(probabilities, table, FERPLUS)
    for agreement, one_of_them in ((found.model, False), (found.annotator, True)):
        expected = by_counting(probabilities.argmax(axis=1), table, one_of_them=one_of_them)
        assert agreement.random_annotator == pytest.approx(expected.random_annotator)
        assert agreement.rest == pytest.approx(expected.rest)
        assert agreement.at_least == pytest.approx(expected.at_least)


def test_the_majority_is_that_of_the_paper():
    table = np.array([
        votes(happiness=9, neutral=1),
        votes(sadness=6, anger=4),
        votes(sadness=5, anger=5),  # a tie: no majority
        votes(unknown=6, anger=4),  # unknown: left out
        votes(NF=10),
        votes(contempt=7, neutral=3),
    ])  # fmt: skip
    right_but_one = np.eye(8)[[HAPPINESS, ANGER, SADNESS, ANGER, NEUTRAL, CONTEMPT]]
    found = evaluate_votes(right_but_one, table, FERPLUS)
    assert (found.num_faces, found.num_majority) == (6, 3)
    assert found.majority_accuracy == pytest.approx(2 / 3)


def test_a_model_without_contempt_is_wrong_where_most_see_it_and_is_compared_on_its_own_emotions_else():
    table = np.array([votes(contempt=8, neutral=2), votes(happiness=10)])
    probabilities = np.eye(7)[[FER2013.index("neutral"), FER2013.index("happy")]] * 0.9 + 0.1 / 7
    found = evaluate_votes(probabilities, table, FER2013)
    assert (found.num_majority, found.majority_accuracy) == (2, 0.5)
    assert found.num_distributions == 2
    assert found.cross_entropy == pytest.approx(-math.log(0.9 + 0.1 / 7))
    assert found.entropy == 0


def test_cross_entropy_is_to_the_distribution_and_no_less_than_its_entropy():
    table = np.array([votes(happiness=6, neutral=4), votes(happiness=8, neutral=2)])
    exact = np.zeros((2, 8))
    exact[:, HAPPINESS], exact[:, NEUTRAL] = (0.6, 0.8), (0.4, 0.2)
    found = evaluate_votes(exact, table, FERPLUS)
    assert found.cross_entropy == pytest.approx(found.entropy)
    assert found.entropy == pytest.approx(
        -(0.6 * math.log(0.6) + 0.4 * math.log(0.4) + 0.8 * math.log(0.8) + 0.2 * math.log(0.2)) / 2
    )
    other = evaluate_votes(np.full((2, 8), 1 / 8), table, FERPLUS)
    assert other.cross_entropy == pytest.approx(math.log(8))


def test_who_always_says_what_all_say_agrees_with_everybody():
    found = evaluate_votes(np.eye(8)[[HAPPINESS, ANGER]], np.array([votes(happiness=10), votes(anger=10)]), FERPLUS)
    assert found.model == found.annotator == Agreement(1, 1, (1,) * 9)
    wrong = evaluate_votes(np.eye(8)[[ANGER, HAPPINESS]], np.array([votes(happiness=10), votes(anger=10)]), FERPLUS)
    assert wrong.model == Agreement(0, 0, (0,) * 9)
    assert wrong.majority_accuracy == 0


def test_faces_with_less_than_two_votes_say_nothing():
    assert evaluate_votes(np.eye(8)[:2], np.array([votes(), votes(anger=1)]), FERPLUS) is None


def test_figures_that_cannot_be_are_none_and_all_is_json():
    found = evaluate_votes(np.eye(8)[:1], np.array([votes(NF=10)]), FERPLUS)
    assert found.majority_accuracy is found.cross_entropy is found.entropy is None
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["annotator"]["at_least"] == [1] * 9


def test_classes_that_annotators_could_not_choose_are_refused():
    bored = LabelSet(("happy", "bored"))
    assert not can_evaluate_votes(bored)
    assert can_evaluate_votes(LabelSet(("Happy", "SAD")))
    with pytest.raises(DataError, match="found bored"):
        evaluate_votes(np.ones((1, 2)) / 2, np.array([votes(anger=10)]), bored)
    assert emotions_of(FER2013).tolist() == [4, 5, 6, 1, 0, 3, 2]
