"""Four convolutions, for demonstrations and tests."""

import itertools
from collections.abc import Mapping
from typing import Any

from torch import nn

from fer_edge.training.architectures import register
from fer_edge.training.architectures.building import HeadSizes, StateDict, load_weights
from fer_edge.training.classifier import FacialExpressionClassifier


@register("tiny")
def tiny(settings: Mapping[str, Any], weights: StateDict | None, head_sizes: HeadSizes) -> FacialExpressionClassifier:
    """Four convolutions, 47 k weights: seconds on the sample faces, for demonstrations and tests."""
    layers: list[nn.Module] = []
    channels = (1, 16, 32, 48, 64)
    for inputs, outputs in itertools.pairwise(channels):
        is_first = inputs == 1  # a stride in the first layer would lose the brows
        layers += [nn.Conv2d(inputs, outputs, 3, stride=1 if is_first else 2, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()] + [nn.MaxPool2d(2)] * is_first
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], sum(head_sizes))]
    network = nn.Sequential(*layers)
    load_weights(network, weights)
    return FacialExpressionClassifier(network, head_sizes)
