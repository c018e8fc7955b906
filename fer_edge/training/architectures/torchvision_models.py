"""torchvision's networks, ``models``. Apart from ``building``, because importing them takes two seconds."""

from fer_edge.training import torchvision_ops  # noqa: F401  # must come before torchvision; see its docstring

from torchvision import models  # isort: skip  # after torchvision_ops

__all__ = ["models"]
