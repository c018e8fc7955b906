"""What architectures are built with: ImageNet weights, and a first layer for grey faces."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from fer_edge.errors import TrainingError

StateDict = Mapping[str, Tensor]
HeadSizes = Sequence[int]
"""Outputs of each head; the last layer has them side by side."""


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


def load_weights(network: nn.Module, weights: StateDict | None) -> None:
    """Give ``network``, as torchvision defines it, the ``weights``, if any. Raises TrainingError where they misfit."""
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
