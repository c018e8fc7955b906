"""What predictions are worth against several annotators' votes, beside what one of the annotators is worth.

The protocol is that of Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced
Label Distribution", ICMI 2016: see ``fer_edge.data.votes`` for which votes count.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fer_edge.data.votes import COLUMNS, NO_MAJORITY, majority, probability
from fer_edge.errors import DataError
from fer_edge.evaluation.metrics import SMALLEST_PROBABILITY
from fer_edge.labels import FERPLUS, LabelSet


@dataclass(frozen=True)
class Agreement:
    """How often an answer is what annotators answered, "unknown" and "not a face" being answers too.

    One annotator of each face is left aside and the others are asked, so that a model and the one left aside are
    measured alike: every figure is the mean over whom to leave aside.
    """

    random_annotator: float
    """With one of the others, chosen at random."""
    rest: float
    """With the others' most chosen answer; where several are, with a fraction of it."""
    at_least: tuple[float, ...]
    """With at least k of the others, k = 1, 2, ...: as many as the others of the face with the most annotators."""


@dataclass(frozen=True)
class VoteMetrics:
    """What one set of predictions is worth against votes; every ratio is a fraction of one, and none is ever NaN."""

    num_faces: int
    """Faces with the votes of two annotators or more."""
    num_majority: int
    """Those with an emotion that more than half chose, single votes dropped."""
    majority_accuracy: float | None
    """On these, the fraction of predictions that are the majority: the accuracy of the FER+ paper. A model without the
    majority's emotion (contempt) is wrong there. None where there are none."""
    num_distributions: int
    """Faces whose votes say something of the emotions that the model has."""
    cross_entropy: float | None
    """On these, the mean cross-entropy (nats) of the predictions to the distribution of the votes, single votes
    dropped, over the emotions that the model has. None where there are none."""
    entropy: float | None
    """The mean entropy of those distributions: what a perfect model's ``cross_entropy`` would be."""
    model: Agreement
    annotator: Agreement
    """The human level: an annotator with the others."""

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        values = asdict(self)
        for who in ("model", "annotator"):
            values[who]["at_least"] = list(values[who]["at_least"])
        return values


def evaluate_votes(probabilities: np.ndarray, votes: np.ndarray, labels: LabelSet) -> VoteMetrics | None:
    """Evaluate ``probabilities`` float (N, C) for the classes ``labels`` against ``votes`` (N, 10).

    None where no face has two votes. Raises DataError where a class is no emotion of FER+.
    """
    emotions = emotions_of(labels)
    kept = votes.sum(axis=1) >= 2
    probabilities, votes = np.asarray(probabilities, np.float64)[kept], np.asarray(votes, np.float64)[kept]
    if not len(votes):
        return None
    predictions = emotions[probabilities.argmax(axis=1)]  # (N,), indices in FERPLUS
    majorities = majority(votes)
    has_majority = majorities != NO_MAJORITY
    distributions = probability(votes).astype(np.float64)[:, emotions]  # (N, C)
    totals = distributions.sum(axis=1)
    told = totals > 0
    wanted, given = distributions[told] / totals[told, np.newaxis], probabilities[told]
    return VoteMetrics(
        num_faces=len(votes),
        num_majority=int(has_majority.sum()),
        majority_accuracy=_mean((predictions == majorities)[has_majority]),
        num_distributions=int(told.sum()),
        cross_entropy=_mean(_cross_entropy(wanted, given)),
        entropy=_mean(_cross_entropy(wanted, wanted)),
        model=_agreement(np.eye(len(COLUMNS))[predictions], votes, is_one_of_them=False),
        annotator=_agreement(votes / votes.sum(axis=1, keepdims=True), votes, is_one_of_them=True),
    )


def emotions_of(labels: LabelSet) -> np.ndarray:
    """The index in FERPLUS of each class of ``labels``: int64 (C,). Raises DataError for a class that is none of it."""
    names = [FERPLUS.resolve(name) for name in labels.names]
    unknown = [name for name, emotion in zip(labels.names, names, strict=True) if emotion is None]
    if unknown:
        raise DataError(
            f"expected classes that FER+'s annotators could choose ({', '.join(FERPLUS.names)}), found {unknown[0]}"
        )
    return np.array([FERPLUS.index(name) for name in names if name is not None], np.int64)


def can_evaluate_votes(labels: LabelSet) -> bool:
    """Whether every class of ``labels`` is an emotion of FER+."""
    return all(FERPLUS.resolve(name) for name in labels.names)


def _cross_entropy(wanted: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Nats (N,) from distributions (N, C)."""
    return np.asarray(-(wanted * np.log(np.maximum(given, SMALLEST_PROBABILITY))).sum(axis=1))


def _agreement(answers: np.ndarray, votes: np.ndarray, *, is_one_of_them: bool) -> Agreement:
    """Of ``answers`` (N, 10), each row the probabilities of an answer, with ``votes`` (N, 10).

    Where it ``is_one_of_them``, the one who answers is the one who is left aside; else that is anyone.
    """
    numbers = votes.sum(axis=1)  # (N,)
    most_others = int(numbers.max()) - 1
    one, rest, at_least = 0.0, 0.0, np.zeros(most_others)
    ks = np.arange(1, most_others + 1)
    for answer in range(votes.shape[1]):
        for aside in (answer,) if is_one_of_them else range(votes.shape[1]):
            # The chance that this is the answer, and that such an annotator is left aside.
            chance = answers[:, answer] if is_one_of_them else answers[:, answer] * votes[:, aside] / numbers
            possible = chance > 0
            if not possible.any():
                continue
            others = votes[possible].copy()
            others[:, aside] -= 1
            agreeing, weight = others[:, answer], chance[possible]
            most = others.max(axis=1)
            one += float((weight * agreeing / (numbers[possible] - 1)).sum())
            rest += float((weight * (agreeing == most) / (others == most[:, np.newaxis]).sum(axis=1)).sum())
            at_least += (weight[:, np.newaxis] * (agreeing[:, np.newaxis] >= ks)).sum(axis=0)
    return Agreement(one / len(votes), rest / len(votes), tuple((at_least / len(votes)).tolist()))


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
