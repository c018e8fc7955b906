"""GoogLeNet, the first Inception."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from fer_edge.training.architectures import register
from fer_edge.training.architectures.building import HeadSizes, StateDict, fold_to_one_channel, load_weights
from fer_edge.training.architectures.torchvision_models import models
from fer_edge.training.classifier import FacialExpressionClassifier


@register("googlenet", weights=models.GoogLeNet_Weights.IMAGENET1K_V1)
def googlenet(
    settings: Mapping[str, Any], weights: StateDict | None, head_sizes: HeadSizes
) -> FacialExpressionClassifier:
    """GoogLeNet (Inception v1, Szegedy et al. 2014) with both auxiliary heads while it trains.

    Inception v3 needs 75 pixels; this one takes 48.
    """
    # transform_input would rescale three ImageNet channels to other statistics; here is one, normalised already
    network = models.googlenet(weights=None, transform_input=False, aux_logits=True, init_weights=weights is None)
    load_weights(network, weights)
    network.conv1.conv = fold_to_one_channel(network.conv1.conv)
    network.fc = nn.Linear(network.fc.in_features, sum(head_sizes))
    for head in (network.aux1, network.aux2):
        head.fc2 = nn.Linear(head.fc2.in_features, sum(head_sizes))
    return FacialExpressionClassifier(network, head_sizes)
