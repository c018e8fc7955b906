"""The reference: what a checkpoint answers to pixels, as one torch module. Its definition is the exported graph's."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_edge.export.graph.preprocessing import LUMA

MAX_VALUE = 255.0


class PixelsToProbabilities(nn.Module):
    """``classifier`` from pixels: uint8 (N, H, W, 1 | 3 | 4), to (probabilities (N, C), logits (N, C)).

    Grey by the luma weights (alpha dropped), antialiased bilinear resize, no rounding between the steps, the training
    normalisation, the classifier, softmax. It is also what the torchscript and pt2 formats hold.
    """

    luma: Tensor

    def __init__(self, classifier: nn.Module, image_size: int, mean: float, std: float) -> None:
        super().__init__()
        self.classifier = classifier
        self.image_size = image_size
        self.mean = mean
        self.std = std
        self.register_buffer("luma", torch.tensor(LUMA).reshape(1, 3, 1, 1), persistent=False)

    def faces(self, image: Tensor) -> Tensor:
        """Normalised faces float32 (N, 1, S, S) of uint8 pixels (N, H, W, channels)."""
        planes = image[..., :3].permute(0, 3, 1, 2).float()  # (N, 1 or 3, H, W)
        resized = F.interpolate(
            planes, size=(self.image_size, self.image_size), mode="bilinear", antialias=True, align_corners=False
        )
        grey = (resized * self.luma).sum(dim=1, keepdim=True)  # one channel broadcasts to itself: the weights sum to 1
        return (grey / MAX_VALUE - self.mean) / self.std

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (N, C) and logits (N, C), float32."""
        logits = self.classifier(self.faces(image))
        return torch.softmax(logits, dim=1), logits

    @torch.inference_mode()
    def answer(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """``forward`` on numpy arrays."""
        probabilities, logits = self(torch.from_numpy(np.array(image)))  # a copy: torch wants it writable
        return probabilities.numpy(), logits.numpy()

    @torch.inference_mode()
    def prepared_faces(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``faces`` on numpy arrays."""
        prepared: NDArray[np.float32] = self.faces(torch.from_numpy(np.array(image))).numpy()
        return prepared


class PlanesToProbabilities(nn.Module):
    """The same from grey values 0-255 of the net's own size, float32 (N, 1, S, S), as some runtimes make of bytes."""

    def __init__(self, reference: PixelsToProbabilities) -> None:
        super().__init__()
        self.classifier = reference.classifier
        self.mean = reference.mean
        self.std = reference.std

    def forward(self, grey: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (N, C) and logits (N, C), float32."""
        logits = self.classifier((grey / MAX_VALUE - self.mean) / self.std)
        return torch.softmax(logits, dim=1), logits


class FacesToProbabilities(PlanesToProbabilities):
    """The same from faces that are grey and of the net's own size, uint8 (N, S, S, 1): for runtimes of fixed shapes."""

    def forward(self, face: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (N, C) and logits (N, C), float32."""
        return super().forward(face.permute(0, 3, 1, 2).float())
