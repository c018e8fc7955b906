import numpy as np
import pytest

from fer_edge.data.votes import COLUMNS, NO_MAJORITY, majority, probability, without_single_votes
from fer_edge.labels import FERPLUS

HAPPY, SURPRISE = FERPLUS.index("happiness"), FERPLUS.index("surprise")


def row(**votes):
    return [votes.get(column, 0) for column in COLUMNS]


@pytest.mark.parametrize(
    ("votes", "winner", "spread"),
    [
        (row(happiness=10), HAPPY, {"happiness": 1.0}),
        (row(happiness=8, neutral=2), HAPPY, {"happiness": 0.8, "neutral": 0.2}),
        # nine slips and all: singles are dropped before anything is counted
        (
            row(happiness=3, neutral=1, fear=1, sadness=1, anger=1, disgust=1, contempt=1, unknown=1),
            HAPPY,
            {"happiness": 1},
        ),
        # half is not more than half
        (row(happiness=5, surprise=5), None, {"happiness": 0.5, "surprise": 0.5}),
        (row(happiness=4, surprise=3, neutral=3), None, {"happiness": 0.4, "surprise": 0.3, "neutral": 0.3}),
        # unknown counts for the majority and is dropped from the distribution
        (row(surprise=4, unknown=3, neutral=2, fear=1), None, {"surprise": 4 / 6, "neutral": 2 / 6}),
        (row(surprise=6, unknown=4), SURPRISE, {"surprise": 1.0}),
        (row(unknown=6, happiness=4), None, {}),
        (row(NF=10), None, {}),
        (row(NF=4, happiness=2, unknown=4), None, {}),
        (row(**dict.fromkeys(COLUMNS, 1)), None, {}),
        (row(), None, {}),
    ],
)
def test_votes_become_a_majority_and_a_distribution_as_in_the_paper(votes, winner, spread):
    votes = np.array([votes], np.float32)
    assert majority(votes).tolist() == [NO_MAJORITY if winner is None else winner]
    expected = [spread.get(name, 0) for name in FERPLUS.names]
    np.testing.assert_allclose(probability(votes)[0], expected, rtol=1e-6)
    assert probability(votes).dtype == np.float32


def test_a_single_vote_is_dropped_and_two_are_not():
    votes = np.array([row(happiness=2, fear=1, NF=1)], np.float32)
    assert without_single_votes(votes).tolist() == [row(happiness=2)]
    assert votes.tolist() == [row(happiness=2, fear=1, NF=1)]  # the argument stays


def test_no_faces_have_no_votes():
    none = np.zeros((0, 10), np.float32)
    assert majority(none).shape == (0,)
    assert probability(none).shape == (0, 8)
