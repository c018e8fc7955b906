"""ResNet18 for grey faces, with a choice of first layers."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from fer_edge.training.architectures import register
from fer_edge.training.architectures.building import HeadSizes, StateDict, fold_to_one_channel, load_weights
from fer_edge.training.architectures.torchvision_models import models
from fer_edge.training.classifier import FacialExpressionClassifier


class ResNet18(FacialExpressionClassifier):
    """torchvision's resnet18 for one grey channel.

    ``stem``: 'imagenet' keeps 7x7 stride 2 with max-pool (a 48-pixel face ends as 2x2), 'no_pool' leaves the pool out
    (3x3), 'small' has 3x3 stride 1 and no pool (6x6); of ImageNet weights its first convolution takes the centre.
    'three_channels' is 'imagenet' with three channels, made of the grey one by a 1x1 convolution.
    """

    def __init__(self, head_sizes: HeadSizes, stem: str = "imagenet", weights: StateDict | None = None) -> None:
        network = models.resnet18(weights=None)
        load_weights(network, weights)
        folded = fold_to_one_channel(network.conv1)
        if stem == "three_channels":
            network.conv1 = nn.Sequential(three_channels(), network.conv1)
        elif stem == "small":
            network.conv1 = nn.Conv2d(1, folded.out_channels, 3, stride=1, padding=1, bias=False)
            nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
            if weights is not None:
                with torch.no_grad():
                    network.conv1.weight.copy_(folded.weight[:, :, 2:5, 2:5])  # of 7x7
        else:
            network.conv1 = folded
        if stem not in ("imagenet", "three_channels"):
            network.maxpool = nn.Identity()
        network.fc = nn.Linear(network.fc.in_features, sum(head_sizes))
        super().__init__(network, head_sizes)


def three_channels() -> nn.Conv2d:
    """From one channel three equal ones; ``set_statistics`` gives each a mean and standard deviation of its own."""
    layer = nn.Conv2d(1, 3, 1)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # it has one
    return layer


def set_statistics(classifier: FacialExpressionClassifier, scales: Sequence[float], shifts: Sequence[float]) -> None:
    """Let the stem 'three_channels' of ``classifier`` multiply each channel by its scale and add its shift."""
    layer = classifier.network.conv1[0]  # type: ignore[index]
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(scales).reshape(3, 1, 1, 1))
        layer.bias.copy_(torch.tensor(shifts))


@register("resnet18", settings=("stem",), weights=models.ResNet18_Weights.IMAGENET1K_V1)
def resnet18(
    settings: Mapping[str, Any], weights: StateDict | None, head_sizes: HeadSizes
) -> FacialExpressionClassifier:
    """ResNet18 (He et al. 2015), 11.2 M weights."""
    return ResNet18(head_sizes, settings.get("stem", "imagenet"), weights)
