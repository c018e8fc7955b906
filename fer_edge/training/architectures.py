"""The registry of architectures: each is one function that builds a network for grey faces and any number of outputs.

A network is built as torchvision defines it, takes ImageNet weights where some are given, and only then has its first
convolution folded to one channel and its last layer replaced, so the weights load by their own names.
"""

import itertools
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fer_edge.errors import TrainingError
from fer_edge.labels import FER2013
from fer_edge.training import torchvision_ops  # noqa: F401  # must come before torchvision; see its docstring
from fer_edge.training.classifier import FacialExpressionClassifier

from torchvision import models  # isort: skip  # after torchvision_ops

StateDict = Mapping[str, Tensor]
HeadSizes = Sequence[int]
"""Outputs of each head; the last layer has them side by side."""
Build = Callable[[Mapping[str, Any], StateDict | None, HeadSizes], FacialExpressionClassifier]


@dataclass(frozen=True)
class Architecture:
    """One entry of the registry."""

    name: str
    build: Build
    """Builds the classifier from its settings, with ImageNet weights where a state dict is given, for these heads."""
    settings: tuple[str, ...]
    """Names of the TrainConfig fields that shape the network."""
    weights_url: str | None
    """Where torchvision keeps the ImageNet weights, or None."""


_ONE_HEAD: HeadSizes = (len(FER2013),)

ARCHITECTURES: dict[str, Architecture] = {}


def register(name: str, *, settings: tuple[str, ...] = (), weights: Any = None) -> Callable[[Build], Build]:
    """Add a building function to the registry under ``name``; ``weights`` is a member of a torchvision weights enum."""

    def add(build: Build) -> Build:
        ARCHITECTURES[name] = Architecture(name, build, settings, weights.url if weights is not None else None)
        return build

    return add


def architecture_named(name: str) -> Architecture:
    """The registered architecture. Raises TrainingError that lists the names there are."""
    if name not in ARCHITECTURES:
        raise TrainingError(f"setting 'architecture': expected one of {', '.join(ARCHITECTURES)}, found {name!r}")
    return ARCHITECTURES[name]


def build_classifier(
    name: str,
    settings: Mapping[str, Any] | None = None,
    weights: StateDict | None = None,
    head_sizes: HeadSizes = _ONE_HEAD,
) -> FacialExpressionClassifier:
    """A classifier of architecture ``name``; weights it is not given are drawn from torch's global generator.

    ``head_sizes`` are the outputs of each head, the main one first.

    Raises TrainingError for an unknown architecture, or for weights that do not fit it.
    """
    return architecture_named(name).build(settings or {}, weights, head_sizes)


def fold_to_one_channel(convolution: nn.Conv2d) -> nn.Conv2d:
    """The same convolution for one input channel: exactly its output on three equal channels, by summing over them."""
    folded = nn.Conv2d(
        1,
        convolution.out_channels,
        convolution.kernel_size,  # type: ignore[arg-type]  # torch types it as a tuple of any length
        stride=convolution.stride,  # type: ignore[arg-type]
        padding=convolution.padding,  # type: ignore[arg-type]
        bias=convolution.bias is not None,
    )
    with torch.no_grad():
        folded.weight.copy_(convolution.weight.sum(dim=1, keepdim=True))  # (out, 3, k, k) -> (out, 1, k, k)
        if convolution.bias is not None and folded.bias is not None:
            folded.bias.copy_(convolution.bias)
    return folded


class ResNet18(FacialExpressionClassifier):
    """torchvision's resnet18 for one grey channel.

    ``stem``: 'imagenet' keeps 7x7 stride 2 with max-pool (a 48-pixel face ends as 2x2), 'no_pool' leaves the pool out
    (3x3), 'small' has 3x3 stride 1 and no pool (6x6); of ImageNet weights its first convolution takes the centre.
    """

    def __init__(self, head_sizes: HeadSizes, stem: str = "imagenet", weights: StateDict | None = None) -> None:
        network = models.resnet18(weights=None)
        _load(network, weights)
        folded = fold_to_one_channel(network.conv1)
        if stem == "small":
            network.conv1 = nn.Conv2d(1, folded.out_channels, 3, stride=1, padding=1, bias=False)
            nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
            if weights is not None:
                with torch.no_grad():
                    network.conv1.weight.copy_(folded.weight[:, :, 2:5, 2:5])  # of 7x7
        else:
            network.conv1 = folded
        if stem != "imagenet":
            network.maxpool = nn.Identity()
        network.fc = nn.Linear(network.fc.in_features, sum(head_sizes))
        super().__init__(network, head_sizes)


@register("resnet18", settings=("stem",), weights=models.ResNet18_Weights.IMAGENET1K_V1)
def resnet18(
    settings: Mapping[str, Any], weights: StateDict | None, head_sizes: HeadSizes
) -> FacialExpressionClassifier:
    """ResNet18 (He et al. 2015), 11.2 M weights."""
    return ResNet18(head_sizes, settings.get("stem", "imagenet"), weights)


@register("vgg", weights=models.VGG11_BN_Weights.IMAGENET1K_V1)
def vgg(settings: Mapping[str, Any], weights: StateDict | None, head_sizes: HeadSizes) -> FacialExpressionClassifier:
    """VGG11 with batch norm (Simonyan and Zisserman 2014), 128.8 M weights, most of them in its dense layers."""
    network = models.vgg11_bn(weights=None)
    _load(network, weights)
    network.features[0] = fold_to_one_channel(network.features[0])
    network.classifier[-1] = nn.Linear(network.classifier[-1].in_features, sum(head_sizes))
    return FacialExpressionClassifier(network, head_sizes)


@register("inception", weights=models.GoogLeNet_Weights.IMAGENET1K_V1)
def inception(
    settings: Mapping[str, Any], weights: StateDict | None, head_sizes: HeadSizes
) -> FacialExpressionClassifier:
    """GoogLeNet (Inception v1, Szegedy et al. 2014) with both auxiliary heads while it trains.

    Inception v3 needs 75 pixels; this one takes 48.
    """
    # transform_input would rescale three ImageNet channels to other statistics; here is one, normalised already
    network = models.googlenet(weights=None, transform_input=False, aux_logits=True, init_weights=weights is None)
    _load(network, weights)
    network.conv1.conv = fold_to_one_channel(network.conv1.conv)
    network.fc = nn.Linear(network.fc.in_features, sum(head_sizes))
    for head in (network.aux1, network.aux2):
        head.fc2 = nn.Linear(head.fc2.in_features, sum(head_sizes))
    return FacialExpressionClassifier(network, head_sizes)


@register("mobilenet_v3_small", weights=models.MobileNet_V3_Small_Weights.IMAGENET1K_V1)
def mobilenet_v3_small(
    settings: Mapping[str, Any], weights: StateDict | None, head_sizes: HeadSizes
) -> FacialExpressionClassifier:
    """MobileNetV3-Small (Howard et al. 2019), 1.5 M weights, for phones."""
    network = models.mobilenet_v3_small(weights=None)
    _load(network, weights)
    network.features[0][0] = fold_to_one_channel(network.features[0][0])
    network.classifier[-1] = nn.Linear(network.classifier[-1].in_features, sum(head_sizes))
    return FacialExpressionClassifier(network, head_sizes)


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
    _load(classifier.network, weights)
    return classifier


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
    _load(network, weights)
    return FacialExpressionClassifier(network, head_sizes)


def _load(network: nn.Module, weights: StateDict | None) -> None:
    if weights is None:
        return
    # Old torchvision files lack batch norm's step counters; anything else missing or left over is another model.
    wanted = {
        key: value.shape for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")
    }
    given = {key: value.shape for key, value in weights.items() if not key.endswith("num_batches_tracked")}
    if wanted != given:
        wrong = sorted(key for key in wanted.keys() | given.keys() if wanted.get(key) != given.get(key))
        raise TrainingError(
            f"weights: expected a torchvision state dict of {type(network).__name__}, "
            f"found {len(wrong)} entries that are missing, extra or of another shape (first: '{wrong[0]}'); "
            "name a file that fits, or --weights none"
        )
    network.load_state_dict(dict(weights), strict=False)
