"""The reference preprocessing in operators that every runtime has: antialiased resizing as two matrix products."""

import torch
from torch import Tensor, nn

from fer_edge.export.graph.preprocessing import LUMA
from fer_edge.export.graph.reference import MAX_VALUE, PixelsToProbabilities

RGB = 3


class ImageToProbabilities(nn.Module):
    """As ``PixelsToProbabilities``, of one RGB image uint8 (1, H, W, 3), for runtimes that cannot resize with
    antialiasing.

    Each row and column of the face is a weighted sum of the image's: a triangle as wide as the image is reduced, as in
    Pillow's ``BILINEAR``. The weights are made in the graph from H and W; the answers are the reference's within 2e-5
    of a logit.
    """

    luma: Tensor
    centres: Tensor
    narrowest: Tensor

    def __init__(self, reference: PixelsToProbabilities) -> None:
        super().__init__()
        self.classifier = reference.classifier
        self.image_size = size = reference.image_size
        self.mean = reference.mean
        self.std = reference.std
        centres = (torch.arange(size, dtype=torch.float32) + 0.5) / size
        self.register_buffer("luma", torch.tensor(LUMA).reshape(RGB, 1), persistent=False)
        self.register_buffer("centres", centres.reshape(size, 1), persistent=False)
        self.register_buffer("narrowest", torch.ones(1), persistent=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (1, C) and logits (1, C), float32."""
        height, width, size = image.shape[1], image.shape[2], self.image_size
        # The image's rows are summed first: the large array is read once, and no copy of it is made but the floats.
        rows = torch.mm(self._weights(height), image.float().reshape(height, width * RGB))  # (S, W * 3)
        grey = torch.mm(rows.reshape(size * width, RGB), self.luma).reshape(size, width)
        face = torch.mm(grey, self._weights(width).t()).reshape(1, 1, size, size)
        logits = self.classifier((face / MAX_VALUE - self.mean) / self.std)
        return torch.softmax(logits, dim=1), logits

    def _weights(self, length: int) -> Tensor:
        """What each of ``length`` pixels in a line counts for each of the face's, (S, length)."""
        middles = torch.arange(length, dtype=torch.float32).reshape(1, length) + 0.5
        # As a tensor: a number that is known only when it runs is no operand of a delegate.
        total = middles[:, -1:] + 0.5
        radius = torch.maximum(total / self.image_size, self.narrowest)
        weights = torch.relu(1 - (middles - self.centres * total).abs() / radius)
        return weights / weights.sum(dim=1, keepdim=True)
