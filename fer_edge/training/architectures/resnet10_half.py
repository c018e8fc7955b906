"""A ResNet of ten layers at half width."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import nn

from fer_edge.training.architectures import register
from fer_edge.training.architectures.building import HeadSizes, StateDict, load_weights
from fer_edge.training.architectures.torchvision_models import models
from fer_edge.training.classifier import FacialExpressionClassifier


class ResNet10(FacialExpressionClassifier):
    """A ResNet of one basic block a stage, for devices that ResNet18 is too slow or too large for.

    The channels are those of ResNet18 times ``width``; the first convolution is 3x3 stride 2 and no pool follows, so
    that a 48-pixel face ends as 3x3. At half width it has 1.23 M weights.
    """

    STAGES = (64, 128, 256, 512)

    def __init__(self, head_sizes: HeadSizes, width: float = 0.5) -> None:
        stages = [round(channels * width) for channels in self.STAGES]
        layers: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(1, stages[0], 3, stride=2, padding=1, bias=False),
            "bn1": nn.BatchNorm2d(stages[0]),
            "relu": nn.ReLU(inplace=True),
        }
        inputs = stages[0]
        for number, outputs in enumerate(stages, start=1):
            layers[f"layer{number}"] = _basic_block(inputs, outputs, stride=1 if number == 1 else 2)
            inputs = outputs
        layers |= {
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "fc": nn.Linear(inputs, sum(head_sizes)),
        }
        super().__init__(nn.Sequential(OrderedDict(layers)), head_sizes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # as torchvision begins its ResNets
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _basic_block(inputs: int, outputs: int, stride: int) -> nn.Module:
    """torchvision's block of two 3x3 convolutions, with a 1x1 convolution beside it where the shape changes."""
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    block: nn.Module = models.resnet.BasicBlock(inputs, outputs, stride, shortcut)
    return block


@register("resnet10_half")
def resnet10_half(
    settings: Mapping[str, Any], weights: StateDict | None, head_sizes: HeadSizes
) -> FacialExpressionClassifier:
    """ResNet10 at half width, 1.2 M weights: little more than a third of ResNet18's time in INT8."""
    classifier = ResNet10(head_sizes, width=0.5)
    load_weights(classifier.network, weights)
    return classifier
