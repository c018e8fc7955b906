"""Several annotators' votes for one face, handled as in the FER+ paper.

Barsoum, Zhang, Canton Ferrer and Zhang, "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced
Label Distribution", ICMI 2016 (arXiv 1608.01041): ten people chose one of eight emotions, "unknown" or "no face". A
single vote for a column is taken for a slip and dropped.
"""

import numpy as np

from fer_edge.labels import FERPLUS

COLUMNS: tuple[str, ...] = (*FERPLUS.names, "unknown", "NF")
"""The columns of ``fer2013new.csv`` behind the image's name, in their order."""
NUM_EMOTIONS = len(FERPLUS)
NO_MAJORITY = -1
"""Where ``majority`` finds none."""


def without_single_votes(votes: np.ndarray) -> np.ndarray:
    """The votes (N, 10), float32, with every count of 1 set to 0."""
    counts = np.asarray(votes, np.float32)
    return np.where(counts <= 1, np.float32(0), counts)


def majority(votes: np.ndarray) -> np.ndarray:
    """The emotion of more than half of each face's votes, single votes dropped: int64 (N,), an index in FERPLUS.

    NO_MAJORITY where no column has more than half, or where that column is "unknown" or "no face".
    """
    kept = without_single_votes(votes)
    winner = kept.argmax(axis=1)
    wins = kept.max(axis=1, initial=0) * 2 > kept.sum(axis=1)
    return np.where(wins & (winner < NUM_EMOTIONS), winner, NO_MAJORITY).astype(np.int64)


def probability(votes: np.ndarray) -> np.ndarray:
    """How the votes spread over the eight emotions, single votes, "unknown" and "no face" dropped: float32 (N, 8).

    A row sums to 1, or is all 0 where it says nothing: no vote is left, or "unknown" or "no face" has more votes than
    every emotion.
    """
    kept = without_single_votes(votes)
    emotions, others = kept[:, :NUM_EMOTIONS], kept[:, NUM_EMOTIONS:]
    most = emotions.max(axis=1, initial=0)
    usable = (most > 0) & (most >= others.max(axis=1, initial=0))
    total = np.where(usable, emotions.sum(axis=1), 1)
    return np.where(usable[:, None], emotions / total[:, None], 0).astype(np.float32)
