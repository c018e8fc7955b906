"""Whether a row's figures are of honest work: two of MLPerf Inference's compliance tests, on every row.

* Answers of timed runs are those of the accuracy run (its TEST01): a runtime that is fast because it is wrong is seen.
* Repeating one input is no faster than varied inputs (its TEST04): nothing remembers answers.

https://github.com/mlcommons/inference/tree/master/compliance has both.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_edge.benchmark.statistics import ratio_interval
from fer_edge.benchmark.timed_run import Clock

MAX_DIFFERENCE = 1e-4
"""Of a probability in a timed run, from the same faces' in the accuracy run: threads add in another order."""
MAX_GAIN = 1.10
"""Varied over repeated inputs' median latency, by the lower end of its 95% interval: noise is no failure."""

_NO_NUMBER = 1.0
"""As wrong as a probability can be; JSON has no infinity."""
_BLOCK = 6
"""Runs of one kind in a row: a memory of the last input alone is seen, too."""
_MIN_BLOCKS, _MAX_BLOCKS = 3, 20


MOST_IMAGES = 256
"""Of timed runs whose answers are compared: a few seconds on a slow machine."""


class Sample:
    """Answers of timed runs, chosen by a seed, each as likely as any other: Vitter 1985, algorithm R."""

    def __init__(self, batch: int, seed: int = 0) -> None:
        self.kept: list[tuple[int, NDArray[np.float32]]] = []
        """Numbers of inputs and probabilities."""
        self._most = max(8, MOST_IMAGES // batch)
        self._heard, self._random = 0, Random(seed)

    def hear(self, number: int, probabilities: NDArray[np.float32]) -> None:
        """Keep this answer or not. A copy: runtimes use memory again."""
        self._heard += 1
        place = len(self.kept) if len(self.kept) < self._most else self._random.randrange(self._heard)
        if place < self._most:
            self.kept[place : place + 1] = [(number, probabilities.copy())]


def largest_difference(kept: Sequence[tuple[int, Any]], answer: Callable[[int], Any]) -> float:
    """Between kept probabilities (N, C) of timed runs, by the number of their input, and what ``answer`` says now.

    1 for an answer that is no number, and for one of another shape; 0 where none was kept.
    """
    worst = 0.0
    for number, probabilities in kept:
        timed, now = np.asarray(probabilities), np.asarray(answer(number))
        found = float(np.abs(timed - now).max(initial=0.0)) if timed.shape == now.shape else _NO_NUMBER
        worst = max(worst, found) if np.isfinite(found) else _NO_NUMBER
    return worst


def repeat_gain(latency_of: Callable[[int], float], budget_s: float, clock: Clock) -> dict[str, float]:
    """How many times as long varied inputs take as one input again and again: the medians' ratio and its 95% interval.

    ``latency_of`` answers the input of a number, in milliseconds. Blocks of both alternate until ``budget_s`` is spent,
    so that a machine that slows down slows both; each repeats another input, so that no easy one decides. A gain that
    is too large is measured once more, for longer: another program's burst does not come twice, a memory does.
    """
    found = _repeat_gain(latency_of, budget_s, clock)
    return _repeat_gain(latency_of, 3 * budget_s, clock) if found["repeat_gain_low"] > MAX_GAIN else found


def _repeat_gain(latency_of: Callable[[int], float], budget_s: float, clock: Clock) -> dict[str, float]:
    varied: list[list[float]] = []
    repeated: list[list[float]] = []
    began, number = clock(), 0
    while len(varied) < _MIN_BLOCKS or (len(varied) < _MAX_BLOCKS and clock() - began < budget_s):
        for kind in (varied, repeated):
            block = []
            for _ in range(_BLOCK):
                number += kind is varied
                block.append(latency_of(number))
            kind.append(block)
    interval = ratio_interval(varied, repeated)
    ratio = float(np.median(np.concatenate(varied)) / np.median(np.concatenate(repeated)))
    return {"repeat_gain": ratio, "repeat_gain_low": interval.low, "repeat_gain_high": interval.high}


def failures(title: str, audit: dict[str, float]) -> list[str]:
    """What the audit of the row called ``title`` found wrong: a line each, with the limit."""
    found = []
    difference, gain = audit.get("largest_difference", 0.0), audit.get("repeat_gain_low", 0.0)
    if difference > MAX_DIFFERENCE:
        found.append(
            f"{title}: answers of timed runs differ from those of the accuracy run by up to {difference:.2g}, expected "
            f"at most {MAX_DIFFERENCE:g}"
        )
    if gain > MAX_GAIN:
        found.append(
            f"{title}: repeating one input is {audit['repeat_gain']:.2f}x as fast as varied inputs "
            f"({gain:.2f}–{audit['repeat_gain_high']:.2f}), expected at most {MAX_GAIN:g}x"
        )
    return found
