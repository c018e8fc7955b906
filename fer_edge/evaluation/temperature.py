"""The temperature that makes a model's confidence mean what it says."""

import math

import numpy as np

from fer_edge.runtime.certainty import with_temperature

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
_STEPS = 60
_GOLDEN = (math.sqrt(5) - 1) / 2


def log_loss(probabilities: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Mean negative logarithm of the true class's probability at ``temperature``, in nats."""
    true = with_temperature(probabilities, temperature)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(true, 1e-300)).mean())


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the least log loss on ``probabilities`` (N, C) and ``labels``, integers (N,), N at least 1.

    C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. The log loss is convex in 1 / temperature, so
    that the golden section finds its only minimum; between ``MIN_TEMPERATURE`` and ``MAX_TEMPERATURE``.
    """
    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    # Logarithmic steps: a function that falls and then rises does so on any monotone scale.
    low, high = math.log(low), math.log(high)
    for _ in range(_STEPS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if log_loss(probabilities, labels, math.exp(-left)) <= log_loss(probabilities, labels, math.exp(-right)):
            high = right
        else:
            low = left
    return math.exp(-(low + high) / 2)
