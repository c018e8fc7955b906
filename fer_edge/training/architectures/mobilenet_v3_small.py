"""MobileNetV3-Small, for phones."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from fer_edge.training.architectures import register
from fer_edge.training.architectures.building import HeadSizes, StateDict, fold_to_one_channel, load_weights
from fer_edge.training.architectures.torchvision_models import models
from fer_edge.training.classifier import FacialExpressionClassifier


@register("mobilenet_v3_small", weights=models.MobileNet_V3_Small_Weights.IMAGENET1K_V1)
def mobilenet_v3_small(
    settings: Mapping[str, Any], weights: StateDict | None, head_sizes: HeadSizes
) -> FacialExpressionClassifier:
    """MobileNetV3-Small (Howard et al. 2019), 1.5 M weights, for phones."""
    network = models.mobilenet_v3_small(weights=None)
    load_weights(network, weights)
    network.features[0][0] = fold_to_one_channel(network.features[0][0])
    network.classifier[-1] = nn.Linear(network.classifier[-1].in_features, sum(head_sizes))
    return FacialExpressionClassifier(network, head_sizes)
