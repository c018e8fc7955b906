"""VGG11 with batch norm."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from fer_edge.training.architectures import register
from fer_edge.training.architectures.building import HeadSizes, StateDict, fold_to_one_channel, load_weights
from fer_edge.training.architectures.torchvision_models import models
from fer_edge.training.classifier import FacialExpressionClassifier


@register("vgg11_bn", weights=models.VGG11_BN_Weights.IMAGENET1K_V1)
def vgg11_bn(
    settings: Mapping[str, Any], weights: StateDict | None, head_sizes: HeadSizes
) -> FacialExpressionClassifier:
    """VGG11 with batch norm (Simonyan and Zisserman 2014), 128.8 M weights, most of them in its dense layers."""
    network = models.vgg11_bn(weights=None)
    load_weights(network, weights)
    network.features[0] = fold_to_one_channel(network.features[0])
    network.classifier[-1] = nn.Linear(network.classifier[-1].in_features, sum(head_sizes))
    return FacialExpressionClassifier(network, head_sizes)
