"""The registry of architectures: each is one file here, whose function builds a network for any number of outputs.

A network is built as torchvision defines it, takes ImageNet weights where some are given, and only then has its first
convolution folded to one channel and its last layer replaced, so the weights load by their own names.

The names are known without importing torch: a file is called as its architecture.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from fer_edge.errors import SettingError
from fer_edge.labels import FER2013

if TYPE_CHECKING:
    from fer_edge.training.architectures.building import HeadSizes, StateDict
    from fer_edge.training.classifier import FacialExpressionClassifier

    Build = Callable[[Mapping[str, Any], StateDict | None, HeadSizes], FacialExpressionClassifier]

_NO_ARCHITECTURES = ("building", "torchvision_models")
FORMER_NAMES = {"vgg": "vgg11_bn", "inception": "googlenet"}
"""Names of before they were torchvision's; still accepted."""


@dataclass(frozen=True)
class Architecture:
    """One entry of the registry."""

    name: str
    build: "Build"
    """Builds the classifier from its settings, with ImageNet weights where a state dict is given, for these heads."""
    settings: tuple[str, ...]
    """Names of the TrainConfig fields that shape the network."""
    weights_url: str | None
    """Where torchvision keeps the ImageNet weights, or None."""


_REGISTERED: dict[str, Architecture] = {}
_ONE_HEAD = (len(FER2013),)


def register(name: str, *, settings: tuple[str, ...] = (), weights: Any = None) -> Callable[["Build"], "Build"]:
    """Add a building function to the registry under ``name``; ``weights`` is a member of a torchvision weights enum."""

    def add(build: "Build") -> "Build":
        _REGISTERED[name] = Architecture(name, build, settings, weights.url if weights is not None else None)
        return build

    return add


def unregister(name: str) -> None:
    """Take out what ``register`` added."""
    _REGISTERED.pop(name, None)


def architecture_names() -> list[str]:
    """Every architecture's name, sorted."""
    return sorted({*_files(), *_REGISTERED})


@cache
def _files() -> tuple[str, ...]:
    return tuple(module.name for module in iter_modules(__path__) if module.name not in _NO_ARCHITECTURES)


def architecture_named(name: str) -> Architecture:
    """The registered architecture. Raises TrainingError that lists the names there are."""
    name = FORMER_NAMES.get(name, name)
    if name not in _REGISTERED and name in _files():
        import_module(f"{__name__}.{name}")  # which registers it
    if name not in _REGISTERED:
        raise SettingError(f"setting 'architecture': expected one of {', '.join(architecture_names())}, found {name!r}")
    return _REGISTERED[name]


def build_classifier(
    name: str,
    settings: Mapping[str, Any] | None = None,
    weights: "StateDict | None" = None,
    head_sizes: "HeadSizes" = _ONE_HEAD,
) -> "FacialExpressionClassifier":
    """A classifier of architecture ``name``; weights it is not given are drawn from torch's global generator.

    ``head_sizes`` are the outputs of each head, the main one first.

    Raises TrainingError for an unknown architecture, or for weights that do not fit it.
    """
    return architecture_named(name).build(settings or {}, weights, head_sizes)
