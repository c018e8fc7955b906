"""What architectures are built with: ImageNet weights, and a first layer for grey faces."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from fer_edge.errors import CheckpointError, TrainingError
from fer_edge.training.plain_types import check_tensors

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
    try:
        check_tensors(weights, network.state_dict(), loose=("num_batches_tracked",))
    except CheckpointError as error:
        raise TrainingError(
            f"weights: expected a torchvision state dict of {type(network).__name__}, found one that does not fit: "
            f"{error}; name a file that fits, or --weights none"
        ) from error
    network.load_state_dict(dict(weights), strict=False)
